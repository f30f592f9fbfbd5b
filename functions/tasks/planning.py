"""What a command does to a task: pure planning, from the task as it is to a `Change` that the store writes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from functions.tasks.errors import InvalidInput, StaleVersion
from functions.tasks.models import CreateTask, Task, TaskFields, UpdateTask, resolve_due
from functions.tasks.recurrence import next_occurrence, occurrences, starts_on_rule
from functions.tasks.reminders import cancelled, plan_reminders
from functions.tasks.values import LAST_DAY, uuid7


@dataclass(frozen=True, kw_only=True)
class Change:
    """One change of one task, to be written with its event in one transaction."""

    event_type: str
    task: Task
    expected_version: int
    """The version that this was planned on; 0 for a task that must not exist yet."""
    tag_names: list[str] | None = None
    """The tags that the task has from now on; None leaves them as they are."""
    changed: dict[str, list[Any]] = field(default_factory=dict)
    """For the log: each changed field's old and new value, as JSON."""
    after: UUID | None = None
    """Write only while this task is still completed (the one that an occurrence follows)."""


def plan_create(command: CreateTask, *, time_zone: str, now: datetime) -> Change:
    """A new task. `time_zone` is the user's, for a command without one. Raises InvalidInput."""
    task_id = command.id or uuid7(now)
    task = Task(
        id=task_id,
        title=command.title,
        description=command.description,
        priority=command.priority,
        due_date=command.due_date,
        time_zone=command.time_zone or time_zone,
        all_day=resolve_due(command.due_date, command.all_day),
        reminder_offset=command.reminder_offset,
        recurrence=command.recurrence,
        reminder_specs=command.reminders,
        created_at=now,
        updated_at=now,
    )
    task = _start_series(task, task_id)
    _check_due(task)
    task = task.model_copy(update={"reminders": plan_reminders(task, now)})
    return Change(event_type="task.created", task=task, expected_version=0, tag_names=_distinct(command.tags))


def plan_update(command: UpdateTask, task: Task, *, now: datetime) -> Change | None:
    """The task with the command's fields; None when nothing changes. Raises InvalidInput and StaleVersion.

    A new `recurrence` begins a new series at this task. A new due date alone moves this occurrence only.
    """
    check_version(command.version, task)
    named = set(TaskFields.model_fields) if command.replace else command.model_fields_set
    values = {name: getattr(command, name) for name in named & set(TaskFields.model_fields)}
    tag_names = values.pop("tags", None)
    if "reminders" in values:
        values["reminder_specs"] = values.pop("reminders")
    if values.get("time_zone", "") is None:
        values["time_zone"] = task.time_zone
    values.pop("status", None)
    status = command.status if "status" in command.model_fields_set else task.status
    all_day = values.pop("all_day", None)
    if "due_date" in values or all_day is not None:
        values["all_day"] = resolve_due(values.get("due_date", task.due_date), all_day)
    if not command.replace and values.get("due_date", "") is None and "reminder_offset" not in values:
        # What counts from the due date goes with it.
        values["reminder_offset"] = None
        values.setdefault("reminder_specs", [spec for spec in task.reminder_specs if spec.offset is None])
    updated = task.model_copy(update=values)
    if updated.recurrence != task.recurrence:
        updated = _start_series(updated, uuid7(now) if task.recurrence_id else task.id)
    _check_due(updated)
    updated = updated.model_copy(update=_completion(updated, status, now))
    updated = updated.model_copy(update={"reminders": plan_reminders(updated, now)})
    changed = _difference(task, updated)
    if tag_names is not None:
        tag_names = _distinct(tag_names)
        if {name.casefold() for name in tag_names} != {tag.name.casefold() for tag in task.tags}:
            changed["tags"] = [[tag.name for tag in task.tags], tag_names]
    if not changed:
        return None
    event_type = "task.updated"
    if updated.status != task.status:
        event_type = "task.completed" if updated.status == "completed" else "task.reopened"
    return Change(
        event_type=event_type,
        task=_next_version(updated, now),
        expected_version=task.version,
        tag_names=tag_names,
        changed=changed,
    )


def plan_completion(task: Task, *, completed: bool, version: int | None, now: datetime) -> Change | None:
    """The task completed or reopened, its reminders cancelled or planned anew; None if it is so already."""
    check_version(version, task)
    status = "completed" if completed else "open"
    if task.status == status:
        return None
    updated = task.model_copy(update=_completion(task, status, now))
    updated = updated.model_copy(update={"reminders": plan_reminders(updated, now)})
    return Change(
        event_type="task.completed" if completed else "task.reopened",
        task=_next_version(updated, now),
        expected_version=task.version,
        changed={"status": [task.status, status]},
    )


