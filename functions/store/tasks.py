"""Tasks and their tags, reminders and occurrences."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from functions.store.database import Database, json_time
from functions.tasks.errors import AlreadyExists, NotFound, StaleVersion
from functions.tasks.models import Caller, Task
from functions.tasks.planning import Change, check_version, plan_withdrawal
from functions.tasks.query import words_of
from functions.tasks.tags import color_of
from functions.tasks.values import fold, uuid7

RETRIES = 10
"""How often a command without a version is planned again on a task that another command changed meanwhile."""


class Tasks:
    def __init__(self, database: Database) -> None:
        self._database = database

    def time_zone(self, caller: Caller) -> str:
        """The zone of the caller, for a task that names none."""
        row = self._database.of(caller.user_id).one("select time_zone from users where user_id = %s", (caller.user_id,))
        return row["time_zone"] if row else "UTC"

    def get(self, caller: Caller, task_id: UUID) -> Task:
        """Raises NotFound."""
        row = self._database.of(caller.user_id).one(
            "select task_json(t) || jsonb_build_object('followed_by', f.task_id) as task from tasks t"
            " left join tasks f on f.user_id = t.user_id and f.follows = t.task_id"
            " where t.user_id = %s and t.task_id = %s and t.deleted_at is null",
            (caller.user_id, task_id),
        )
        if row is None:
            raise NotFound("task")
        return Task.model_validate(row["task"])

    def add(self, change: Change, caller: Caller) -> Task:
        """Writes a new task; the one that is there already when it was created before.

        Raises AlreadyExists for the id of a task that was deleted.
        """
        outcome, task = self._save(change, caller)
        if outcome == "gone" or task is None:
            raise AlreadyExists("a task with this id was deleted")
        return task

    def completed(self, caller: Caller, task_id: UUID) -> Task | None:
        """The task as it is now, if it is completed; one that was deleted since, too."""
        row = self._database.of(caller.user_id).one(
            "select task_json(t) as task from tasks t where user_id = %s and task_id = %s and status = 'completed'",
            (caller.user_id, task_id),
        )
        return Task.model_validate(row["task"]) if row else None

    def follow(self, change: Change, caller: Caller) -> Task | None:
        """Writes the next occurrence of a series once; None when it is there, or the completion was undone."""
        outcome, task = self._save(change, caller)
        return task if outcome == "saved" else None

    def change(self, caller: Caller, task_id: UUID, plan: Callable[[Task], Change | None]) -> Task:
        """Reads, plans and writes; planned anew when another command changed the task in between.

        `plan` raises StaleVersion for a command that named a version. Raises NotFound, and StaleVersion when the
        other command moved the task to another occurrence: this one was not for that.
        """
        meant: int | None = None
        for _ in range(RETRIES):
            task = self.get(caller, task_id)
            change = plan(task)
            if change is None:
                return task
            check_version(None, task, meant)
            meant = task.occurrence
            outcome, saved = self._save(change, caller)
            if outcome == "saved" and saved is not None:
                return saved
            if outcome == "gone":
                raise NotFound("task")
        raise StaleVersion(task.version, task.version + 1)

    def withdraw_next(self, caller: Caller, task: Task, now: datetime) -> None:
        """Takes back the occurrence that follows `task`, which was opened again, unless it was touched."""
        row = self._database.of(caller.user_id).one(
            "select task_id from tasks where user_id = %s and follows = %s and deleted_at is null",
            (caller.user_id, task.id),
        )
        if row is not None:
            with suppress(NotFound):
                self.change(caller, row["task_id"], lambda following: plan_withdrawal(following, now=now))

    def of_reminder(self, caller: Caller, reminder_id: UUID) -> UUID:
        """The id of the task that a reminder is of. Raises NotFound."""
        row = self._database.of(caller.user_id).one(
            "select task_id from reminders join tasks using (user_id, task_id)"
            " where user_id = %s and reminder_id = %s and deleted_at is null",
            (caller.user_id, reminder_id),
        )
        if row is None:
            raise NotFound("reminder")
        task_id: UUID = row["task_id"]
        return task_id

    def _save(self, change: Change, caller: Caller) -> tuple[str, Task | None]:
        row = self._database.of(caller.user_id).one(
            "select * from save_task(%(user)s, %(task)s, %(expected_version)s, %(after)s,"
            " %(tags)s, %(reminders)s, %(event)s)",
            {
                "user": Jsonb(caller.model_dump(mode="json")),
                "task": Jsonb(_columns(change)),
                "expected_version": change.expected_version,
                "after": change.after,
                "tags": None if change.tag_names is None else Jsonb(_tags(change)),
                "reminders": Jsonb(_reminders(change)),
                "event": Jsonb(
                    {
                        "event_id": str(uuid7(change.task.updated_at)),
                        "type": change.event_type,
                        "occurred_at": json_time(change.task.updated_at),
                        "correlation_id": caller.correlation_id,
                        **_subject(change),
                    }
                ),
            },
        )
        assert row is not None
        if row["outcome"] == "saved":
            self._database.changed([caller.user_id])
        return row["outcome"], Task.model_validate(row["task"]) if row["task"] else None


def _columns(change: Change) -> dict[str, Any]:
    task = change.task
    columns = task.model_dump(
        mode="json",
        include={
            "title", "description", "status", "priority", "time_zone", "reminder_offset", "recurrence",
            "recurrence_id", "occurrence", "version", "created_at", "updated_at", "completed_at",
        },
    )  # fmt: skip
    return columns | {
        "task_id": str(task.id),
        "due_at": json_time(task.due_at),
        "due_on": task.due_date.isoformat() if task.all_day and task.due_date else None,
        "overdue_at": json_time(task.overdue_at),
        "reminder_specs": [spec.model_dump(mode="json") for spec in task.reminder_specs],
        "series_start": task.series_start.isoformat() if task.series_start else None,
        "series_time_zone": task.series_time_zone,
        "follows": str(task.follows) if task.follows else None,
        "field_changes": {unit: change.model_dump(mode="json") for unit, change in task.field_changes.items()},
        "deleted_at": json_time(task.updated_at) if change.event_type == "task.deleted" else None,
        "title_key": fold(task.title)[:200],
        "words": words_of(f"{task.title} {task.description}"),
    }


def _tags(change: Change) -> list[dict[str, str]]:
    now = change.task.updated_at
    return [
        {
            "tag_id": str(uuid7(now)),
            "name": name,
            "key": name.casefold(),
            "color": color_of(name),
            "event_id": str(uuid7(now)),
        }
        for name in change.tag_names or ()
    ]


def _reminders(change: Change) -> list[dict[str, Any]]:
    return [
        {
            "reminder_id": str(reminder.id),
            "dismissed": reminder.dismissed,
            **reminder.model_dump(mode="json", exclude={"id"}),
        }
        for reminder in change.task.reminders
    ]


def _subject(change: Change) -> dict[str, Any]:
    """What the event of a change is about, and what it says beside the task."""
    if (reminder := change.reminder) is None:
        data: dict[str, Any] = {"changes": change.changed} if change.changed else {}
        if change.conflicts:
            data["conflicts"] = [conflict.model_dump(mode="json") for conflict in change.conflicts]
        return {"entity_type": "task", "entity_id": str(change.task.id), "data": data}
    data = {"task_id": str(change.task.id), "title": change.task.title, "reminder": reminder.model_dump(mode="json")}
    return {"entity_type": "reminder", "entity_id": str(reminder.id), "data": data}
