-- The writes, each one statement for its caller: lock the user's row, change, and append to the change log, in
-- one transaction and one round trip. Applied again whenever this file changes.

-- Whether an event is among the last ones of a user: a write that is sent again, because its answer was lost, finds
-- its own.
create or replace function is_written(p_user_id uuid, p_event_id uuid) returns boolean language sql stable as $$
    select exists (
        select from events e
        where e.user_id = p_user_id and e.event_id = p_event_id
            and e.seq > (select u.seq - 50 from users u where u.user_id = p_user_id))
$$;

-- A reminder as the API answers it.
create or replace function reminder_json(r reminders) returns jsonb language sql stable as $$
    select jsonb_build_object(
        'id', r.reminder_id, 'offset', r."offset", 'at', r.at, 'scheduled_time', r.scheduled_time,
        'status', r.status, 'delivery_channel', r.delivery_channel, 'snoozed_from', r.snoozed_from,
        'dismissed', r.dismissed)
$$;

-- A task as the API answers it.
create or replace function task_json(t tasks) returns jsonb language sql stable as $$
    select jsonb_build_object(
        'id', t.task_id,
        'title', t.title,
        'description', t.description,
        'status', t.status,
        'priority', t.priority,
        'due_date', coalesce(to_jsonb(t.due_on), to_jsonb(t.due_at)),
        'time_zone', t.time_zone,
        'all_day', t.due_on is not null,
        'tags', (
            select coalesce(jsonb_agg(jsonb_build_object('id', tag_id, 'name', name, 'color', color) order by key), '[]')
            from task_tags join tags using (user_id, tag_id)
            where task_tags.user_id = t.user_id and task_tags.task_id = t.task_id),
        'reminder_offset', t.reminder_offset,
        'reminder_specs', t.reminder_specs,
        'reminders', (
            select coalesce(jsonb_agg(reminder_json(r) order by scheduled_time, reminder_id), '[]')
            from reminders r where r.user_id = t.user_id and r.task_id = t.task_id),
        'recurrence', t.recurrence,
        'recurrence_id', t.recurrence_id,
        'occurrence', t.occurrence,
        'series_start', t.series_start,
        'series_time_zone', t.series_time_zone,
        'follows', t.follows,
        'field_changes', t.field_changes,
        'deleted', t.deleted_at is not null,
        'version', t.version,
        'created_at', t.created_at,
        'updated_at', t.updated_at,
        'completed_at', t.completed_at)
$$;

-- Appends to the user's change log; the row lock on users makes seq gapless and in commit order. Where the connection
-- says so (database.py), the commit tells the hubs: it takes a lock that all such commits of a database share.
create or replace function append_event(
    p_user_id uuid, p_event_id uuid, p_type text, p_entity_type text, p_entity_id uuid,
    p_occurred_at timestamptz, p_correlation_id text, p_data jsonb
) returns bigint language plpgsql as $$
declare
    next_seq bigint;
begin
    update users set seq = seq + 1 where user_id = p_user_id returning seq into strict next_seq;
    insert into events (user_id, seq, event_id, type, entity_type, entity_id, occurred_at, correlation_id, data)
    values (p_user_id, next_seq, p_event_id, p_type, p_entity_type, p_entity_id, p_occurred_at, p_correlation_id, p_data);
    if current_setting('tickler.notifies', true) = 'on' then
        perform pg_notify('tickler_changes', p_user_id || ' ' || next_seq);
    end if;
    return next_seq;
end $$;

-- Locks the user's row, which it makes at a user's first command; one that came by a topic may lack name or address.
create or replace function lock_user(p_user_id uuid, p_name text, p_email text) returns void language plpgsql as $$
declare
    known users;
begin
    select * into known from users where user_id = p_user_id for no key update;
    if not found then
        insert into users (user_id, name, email) values (p_user_id, p_name, p_email) on conflict do nothing;
        perform from users where user_id = p_user_id for no key update;
    elsif known.email is null and p_email is not null or known.name = '' and p_name <> '' then
        update users set email = coalesce(email, p_email), name = coalesce(nullif(name, ''), p_name)
        where user_id = p_user_id;
    end if;
end $$;

