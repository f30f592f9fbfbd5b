-- Where a user's notifications go, and when.

alter table users
    add email_notifications boolean not null default true,
    add quiet_start    time,
    add quiet_end      time,
    add digest_at      time,               -- by the clock of time_zone; null for no digest
    add next_digest_at timestamptz,
    add check ((quiet_start is null) = (quiet_end is null)),
    add check ((digest_at is null) = (next_digest_at is null));
create index users_digest on users (next_digest_at) where next_digest_at is not null;

create table devices (
    user_id     uuid not null references users on delete cascade,
    device_id   uuid not null,
    kind        text not null check (kind in ('email', 'web_push', 'webhook')),
    name        text not null,
    endpoint    text not null,             -- an email address, or a URL
    p256dh      text,                      -- web push: the browser's keys, base64url
    auth        text,
    secret      text,                      -- webhook: what its bodies are signed with
    created_at  timestamptz not null,
    primary key (user_id, device_id),
    unique (user_id, endpoint)
);

alter table deliveries
    add not_before timestamptz,            -- no attempt before it
    add held_until timestamptz;            -- the end of the quiet hours that it waited for: lateness counts from it

-- One digest a user and local day. It is sent while pending; `empty` had nothing to tell.
create table digests (
    user_id       uuid not null references users on delete cascade,
    day           date not null,
    status        text not null default 'pending' check (status in ('pending', 'sent', 'empty', 'failed')),
    attempts      integer not null default 0,
    attempted_at  timestamptz,             -- set while an attempt runs: a second one waits for its lease
    delivered_at  timestamptz,
    reason        text,
    primary key (user_id, day)
);
create index digests_pending on digests (day) where status = 'pending';
