"""What a command does to a task: pure planning, from the task as it is to a `Change` that the store writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from functions.tasks.errors import InvalidInput, StaleVersion
from functions.tasks.field_changes import Conflict
from functions.tasks.merging import made_at, noted
from functions.tasks.models import (
    CreateTask,
    DeleteTask,
    OccurrenceRef,
    Reminder,
    Task,
    TaskFields,
    UpdateTask,
    resolve_due,
)
from functions.tasks.recurrence import Occurrence
from functions.tasks.reminders import cancelled, plan_reminders, spec_key
from functions.tasks.series import begin_rest, begin_series, keeping_day, next_in_series
from functions.tasks.values import uuid7


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
    """Write only while this task is still completed and nothing follows it: the one that an occurrence follows."""
    reminder: Reminder | None = None
    """The reminder that the event is about; None for one about the task."""
    conflicts: list[Conflict] = field(default_factory=list)
    """Where it met other edits."""


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
    task = begin_series(task, task_id)
    _check_due(task)
    task = task.model_copy(update={"reminders": plan_reminders(task, now)})
    return Change(event_type="task.created", task=task, expected_version=0, tag_names=_distinct(command.tags))


def plan_update(
    command: UpdateTask, task: Task, *, now: datetime, by: UUID | None = None, conflicts: Sequence[Conflict] = ()
) -> Change | None:
    """The task with the command's fields; None when nothing changes. Raises InvalidInput and StaleVersion.

    The command was merged (merging.py), which found `conflicts`; `by` is the sign-in that it came by.

    A new `recurrence` begins a new series at this task. A new due date (or zone) alone moves this occurrence only,
    or with scope "following" the rest of its series, which is a new series then.
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
        updated = keeping_day(updated, task)
    if updated.recurrence != task.recurrence:
        updated = begin_series(updated, uuid7(now))
    elif command.scope == "following" and _when(updated) != _when(task):
        updated = begin_rest(keeping_day(updated, task), uuid7(now))
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
        task=next_version(task, updated, now, at=made_at(command, now), by=by, tags="tags" in changed),
        expected_version=task.version,
        tag_names=tag_names,
        changed=changed,
        conflicts=list(conflicts),
    )


def plan_completion(
    task: Task, *, completed: bool, version: int | None, now: datetime, occurrence: int | None = None
) -> Change | None:
    """The task completed or reopened, its reminders cancelled or planned anew; None if it is so already."""
    check_version(version, task, occurrence)
    status = "completed" if completed else "open"
    if task.status == status:
        return None
    updated = task.model_copy(update=_completion(task, status, now))
    updated = updated.model_copy(update={"reminders": plan_reminders(updated, now)})
    return Change(
        event_type="task.completed" if completed else "task.reopened",
        task=next_version(task, updated, now),
        expected_version=task.version,
        changed={"status": [task.status, status]},
    )


def plan_deletion(task: Task, *, version: int | None, now: datetime) -> Change:
    """The task deleted, its reminders cancelled."""
    check_version(version, task)
    gone = task.model_copy(update={"reminders": cancelled(task.reminders), "deleted": True})
    return Change(event_type="task.deleted", task=next_version(task, gone, now), expected_version=task.version)


def plan_skip(command: OccurrenceRef, task: Task, *, now: datetime) -> Change | None:
    """The task at the next occurrence of its series, this one left out; None if it was skipped already.

    It is deleted where nothing comes next: the series ends here, or it went on from here before (the task was
    completed and reopened). Anchored at completion, the next one is counted from the due date. Raises InvalidInput
    for a task that does not recur or is completed, and StaleVersion.
    """
    if task.recurrence is None or task.due_date is None:
        raise InvalidInput("task_id", "cannot be skipped: the task does not recur")
    if command.occurrence is not None and command.occurrence < (task.occurrence or 1):
        return None
    check_version(command.version, task, command.occurrence)
    if task.status == "completed":
        raise InvalidInput("task_id", "cannot be skipped: the task is completed")
    following = None if task.followed_by else next_in_series(task, done=task.due_date, now=now)
    if following is None:
        return plan_deletion(task, version=None, now=now)
    moved = _at(task, following, now)
    return Change(
        event_type="task.skipped",
        task=next_version(task, moved, now),
        expected_version=task.version,
        changed=_difference(task, moved),
    )