-- Begins a transaction that carries out commands with keys. A user's wait for each other, so that of many at once with one
-- key one is carried out. The user's row is held until the commit, as by every write: nobody else changes what is read
-- from here on. Answers what is kept of these keys: no row for a new one.
create or replace function begin_commands(p_user_id uuid, p_keys text[]) returns setof commands language plpgsql as $$
begin
    perform pg_advisory_xact_lock(hashtextextended(p_user_id::text, 1));  -- there may be no row yet
    perform from users where user_id = p_user_id for no key update;
    return query select * from commands where user_id = p_user_id and key = any(p_keys);
end $$;

-- Keeps the answers of commands ([key, fingerprint in hex, code, answer] each), in the transaction that carried them out,
-- and forgets those of 90 days before. Nothing is kept for who is no user: what was refused made none.
create or replace function end_commands(p_user_id uuid, p_commands jsonb, p_now timestamptz) returns void language sql as $$
    insert into commands (user_id, key, fingerprint, code, answer, at)
    select user_id, c ->> 0, decode(c ->> 1, 'hex'), (c ->> 2)::integer, c ->> 3, p_now
    from users, jsonb_array_elements(p_commands) c where user_id = p_user_id;
    delete from commands where user_id = p_user_id and at < p_now - interval '90 days';
$$;

-- What is kept of the id of a deleted user.
create or replace function user_hash(p_user_id uuid) returns bytea language sql immutable as $$
    select sha256(convert_to(p_user_id::text, 'UTF8'))
$$;

-- Deletes a user and everything that is theirs, messages that nobody handled included. Every table of theirs goes with
-- the row in users (on delete cascade). A message is theirs if it has their id, however that is spelled; one of several
-- users' reminders goes too, as what is still pending of it is sent anew.
create or replace function delete_user(p_user_id uuid) returns void language plpgsql as $$
begin
    delete from users where user_id = p_user_id;
    insert into deleted_users (user_hash, deleted_at) values (user_hash(p_user_id), now())
    on conflict (user_hash) do update set deleted_at = excluded.deleted_at;
    lock table dead_messages in share row exclusive mode;  -- one that is being buried is deleted, or told by the hash
    delete from dead_messages
    where position(translate(p_user_id::text, '-', '') in lower(translate(encode(data, 'escape'), '-', ''))) > 0;
    delete from deleted_users where deleted_at < now() - interval '30 days';
end $$;

-- Writes one planned change of a task (see planning.Change). Answers the outcome and the task:
--   saved   as written
--   exists  it was created before (by id, as what follows p_after, or as this occurrence): nothing changed
--   stale   its version is not p_expected_version: nothing changed
--   gone    it is not there, or was deleted; or p_after is no longer completed: nothing changed. That p_after was
--           deleted since does not matter: had the next one been there already, it would have stayed. Or the user is
--           gone: only a new task makes a user, and by a message only one whose account was not deleted lately.
create or replace function save_task(
    p_user jsonb, p_task jsonb, p_expected_version integer, p_after uuid,
    p_tags jsonb, p_reminders jsonb, p_event jsonb
) returns table (outcome text, task jsonb) language plpgsql as $$
declare
    owner uuid := p_user ->> 'user_id';
    new tasks := jsonb_populate_record(null::tasks, p_task);
    old tasks;
    tag record;
    tag_ids uuid[] := '{}';
    at timestamptz := p_event ->> 'occurred_at';
