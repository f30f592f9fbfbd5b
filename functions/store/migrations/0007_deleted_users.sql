-- Whom messages must not bring back. What was on its way when an account was deleted (a command on task.create, a dead
-- letter) arrives afterwards, and says nothing that tells it from one of a user who is yet to come. So this is kept of
-- a deleted user, for as long as a message can be on its way: nothing that names them to who does not know the id.

create table deleted_users (
    user_hash   bytea primary key,     -- user_hash(user_id)
    deleted_at  timestamptz not null
);
grant select on deleted_users to tickler_user;  -- a command by message asks whether its user was deleted
grant select, insert, update, delete on deleted_users to tickler_system;
