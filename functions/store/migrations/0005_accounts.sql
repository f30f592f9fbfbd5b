-- Who may sign in with a password here, what a sign-in is continued by, and tokens for scripts. Of every token there is
-- only its SHA-256. A token holds its user's id, so that it is looked up under it, as everything is but an account, which
-- is found by its address.

create table accounts (
    user_id              uuid primary key references users on delete cascade,
    email_key            text not null unique,  -- the address without case
    password_hash        text not null,         -- argon2id, with its parameters (PHC string)
    password_changed_at  timestamptz not null,
    created_at           timestamptz not null
);

-- One family a sign-in: each use of a token makes the next one. What was used stays until it expires, so that it is known
-- when it comes again.
create table refresh_tokens (
    user_id     uuid not null references accounts on delete cascade,
    token_hash  bytea not null,
    family_id   uuid not null,
    began_at    timestamptz not null,           -- the sign-in
    expires_at  timestamptz not null,
    used_at     timestamptz,
    primary key (user_id, token_hash)
);
create index refresh_tokens_family on refresh_tokens (user_id, family_id);

create table personal_tokens (
    user_id       uuid not null references users on delete cascade,
    token_id      uuid not null,
    token_hash    bytea not null,
    name          text not null,
    scopes        text[] not null,
    created_at    timestamptz not null,
    expires_at    timestamptz not null,
    last_used_at  timestamptz,                  -- to the minute
    primary key (user_id, token_id),
    unique (user_id, token_hash)
);