def plan_deletion(task: Task, *, version: int | None, now: datetime) -> Change:
    """The task deleted, its reminders cancelled."""
    check_version(version, task)
    gone = task.model_copy(update={"reminders": cancelled(task.reminders)})
    return Change(event_type="task.deleted", task=_next_version(gone, now), expected_version=task.version)


def plan_withdrawal(task: Task, *, now: datetime) -> Change | None:
    """The next occurrence taken back, because the completion it followed was undone; None once it was touched.

    It leaves its series, so that completing again makes it again.
    """
    if task.version > 1 or task.status == "completed":
        return None
    alone = task.model_copy(
        update={"recurrence": None, "recurrence_id": None, "occurrence": None, "series_start": None}
    )
    return plan_deletion(alone, version=None, now=now)


def plan_next(task: Task, *, now: datetime) -> Change | None:
    """The occurrence that follows a completed one; None when its series has ended, or for a task without one.

    Cycles that were missed are skipped: the next one is in the future, and `occurrence` says which it is.
    Where the first due date is not itself on the rule, it counts as occurrence 1 and the rule goes on from 2
    (RFC 5545 section 3.8.2.4: DTSTART is always the first instance).
    """
    if task.recurrence is None or task.series_start is None or task.occurrence is None:
        return None
    start = task.series_start
    shift = 0 if starts_on_rule(task.recurrence, start=start, time_zone=task.time_zone) else 1
    following = next_occurrence(
        task.recurrence,
        start=start,
        time_zone=task.time_zone,
        number=task.occurrence - shift,
        completed_at=task.completed_at or now,
        now=now,
        due=task.due_date,
    )
    if following is None or following.due.year > LAST_DAY.year - 1:
        return None
    number = following.number + shift
    if task.recurrence.total is not None and number > task.recurrence.total:
        return None
    spawned = Task(
        **{name: getattr(task, name) for name in ("title", "description", "priority", "time_zone", "reminder_offset")},
        all_day=not isinstance(following.due, datetime),
        reminder_specs=[spec for spec in task.reminder_specs if spec.offset is not None],
        id=uuid7(now),
        due_date=following.due,
        recurrence=task.recurrence,
        recurrence_id=task.recurrence_id,
        occurrence=number,
        series_start=start,
        created_at=now,
        updated_at=now,
    )
    spawned = spawned.model_copy(update={"reminders": plan_reminders(spawned, now)})
    return Change(
        event_type="task.created",
        task=spawned,
        expected_version=0,
        tag_names=[tag.name for tag in task.tags],
        after=task.id,
    )


def check_version(given: int | None, task: Task) -> None:
    """Raises StaleVersion unless `given` is None or the task's version."""
    if given is not None and given != task.version:
        raise StaleVersion(given, task.version)


def _check_due(task: Task) -> None:
    """Refuses what needs a due date, where there is none."""
    if task.due_date is not None:
        return
    if task.recurrence is not None:
        raise InvalidInput("recurrence", "needs a due_date")
    if task.reminder_offset is not None:
        raise InvalidInput("reminder_offset", "needs a due_date")
    for index, spec in enumerate(task.reminder_specs):
        if spec.offset is not None:
            raise InvalidInput(f"reminders.{index}.offset", "needs a due_date")


def _start_series(task: Task, series: UUID) -> Task:
    """Makes the task the first of the series `series`, or of none."""
    start = task.due_date if task.recurrence is not None else None
    if task.recurrence is not None and start is not None:
        if next(occurrences(task.recurrence, start=start, time_zone=task.time_zone), None) is None:
            raise InvalidInput("recurrence", "has no occurrence on or after the due_date")
        return task.model_copy(update={"recurrence_id": series, "occurrence": 1, "series_start": start})
    return task.model_copy(update={"recurrence_id": None, "occurrence": None, "series_start": None})


def _completion(task: Task, status: str, now: datetime) -> dict[str, Any]:
    if status == task.status:
        return {}
    return {"status": status, "completed_at": now if status == "completed" else None}


def _next_version(task: Task, now: datetime) -> Task:
    return task.model_copy(update={"version": task.version + 1, "updated_at": now})


def _distinct(names: list[str]) -> list[str]:
    """Each tag once, as first written: names that differ in case only are one tag."""
    seen: dict[str, str] = {}
    for name in names:
        seen.setdefault(name.casefold(), name)
    return list(seen.values())


def _difference(old: Task, new: Task) -> dict[str, list[Any]]:
    ignored = {"reminders", "tags", "version", "updated_at", "completed_at"}
    before, after = old.model_dump(mode="json", exclude=ignored), new.model_dump(mode="json", exclude=ignored)
    changed = {name: [before[name], after[name]] for name in after if before[name] != after[name]}
    if old.reminders != new.reminders or old.reminder_specs != new.reminder_specs:
        changed["reminders"] = [
            [r.model_dump(mode="json", include={"scheduled_time", "status"}) for r in task.reminders]
            for task in (old, new)
        ]
    return changed
