-- Edits of several devices: when each part of a task was last changed, and which commands were carried out.

alter table tasks
    add field_changes jsonb not null default '{}';  -- of each part of the task: {"version", "at", "by"} (tasks/merging.py)

-- Commands that came with a key of their caller's, each with its answer: one that comes again is answered from here.
-- Kept for 90 days (end_commands).
create table commands (
    user_id      uuid not null references users on delete cascade,
    key          text not null,
    fingerprint  bytea not null,       -- of the function and its inputs
    code         integer not null,     -- 0, or the gRPC status code of a refusal
    answer       text not null,        -- JSON, to the letter
    at           timestamptz not null,
    primary key (user_id, key)
);
create index commands_at on commands (user_id, at);
select isolate('commands');