begin
    perform from users where user_id = owner for no key update;
    if not found and (
        p_expected_version > 0 or p_after is not null
        or (p_user ->> 'by_message')::boolean
            and exists (select from deleted_users where user_hash = user_hash(owner))) then
        return query select 'gone', null::jsonb;
        return;
    end if;
    perform lock_user(owner, p_user ->> 'name', p_user ->> 'email');
    select * into old from tasks
    where user_id = owner and (task_id = new.task_id or p_expected_version = 0 and (
        follows = p_after or recurrence_id = new.recurrence_id and occurrence = new.occurrence))
    order by task_id = new.task_id desc limit 1;
    if is_written(owner, (p_event ->> 'event_id')::uuid) then
        return query select 'saved', task_json(old);
        return;
    elsif p_expected_version = 0 and old.task_id is not null then
        return query select case when old.deleted_at is null then 'exists' else 'gone' end, task_json(old);
        return;
    elsif p_expected_version > 0 and (old.task_id is null or old.deleted_at is not null)
        or p_after is not null and not exists (
            select from tasks where user_id = owner and task_id = p_after and status = 'completed') then
        return query select 'gone', null::jsonb;
        return;
    elsif old.version <> p_expected_version then
        return query select 'stale', task_json(old);
        return;
    end if;

    new.user_id := owner;
    new.search := array_to_tsvector(array(select jsonb_array_elements_text(p_task -> 'words')));
    if p_expected_version = 0 then
        insert into tasks select new.*;
    else
        update tasks set
            title = new.title, description = new.description, status = new.status, priority = new.priority,
            due_at = new.due_at, due_on = new.due_on, overdue_at = new.overdue_at, time_zone = new.time_zone,
            reminder_offset = new.reminder_offset, reminder_specs = new.reminder_specs, recurrence = new.recurrence,
            recurrence_id = new.recurrence_id, occurrence = new.occurrence, series_start = new.series_start,
            series_time_zone = new.series_time_zone, follows = new.follows, field_changes = new.field_changes,
            version = new.version, updated_at = new.updated_at, completed_at = new.completed_at,
            deleted_at = new.deleted_at, title_key = new.title_key, search = new.search
        where user_id = owner and task_id = new.task_id;
        if new.status = 'open' and new.recurrence_id <> coalesce(old.recurrence_id, new.task_id) then
            -- A new series begins here, which nothing that followed before is an occurrence of.
            update tasks set follows = null where user_id = owner and follows = new.task_id;
        end if;
    end if;

    if p_tags is not null then
        for tag in
            select wanted.*, tags.tag_id as known
            from jsonb_to_recordset(p_tags) as wanted (tag_id uuid, name text, key text, color text, event_id uuid)
            left join tags on tags.user_id = owner and tags.key = wanted.key
        loop
            if tag.known is null then
                insert into tags (user_id, tag_id, name, key, color)
                values (owner, tag.tag_id, tag.name, tag.key, tag.color);
                perform append_event(
                    owner, tag.event_id, 'tag.created', 'tag', tag.tag_id, at, p_event ->> 'correlation_id',
                    jsonb_build_object('tag', jsonb_build_object('id', tag.tag_id, 'name', tag.name, 'color', tag.color)));
            end if;
            tag_ids := tag_ids || coalesce(tag.known, tag.tag_id);
        end loop;
        delete from task_tags where user_id = owner and task_id = new.task_id and tag_id <> all (tag_ids);
        insert into task_tags (user_id, task_id, tag_id)
        select owner, new.task_id, unnest(tag_ids) on conflict do nothing;
    end if;

    if p_expected_version > 0 then
        delete from reminders r
        where r.user_id = owner and r.task_id = new.task_id
            and (r.status in ('pending', 'cancelled') or p_event ->> 'type' = 'task.skipped')
            and not exists (
                select from jsonb_array_elements(p_reminders) kept where (kept ->> 'reminder_id')::uuid = r.reminder_id);
    end if;
    insert into reminders (
        user_id, reminder_id, task_id, "offset", at, scheduled_time, delivery_channel, status, snoozed_from, dismissed)
    select owner, r.reminder_id, new.task_id, r."offset", r.at, r.scheduled_time, r.delivery_channel, r.status,
        r.snoozed_from, coalesce(r.dismissed, false)
    from jsonb_to_recordset(p_reminders) as r (
        reminder_id uuid, "offset" text, at timestamptz, scheduled_time timestamptz, delivery_channel text, status text,
        snoozed_from uuid, dismissed boolean)
    on conflict (user_id, reminder_id) do update set
        dismissed = excluded.dismissed,
        status = case when reminders.status = 'pending' then excluded.status else reminders.status end
    where reminders.status = 'pending' and excluded.status = 'cancelled' or reminders.dismissed <> excluded.dismissed;

    perform append_event(
        owner, (p_event ->> 'event_id')::uuid, p_event ->> 'type', p_event ->> 'entity_type',
        (p_event ->> 'entity_id')::uuid, at, p_event ->> 'correlation_id',
        jsonb_build_object('task', task_json(new) - 'field_changes') || (p_event -> 'data'));
    return query select 'saved', task_json(new);
end $$;

