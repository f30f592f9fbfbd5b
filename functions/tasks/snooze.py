"""What a user does to one reminder of a task: put it off, or cancel it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from functions.tasks.errors import InvalidInput, NotFound
from functions.tasks.models import Input, Reminder, Task
from functions.tasks.planning import Change, next_version
from functions.tasks.reminders import SETTLED, in_order
from functions.tasks.values import Instant, Int, uuid7


class ManageReminders(Input):
    """`action` is said by the REST path. list is of the task `task_id`; snooze and cancel are of `reminder_id`."""

    action: Literal["list", "snooze", "cancel"] = "list"
    task_id: UUID | None = None
    reminder_id: UUID | None = None
    minutes: Annotated[Int, Field(ge=1, le=10_080)] | None = Field(default=None, description="snooze: from now")
    until: Instant | None = Field(default=None, description="snooze: or until an instant")


class ReminderList(BaseModel):
    items: list[Reminder]


def check(command: ManageReminders, now: datetime) -> tuple[str, UUID, datetime]:
    """The action, the task or reminder that it is of, and until when to snooze (now for the others). Raises
    InvalidInput for a field that is missing, or not for this action."""
    needed = "task_id" if command.action == "list" else "reminder_id"
    times = command.model_dump(include={"minutes", "until"}, exclude_none=True)
    for field in ("task_id", "reminder_id"):
        if (getattr(command, field) is not None) != (field == needed):
            raise InvalidInput(field, "is required" if field == needed else f"is not for {command.action}")
    if command.action != "snooze":
        if times:
            raise InvalidInput(next(iter(times)), f"is not for {command.action}")
        return command.action, getattr(command, needed), now
    if len(times) != 1:
        raise InvalidInput("minutes", "give either minutes or until")
    until = command.until or now + timedelta(minutes=command.minutes or 0)
    if until <= now:
        raise InvalidInput("until", "must be in the future")
    return command.action, getattr(command, needed), until


def plan_snooze(task: Task, reminder_id: UUID, *, until: datetime, now: datetime) -> Change | None:
    """A new reminder that repeats this one at `until`; None if it is there already.

    So it is delivered on every channel again, whatever was delivered before. The old one keeps its status where it
    was sent, and is cancelled where it was pending; what it was put off to before is dismissed, so that one copy at
    most is pending. Raises NotFound, and InvalidInput for a completed task.
    """
    reminder = _find(task, reminder_id)
    if task.status == "completed":
        raise InvalidInput("reminder_id", "cannot be snoozed: the task is completed")
    family = _family(task.reminders, reminder)
    if any(one.scheduled_time == until and one.snoozed_from and one.status == "pending" for one in family):
        return None
    added = reminder.model_copy(
        update={
            "id": uuid7(now),
            "scheduled_time": until,
            "status": "pending",
            "snoozed_from": reminder.snoozed_from or reminder.id,
            "dismissed": False,
        }
    )
    ended = {
        one.id: one.model_copy(update={"status": "cancelled", "dismissed": one.snoozed_from is not None})
        for one in family
        if one.status == "pending"
    }
    return _change("reminder.snoozed", task, [*(ended.get(one.id, one) for one in task.reminders), added], added, now)


def plan_cancel(task: Task, reminder_id: UUID, *, now: datetime) -> Change | None:
    """This reminder, and what it was put off to, cancelled for good; None if it is so already.

    It comes back with no change of its task but to ask for another one instead. Raises NotFound, and InvalidInput
    for one that was sent and not put off since.
    """
    reminder = _find(task, reminder_id)
    family = _family(task.reminders, reminder)
    ended = {
        one.id: one.model_copy(update={"status": "cancelled", "dismissed": True})
        for one in family
        if one.status not in SETTLED and not one.dismissed
    }
    if not ended:
        if any(one.dismissed for one in family):
            return None
        raise InvalidInput("reminder_id", "cannot be cancelled: it was sent already")
    last = ended.get(latest(task, reminder_id).id, next(iter(ended.values())))
    return _change("reminder.cancelled", task, [ended.get(one.id, one) for one in task.reminders], last, now)


def latest(task: Task, reminder_id: UUID) -> Reminder:
    """This reminder, or the last one that it was put off to. Raises NotFound."""
    family = _family(task.reminders, _find(task, reminder_id))
    return max(family, key=lambda one: (one.status == "pending", one.id))


def _find(task: Task, reminder_id: UUID) -> Reminder:
    for reminder in task.reminders:
        if reminder.id == reminder_id:
            return reminder
    raise NotFound("reminder")


def _family(reminders: Iterable[Reminder], reminder: Reminder) -> list[Reminder]:
    """The reminder that this one began as, and all that it was put off to."""
    first = reminder.snoozed_from or reminder.id
    return [one for one in reminders if first in (one.id, one.snoozed_from)]


def _change(event_type: str, task: Task, reminders: list[Reminder], about: Reminder, now: datetime) -> Change:
    return Change(
        event_type=event_type,
        task=next_version(task, task.model_copy(update={"reminders": in_order(reminders)}), now),
        expected_version=task.version,
        reminder=about,
    )
