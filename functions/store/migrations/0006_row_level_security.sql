-- Beneath the statements, which all have the user in their keys: PostgreSQL itself shows a statement for a user the rows
-- of that user and no others, and one that is for all users says so by another role (database.py). Neither role owns a
-- table, logs in, or bypasses row security. A table without user_id is not for tickler_user.

do $$
declare
    wanted text;
    inherits text;
begin
    foreach wanted in array array['tickler_user', 'tickler_system'] loop
        inherits := case wanted when 'tickler_system' then 'true' else 'false' end;
        begin
            if not exists (select from pg_roles where rolname = wanted) then
                execute format('create role %I', wanted);
            end if;
            -- Whoever owns the tables sees all rows, as tickler_system does: a migration may have to change them.
            if not pg_has_role(wanted, case wanted when 'tickler_system' then 'USAGE' else 'SET' end) then
                execute format('grant %I to current_user with inherit %s, set true', wanted, inherits);
            end if;
        exception
            when duplicate_object or unique_violation then null;  -- made for another database meanwhile
            when insufficient_privilege then
                raise insufficient_privilege using message = format(
                    '%1$s may not make the role %2$s or act as it: have an administrator run "create role %2$s; grant'
                    ' %2$s to %1$s with inherit %3$s, set true"', current_user, wanted, inherits);
        end;
    end loop;
end $$;

-- Keeps the rows of a table with user_id apart; each migration that makes one ends with `select isolate('...')`.
create function isolate(p_table regclass) returns void language plpgsql as $$
begin
    execute format('alter table %s enable row level security, force row level security', p_table);
    -- An index condition: the setting is read once a statement. It is empty where a transaction before had it.
    execute format(
        'create policy own_rows on %s to tickler_user'
        ' using (user_id = nullif(current_setting(''tickler.user_id'', true), '''')::uuid)', p_table);
    execute format('create policy all_rows on %s to tickler_system using (true)', p_table);
    execute format('grant select, insert, update, delete on %s to tickler_user, tickler_system', p_table);
end $$;

select isolate(attrelid)
from pg_attribute join pg_class on pg_class.oid = attrelid
where relnamespace = current_schema::text::regnamespace and relkind = 'r' and attname = 'user_id' and not attisdropped;
grant select, insert, update, delete on dead_messages to tickler_system;
grant select on schema_migrations to tickler_system;  -- so that it can dump the database

-- Before the user is compared PostgreSQL evaluates nothing that could tell of a row by an error, and finds nothing by it
-- in an index. It knows that a comparison of instants cannot, and that `case` cannot, though not that of `coalesce`.
drop index tasks_due;
create index tasks_due on tasks (user_id, (case when due_at is null then 'infinity' else due_at end), task_id)
where deleted_at is null;

-- These answer yes or no and show no value either. Only a superuser may say so: elsewhere a search, and a page by
-- priority that is not the first, read the user's tasks one by one.
do $$
begin
    alter function pg_catalog.ts_match_vq(tsvector, tsquery) leakproof;
    alter function pg_catalog.enum_lt(anyenum, anyenum) leakproof;
    alter function pg_catalog.enum_gt(anyenum, anyenum) leakproof;
exception when insufficient_privilege then null;
end $$;
