"""Which reminders a task has, and when each one fires."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from functions.tasks.models import Reminder, ReminderSpec, Task
from functions.tasks.values import uuid7

GRACE = timedelta(minutes=1)
"""A reminder whose time passed longer ago than this when it is planned is cancelled: a task moved into the past
fires no storm, and one planned for "now" still fires."""

LATE = timedelta(minutes=1)
"""A delivery later than this is marked late."""

_Key = tuple[str | None, datetime | None, str]


def _key(spec: ReminderSpec | Reminder) -> _Key:
    return spec.offset, spec.at, spec.delivery_channel


def plan_reminders(task: Task, now: datetime) -> list[Reminder]:
    """The reminders that `task` has from `now` on by its `reminder_offset` and `reminder_specs`, given those it
    had (`task.reminders`).

    A reminder whose time did not move keeps its id and status; one that moved is a new pending one, beside
    the old one where that was sent already. Those of a completed task are cancelled.
    """
    specs = {_key(spec): spec for spec in task.reminder_specs}
    if task.reminder_offset is not None:
        own = ReminderSpec(offset=task.reminder_offset)
        specs = {_key(own): own} | specs
    before = {(_key(reminder), reminder.scheduled_time): reminder for reminder in task.reminders}
    planned: dict[object, Reminder] = {r.id: r for r in task.reminders if r.status in ("sent", "late", "failed")}
    for key, spec in specs.items():
        when = task.scheduled_time(spec)
        if when is None:
            continue
        kept = before.get((key, when))
        passed = when <= now - GRACE
        if kept is not None and (kept.status != "cancelled" or passed or task.status == "completed"):
            planned[kept.id] = kept
        else:
            added = Reminder(
                id=uuid7(now),
                offset=spec.offset,
                at=spec.at,
                scheduled_time=when,
                status="cancelled" if passed else "pending",
                delivery_channel=spec.delivery_channel,
            )
            planned[added.id] = added
    reminders = sorted(planned.values(), key=lambda reminder: (reminder.scheduled_time, reminder.id))
    return cancelled(reminders) if task.status == "completed" else reminders


def cancelled(reminders: Iterable[Reminder]) -> list[Reminder]:
    """The same reminders, none of them pending."""
    return [r.model_copy(update={"status": "cancelled"}) if r.status == "pending" else r for r in reminders]