-- Records the outcome of deliveries (sent or failed), each with its event, and settles a reminder once none of
-- its deliveries is pending: sent, late (by no channel within a minute of its time, or of the end of the quiet hours
-- that it waited for) or failed. One that was recorded before changes nothing. Without a reason of its own a failure
-- keeps that of its last attempt. Users are locked in one order, so that two batches cannot deadlock.
create or replace function record_deliveries(
    p_deliveries jsonb, p_status text, p_reason text, p_now timestamptz, p_correlation_id text
) returns integer language plpgsql as $$
declare
    d record;
    kept deliveries;
    r reminders;
    recorded integer := 0;
begin
    for d in
        select * from jsonb_to_recordset(p_deliveries) as x (
            user_id uuid, reminder_id uuid, task_id uuid, title text, scheduled_time timestamptz,
            channel text, address text, event_id uuid)
        order by user_id, reminder_id
    loop
        perform from users where user_id = d.user_id for no key update;
        -- What leaves the system was sent, whatever became of its reminder since; in-app, this is the sending.
        continue when d.channel = 'in_app' and not exists (
            select from reminders
            where user_id = d.user_id and reminder_id = d.reminder_id and status = 'pending');
        update deliveries x set
            status = p_status, attempted_at = null, not_before = null,
            reason = case when p_status = 'failed' then coalesce(p_reason, x.reason) end,
            delivered_at = case when p_status = 'sent' then p_now end
        where x.user_id = d.user_id and x.reminder_id = d.reminder_id and x.channel = d.channel
            and x.address = d.address and x.status = 'pending'
        returning * into kept;
        continue when not found;
        recorded := recorded + 1;
        update reminders set status = (
            select case
                when bool_or(x.delivered_at <= greatest(scheduled_time, x.held_until) + interval '1 minute') then 'sent'
                when bool_or(x.status = 'sent') then 'late'
                else 'failed' end
            from deliveries x where x.user_id = d.user_id and x.reminder_id = d.reminder_id)
        where user_id = d.user_id and reminder_id = d.reminder_id and status = 'pending'
            and not exists (
                select from deliveries x
                where x.user_id = d.user_id and x.reminder_id = d.reminder_id and x.status = 'pending');
        select * into r from reminders where user_id = d.user_id and reminder_id = d.reminder_id;
        perform append_event(
            d.user_id, d.event_id, 'reminder.' || p_status, 'reminder', d.reminder_id, p_now, p_correlation_id,
            jsonb_build_object(
                'task_id', d.task_id, 'title', d.title, 'channel', d.channel, 'reminder', reminder_json(r),
                'scheduled_time', d.scheduled_time, 'held_until', kept.held_until, 'reason', kept.reason,
                'delivered_at', kept.delivered_at,
                'lateness_seconds', round(extract(epoch from p_now - greatest(d.scheduled_time, kept.held_until)), 3)));
    end loop;
    return recorded;
end $$;

-- Makes a device, or changes the one with its endpoint (its secret stays, and is not told again). Answers the
-- outcome (saved; exists: as another kind; full: one more than p_limit) and the device.
create or replace function save_device(p_user jsonb, p_device jsonb, p_limit integer)
returns table (outcome text, device jsonb) language plpgsql as $$
declare
    new devices := jsonb_populate_record(null::devices, p_device);
    saved devices;
begin
    new.user_id := p_user ->> 'user_id';
    perform lock_user(new.user_id, p_user ->> 'name', p_user ->> 'email');
    update devices d set name = new.name, p256dh = new.p256dh, auth = new.auth
    where d.user_id = new.user_id and d.endpoint = new.endpoint and d.kind = new.kind
    returning * into saved;
    if found then
        if saved.device_id <> new.device_id then  -- else it is this very command, sent again
            saved.secret := null;
        end if;
    elsif exists (select from devices d where d.user_id = new.user_id and d.endpoint = new.endpoint) then
        return query select 'exists', null::jsonb;
        return;
    elsif (select count(*) from devices d where d.user_id = new.user_id) >= p_limit then
        return query select 'full', null::jsonb;
        return;
    else
        insert into devices select new.* returning * into saved;
    end if;
    return query select 'saved', jsonb_build_object(
        'id', saved.device_id, 'kind', saved.kind, 'name', saved.name, 'endpoint', saved.endpoint,
        'created_at', saved.created_at, 'secret', saved.secret);
end $$;

