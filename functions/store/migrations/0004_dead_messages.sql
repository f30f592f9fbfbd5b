-- Messages that could not be handled, for the operator. They have no user in their key: whose a message is stands in its
-- payload, which nobody could read. No function that a user calls looks here.

create table dead_messages (
    id           uuid primary key,     -- made from the message: the same one, buried twice, is one row
    topic        text,                 -- where it belongs; null: it cannot be published again (no CloudEvent, or too long)
    event_id     text,
    data         bytea not null,       -- byte for byte as it was on the topic
    buried_at    timestamptz not null,
    redrive_at   timestamptz,          -- set while it is to be published again
    redriven_at  timestamptz,          -- when the broker took it; null again once it failed again
    check (topic is not null or redrive_at is null)
);
create index dead_messages_redrive on dead_messages (topic, buried_at, id) where redrive_at is not null;
