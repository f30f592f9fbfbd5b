-- Edits of a series, and reminders that are put off or cancelled.

alter table tasks
    add series_time_zone text,             -- the zone that occurrences are counted in; time_zone is this one's own
    add follows          uuid;             -- the completed task that this one is the next occurrence of
update tasks set series_time_zone = time_zone where series_start is not null;
update tasks t set follows = p.task_id
from (
    select user_id, task_id, lead(task_id) over (partition by user_id, recurrence_id order by occurrence) as next
    from tasks where recurrence_id is not null) p
where t.user_id = p.user_id and t.task_id = p.next;
-- A completed task is followed by one at most, whatever becomes of that one.
create unique index tasks_follows on tasks (user_id, follows) where follows is not null;

alter table reminders
    add snoozed_from uuid,                 -- the reminder that this one repeats at a later time
    add dismissed    boolean not null default false;  -- the user wants no more of it