-- Writes a user's settings unless they are no longer those that the change was planned on; answers whether it did.
-- What was held for quiet hours is routed again by the new ones.
create or replace function save_settings(p_user jsonb, p_old jsonb, p_new jsonb) returns boolean language plpgsql as $$
declare
    owner uuid := p_user ->> 'user_id';
    old users;
    new users;
begin
    perform lock_user(owner, p_user ->> 'name', p_user ->> 'email');
    select * into old from users where user_id = owner;
    if old is distinct from jsonb_populate_record(old, p_old) then
        return false;
    end if;
    new := jsonb_populate_record(old, p_new);
    update users set
        time_zone = new.time_zone, email_notifications = new.email_notifications, quiet_start = new.quiet_start,
        quiet_end = new.quiet_end, digest_at = new.digest_at, next_digest_at = new.next_digest_at
    where user_id = owner;
    with released as (
        update deliveries set not_before = null, held_until = null
        where user_id = owner and status = 'pending' and held_until is not null
        returning reminder_id)
    update reminders set claimed_at = null
    where user_id = owner and status = 'pending' and reminder_id in (select reminder_id from released);
    return true;
end $$;

-- Makes failed deliveries pending again, and their reminders due: the next tick sends them. One that nobody
-- waits for (its task is completed or deleted, its device removed) stays as it is. Answers how many.
create or replace function redrive_deliveries(p_user_id uuid, p_reminder_id uuid) returns integer language sql as $$
    with redriven as (
        update deliveries x set
            status = 'pending', attempts = 0, attempted_at = null, not_before = null, reason = null
        from reminders r, tasks t
        where x.status = 'failed'
            and (p_user_id is null or x.user_id = p_user_id) and (p_reminder_id is null or x.reminder_id = p_reminder_id)
            and r.user_id = x.user_id and r.reminder_id = x.reminder_id and r.status in ('sent', 'late', 'failed')
            and t.user_id = r.user_id and t.task_id = r.task_id and t.status = 'open' and t.deleted_at is null
            and (x.channel in ('in_app', 'email')
                or exists (select from devices d where d.user_id = x.user_id and d.device_id::text = x.address))
        returning x.user_id, x.reminder_id),
    due as (
        update reminders r set status = 'pending', claimed_at = null
        from redriven x where r.user_id = x.user_id and r.reminder_id = x.reminder_id)
    select count(*)::integer from redriven
$$;

-- Writes one change of a tag (tag.created, tag.updated, tag.deleted) with its event. Answers the outcome
-- (saved; exists: another tag has that name; gone: no such tag) and the tag.
create or replace function save_tag(
    p_user jsonb, p_type text, p_tag jsonb, p_event_id uuid, p_now timestamptz, p_correlation_id text
) returns table (outcome text, tag jsonb) language plpgsql as $$
declare
    owner uuid := p_user ->> 'user_id';
    id uuid := p_tag ->> 'id';
    saved tags;
begin
    perform lock_user(owner, p_user ->> 'name', p_user ->> 'email');
    if is_written(owner, p_event_id) then
        return query select 'saved', data -> 'tag' from events where user_id = owner and event_id = p_event_id;
        return;
    elsif p_type <> 'tag.created' and not exists (select from tags where user_id = owner and tag_id = id) then
        return query select 'gone', null::jsonb;
        return;
    elsif exists (select from tags where user_id = owner and key = p_tag ->> 'key' and tag_id <> id) then
        return query select 'exists', null::jsonb;
        return;
    end if;
    if p_type = 'tag.created' then
        insert into tags (user_id, tag_id, name, key, color)
        values (owner, id, p_tag ->> 'name', p_tag ->> 'key', p_tag ->> 'color') returning * into saved;
    elsif p_type = 'tag.updated' then
        update tags set
            name = coalesce(p_tag ->> 'name', name), key = coalesce(p_tag ->> 'key', key),
            color = coalesce(p_tag ->> 'color', color)
        where user_id = owner and tag_id = id returning * into saved;
    else
        delete from tags where user_id = owner and tag_id = id returning * into saved;
    end if;
    tag := jsonb_build_object('id', saved.tag_id, 'name', saved.name, 'color', saved.color);
    perform append_event(
        owner, p_event_id, p_type, 'tag', id, p_now, p_correlation_id, jsonb_build_object('tag', tag));
    outcome := 'saved';
    return next;
end $$;

