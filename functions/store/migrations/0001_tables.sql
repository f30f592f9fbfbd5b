-- Every table has user_id first in its keys and indexes: nothing is ever looked up across users, except by the
-- reminder tick and the outbox sweep, which have a partial index each.

create type priority as enum ('low', 'medium', 'high', 'urgent');

create table users (
    user_id     uuid primary key,
    name        text not null,
    email       text,
    time_zone   text not null default 'UTC',
    seq         bigint not null default 0,  -- of the last entry in events; the row lock orders a user's commits
    created_at  timestamptz not null default now()
);

create table tasks (
    user_id         uuid not null references users on delete cascade,
    task_id         uuid not null,
    title           text not null,
    description     text not null,
    status          text not null check (status in ('open', 'completed')),
    priority        priority not null,
    due_at          timestamptz,       -- the due instant; where an all-day task's day begins in its zone
    due_on          date,              -- all-day tasks only: the day itself
    overdue_at      timestamptz,
    time_zone       text not null,
    reminder_offset text,
    reminder_specs  jsonb not null default '[]',  -- further reminders as asked for; table reminders has their fate
    recurrence      jsonb,
    recurrence_id   uuid,
    occurrence      integer,
    series_start    text,              -- occurrence 1: a date, or an RFC 3339 instant
    version         integer not null,
    created_at      timestamptz not null,
    updated_at      timestamptz not null,
    completed_at    timestamptz,
    deleted_at      timestamptz,
    title_key       text not null,     -- the title without case and accents
    search          tsvector not null,
    primary key (user_id, task_id)
);
create unique index tasks_occurrence on tasks (user_id, recurrence_id, occurrence);
create index tasks_due on tasks (user_id, coalesce(due_at, 'infinity'), task_id) where deleted_at is null;
create index tasks_priority on tasks (user_id, priority, task_id) where deleted_at is null;
create index tasks_created on tasks (user_id, created_at, task_id) where deleted_at is null;
create index tasks_title on tasks (user_id, title_key, task_id) where deleted_at is null;
create index tasks_search on tasks using gin (search) where deleted_at is null;

create table tags (
    user_id  uuid not null references users on delete cascade,
    tag_id   uuid not null,
    name     text not null,
    key      text not null,            -- the name without case
    color    text not null,
    primary key (user_id, tag_id),
    unique (user_id, key)
);

create table task_tags (
    user_id  uuid not null,
    task_id  uuid not null,
    tag_id   uuid not null,
    primary key (user_id, task_id, tag_id),
    foreign key (user_id, task_id) references tasks on delete cascade,
    foreign key (user_id, tag_id) references tags on delete cascade
);
create index task_tags_tag on task_tags (user_id, tag_id, task_id);

create table reminders (
    user_id          uuid not null,
    reminder_id      uuid not null,
    task_id          uuid not null,
    "offset"         text,
    at               timestamptz,
    scheduled_time   timestamptz not null,
    delivery_channel text not null,
    status           text not null check (status in ('pending', 'sent', 'late', 'cancelled', 'failed')),
    claimed_at       timestamptz,      -- when a tick last published it; claimed again after the lease
    primary key (user_id, reminder_id),
    foreign key (user_id, task_id) references tasks on delete cascade
);
create index reminders_task on reminders (user_id, task_id);
create index reminders_due on reminders (scheduled_time) where status = 'pending' and claimed_at is null;
create index reminders_claimed on reminders (claimed_at) where status = 'pending' and claimed_at is not null;

create table deliveries (
    user_id       uuid not null,
    reminder_id   uuid not null,
    channel       text not null,
    address       text not null,
    status        text not null default 'pending' check (status in ('pending', 'sent', 'failed')),
    attempts      integer not null default 0,
    attempted_at  timestamptz,         -- set while an attempt runs: a second one waits for its lease
    delivered_at  timestamptz,
    reason        text,
    primary key (user_id, reminder_id, channel, address),
    foreign key (user_id, reminder_id) references reminders on delete cascade
);

-- The change log of each user: outbox, sync cursor and order in one.
create table events (
    user_id         uuid not null references users on delete cascade,
    seq             bigint not null,
    event_id        uuid not null,
    type            text not null,
    entity_type     text not null,
    entity_id       uuid not null,
    occurred_at     timestamptz not null,
    correlation_id  text not null,
    data            jsonb not null,
    published_at    timestamptz,
    primary key (user_id, seq)
);
create index events_unpublished on events (user_id, seq) where published_at is null;
create index events_published on events (published_at) where published_at is not null;

create table activity (
    user_id      uuid not null references users on delete cascade,
    seq          bigint not null,
    event_id     uuid not null,
    event_type   text not null,
    entity_type  text not null,
    entity_id    uuid not null,
    task_id      uuid,                 -- the task it is about: its history
    occurred_at  timestamptz not null,
    details      jsonb not null,
    primary key (user_id, seq)
);
create index activity_time on activity (user_id, occurred_at, seq);
create index activity_entity on activity (user_id, entity_id, seq);
create index activity_task on activity (user_id, task_id, seq);