def plan_removal(command: DeleteTask, task: Task, *, now: datetime) -> Change | None:
    """The task deleted, and with it what is left of its series; with scope "this", one occurrence skipped."""
    if command.scope == "this" and task.recurrence is not None and task.status == "open":
        return plan_skip(command, task, now=now)
    check_version(command.version, task, command.occurrence)
    return plan_deletion(task, version=None, now=now)


def plan_withdrawal(task: Task, *, now: datetime) -> Change | None:
    """The next occurrence taken back, because the completion it followed was undone; None once it was touched.

    It leaves its series, so that completing again makes it again.
    """
    if task.version > 1 or task.status == "completed":
        return None
    alone = begin_series(task.model_copy(update={"recurrence": None, "follows": None}), task.id)
    return plan_deletion(alone, version=None, now=now)


def plan_next(task: Task, *, now: datetime) -> Change | None:
    """The occurrence that follows a completed one; None when its series has ended, or for a task without one."""
    following = next_in_series(task, done=task.completed_at or now, now=now)
    if following is None:
        return None
    begun = task.model_copy(
        update={
            "id": uuid7(now),
            "status": "open",
            "completed_at": None,
            "version": 1,
            "created_at": now,
            "updated_at": now,
            "follows": task.id,
            "field_changes": {},
        }
    )
    return Change(
        event_type="task.created",
        task=_at(begun, following, now),
        expected_version=0,
        tag_names=[tag.name for tag in task.tags],
        after=task.id,
    )


def check_version(given: int | None, task: Task, occurrence: int | None = None) -> None:
    """Raises StaleVersion where a command names a version, or an occurrence, that is not the task's."""
    if given is not None and given != task.version:
        raise StaleVersion(given, task.version)
    if occurrence is not None and task.occurrence is not None and occurrence != task.occurrence:
        raise StaleVersion(occurrence, task.occurrence, "occurrence")


def _at(task: Task, occurrence: Occurrence, now: datetime) -> Task:
    """The task at this occurrence of its series, as the series has it: a move of the one before was of that one
    only. Its reminders are those before the due date; those at an instant were for the one before."""
    there = task.model_copy(
        update={
            "due_date": occurrence.due,
            "all_day": not isinstance(occurrence.due, datetime),
            "time_zone": task.series_time_zone or task.time_zone,
            "occurrence": occurrence.number,
            "reminder_specs": [spec for spec in task.reminder_specs if spec.offset is not None],
            "reminders": [],
        }
    )
    return there.model_copy(update={"reminders": plan_reminders(there, now)})


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


def _when(task: Task) -> tuple[object, ...]:
    return task.due_date, task.time_zone, task.all_day


def _completion(task: Task, status: str, now: datetime) -> dict[str, Any]:
    if status == task.status:
        return {}
    return {"status": status, "completed_at": now if status == "completed" else None}


def next_version(
    old: Task, new: Task, now: datetime, *, at: datetime | None = None, by: UUID | None = None, tags: bool = False
) -> Task:
    """`new` as the version after `old`. The rest as merging.noted has it."""
    new = new.model_copy(update={"version": old.version + 1, "updated_at": now})
    return new.model_copy(update={"field_changes": noted(old, new, at=at or now, by=by, tags=tags)})


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
    asked = [{spec_key(spec) for spec in task.reminder_specs} for task in (old, new)]
    if old.reminders != new.reminders or asked[0] != asked[1]:
        told = {"scheduled_time", "status", "delivery_channel"}
        changed["reminders"] = [
            [r.model_dump(mode="json", include=told) for r in task.reminders] for task in (old, new)
        ]
    return changed