-- One part of all that is a user's: items in order of section and key, from after p_after in p_section, until they have
-- p_bytes (a task counts twice: its export says it again as inputs). `more` stands on the last item of a part that is
-- full. It is stable, so all of it is of the caller's one snapshot, and it reads no more than it answers.
create or replace function export_part(p_user_id uuid, p_section text, p_after jsonb, p_bytes integer)
returns table (section text, key jsonb, item jsonb, more boolean) language plpgsql stable as $$
declare
    sections text[] := '{devices,tags,tasks,activity,deliveries,digests}';
    first integer := array_position(sections, p_section);
    nil constant uuid := '00000000-0000-0000-0000-000000000000';
    after jsonb := p_after;
    room integer := p_bytes;
    items refcursor;
begin
    foreach section in array sections[first:] loop
        if section = 'devices' then
            open items for
                select jsonb_build_array(device_id), jsonb_build_object(
                    'id', device_id, 'kind', kind, 'name', name, 'endpoint', endpoint, 'created_at', created_at)
                from devices where user_id = p_user_id and device_id > coalesce((after ->> 0)::uuid, nil)
                order by device_id;
        elsif section = 'tags' then
            open items for
                select jsonb_build_array(tag_id), jsonb_build_object('id', tag_id, 'name', name, 'color', color)
                from tags where user_id = p_user_id and tag_id > coalesce((after ->> 0)::uuid, nil)
                order by tag_id;
        elsif section = 'tasks' then
            open items for
                select jsonb_build_array(task_id), task_json(t)
                from tasks t where user_id = p_user_id and task_id >= coalesce((after ->> 0)::uuid, nil)
                    and task_id is distinct from (after ->> 0)::uuid and deleted_at is null
                order by task_id;
        elsif section = 'activity' then
            open items for
                select jsonb_build_array(seq), jsonb_build_object(
                    'id', event_id, 'seq', seq, 'event_type', event_type, 'entity_type', entity_type,
                    'entity_id', entity_id, 'timestamp', occurred_at, 'details', details)
                from activity where user_id = p_user_id and seq > coalesce((after ->> 0)::bigint, 0)
                order by seq;
        elsif section = 'deliveries' then
            open items for
                select jsonb_build_array(reminder_id, channel, address), to_jsonb(d)
                from deliveries d where user_id = p_user_id and (reminder_id, channel, address)
                    > (coalesce((after ->> 0)::uuid, nil), coalesce(after ->> 1, ''), coalesce(after ->> 2, ''))
                order by reminder_id, channel, address;
        else
            open items for
                select jsonb_build_array(day - date '2000-01-01'), to_jsonb(d)
                from digests d where user_id = p_user_id
                    and day > date '2000-01-01' + coalesce((after ->> 0)::integer, 0)
                order by day;
        end if;
        loop
            fetch items into key, item;
            exit when not found;
            room := room - octet_length(item::text) * case section when 'tasks' then 2 else 1 end;
            more := room <= 0;
            return next;
            if more then
                return;
            end if;
        end loop;
        close items;
        after := null;
    end loop;
end $$;

-- Makes an account with its user and its first refresh token; false where the address has one. The same call again finds
-- what it made.
create or replace function sign_up(
    p_user_id uuid, p_name text, p_email text, p_email_key text, p_time_zone text, p_password_hash text,
    p_family_id uuid, p_token_hash bytea, p_now timestamptz, p_expires_at timestamptz
) returns boolean language plpgsql as $$
declare
    is_new boolean;
begin
    insert into users (user_id, name, email, time_zone) values (p_user_id, p_name, p_email, p_time_zone)
    on conflict do nothing;
    is_new := found;
    insert into accounts (user_id, email_key, password_hash, password_changed_at, created_at)
    values (p_user_id, p_email_key, p_password_hash, p_now, p_now) on conflict do nothing;
    if not exists (select from accounts where user_id = p_user_id) then
        delete from users where user_id = p_user_id and is_new;
        return false;
    end if;
    return begin_sign_in(p_user_id, p_now, p_family_id, p_token_hash, p_now, p_expires_at);
end $$;

-- Makes the first refresh token of a sign-in; false where the password was changed since p_changed_at, which is of the
-- one that was verified. All that writes refresh_tokens takes turns by the row of the account.
create or replace function begin_sign_in(
    p_user_id uuid, p_changed_at timestamptz, p_family_id uuid, p_token_hash bytea, p_now timestamptz,
    p_expires_at timestamptz
) returns boolean language plpgsql as $$
begin
    perform from accounts where user_id = p_user_id and password_changed_at = p_changed_at for update;
    if not found then
        return false;
    end if;
    delete from refresh_tokens where user_id = p_user_id and expires_at <= p_now;
    insert into refresh_tokens (user_id, token_hash, family_id, began_at, expires_at)
    values (p_user_id, p_token_hash, p_family_id, p_now, p_expires_at) on conflict do nothing;
    return true;
end $$;

-- Uses a refresh token up and makes the next one. No row: it is not known, or has expired. Otherwise the outcome:
--   refreshed  as written; or it was used within p_grace and the next one not yet: the client has lost the answer
--   reused     it was used before, by somebody: its family is ended
create or replace function rotate_refresh_token(
    p_user_id uuid, p_token_hash bytea, p_next_hash bytea, p_now timestamptz, p_grace interval, p_idle interval,
    p_lifetime interval
) returns table (outcome text, family uuid, name text, email text) language plpgsql as $$
declare
    given refresh_tokens;
begin
    perform from accounts where user_id = p_user_id for update;
    select * into given from refresh_tokens t where t.user_id = p_user_id and t.token_hash = p_token_hash;
    if not found or given.expires_at <= p_now then
        return;
    end if;
    outcome := 'refreshed';
    if given.used_at is null then
        delete from refresh_tokens where user_id = p_user_id and expires_at <= p_now;
        update refresh_tokens set used_at = p_now where user_id = p_user_id and token_hash = p_token_hash;
        insert into refresh_tokens (user_id, token_hash, family_id, began_at, expires_at)
        values (p_user_id, p_next_hash, given.family_id, given.began_at,
            least(p_now + p_idle, given.began_at + p_lifetime));
    elsif given.used_at + p_grace < p_now or not exists (
        select from refresh_tokens where user_id = p_user_id and token_hash = p_next_hash and used_at is null)
    then
        delete from refresh_tokens where user_id = p_user_id and family_id = given.family_id;
        outcome := 'reused';
    end if;
    return query select outcome, given.family_id, u.name, u.email from users u where u.user_id = p_user_id;
end $$;

-- Ends a user's sign-ins, all but p_but (null: all); how many of them there were.
create or replace function end_sign_ins(p_user_id uuid, p_but uuid, p_now timestamptz) returns integer
language plpgsql as $$
declare
    ended integer;
begin
    perform from accounts where user_id = p_user_id for update;
    select count(distinct family_id) into ended from refresh_tokens
    where user_id = p_user_id and family_id is distinct from p_but and used_at is null and expires_at > p_now;
    delete from refresh_tokens where user_id = p_user_id and family_id is distinct from p_but;
    return ended;
end $$;

-- Changes the password p_old_hash and ends the sign-ins but p_but, as end_sign_ins does; null where the password is
-- another by now.
create or replace function change_password(
    p_user_id uuid, p_old_hash text, p_new_hash text, p_but uuid, p_now timestamptz
) returns integer language plpgsql as $$
begin
    update accounts set password_hash = p_new_hash, password_changed_at = p_now
    where user_id = p_user_id and password_hash in (p_old_hash, p_new_hash);
    if not found then
        return null;
    end if;
    return end_sign_ins(p_user_id, p_but, p_now);
end $$;

-- Keeps a personal token and answers its id; null where the user has p_limit of them.
create or replace function save_personal_token(
    p_user jsonb, p_token_id uuid, p_token_hash bytea, p_name text, p_scopes text[], p_now timestamptz,
    p_expires_at timestamptz, p_limit integer
) returns uuid language plpgsql as $$
declare
    owner uuid := p_user ->> 'user_id';
begin
    perform lock_user(owner, p_user ->> 'name', p_user ->> 'email');
    if not exists (select from personal_tokens where user_id = owner and token_id = p_token_id) then
        if (select count(*) from personal_tokens where user_id = owner) >= p_limit then
            return null;
        end if;
        insert into personal_tokens (user_id, token_id, token_hash, name, scopes, created_at, expires_at)
        values (owner, p_token_id, p_token_hash, p_name, p_scopes, p_now, p_expires_at);
    end if;
    return p_token_id;
end $$;
