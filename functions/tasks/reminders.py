"""Which reminders a task has, and when each one fires."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from functions.tasks.models import Reminder, ReminderSpec, Task
from functions.tasks.values import length, uuid7

GRACE = timedelta(minutes=1)
"""A reminder whose time passed longer ago than this when it is planned is cancelled: a task moved into the past
fires no storm, and one planned for "now" still fires."""

SETTLED = ("sent", "late", "failed")
"""What nothing changes any more, but for sending it again."""

_Key = tuple[tuple[timedelta, timedelta] | None, datetime | None, str]


def spec_key(spec: ReminderSpec | Reminder) -> _Key:
    """What makes two reminders of a task the same one, however their offset is spelled."""
    return None if spec.offset is None else length(spec.offset), spec.at, spec.delivery_channel


def plan_reminders(task: Task, now: datetime) -> list[Reminder]:
    """The reminders that `task` has from `now` on by its `reminder_offset` and `reminder_specs`, given those it
    had (`task.reminders`).

    A reminder whose time did not move keeps its id and status; one that moved is a new pending one, beside
    the old one where that was sent already. One that the user cancelled stays so wherever it moves. A snoozed one
    keeps its time, as long as the task asks for what it repeats. Those of a completed task are cancelled.
    """
    specs = {spec_key(spec): spec for spec in task.reminder_specs}
    if task.reminder_offset is not None:
        own = ReminderSpec(offset=task.reminder_offset)
        specs = {spec_key(own): own} | specs
    before = {(spec_key(r), r.scheduled_time, r.snoozed_from): r for r in task.reminders}
    snoozed = [r for r in task.reminders if r.snoozed_from and not r.dismissed and r.status not in SETTLED]
    put_off = {reminder.snoozed_from for reminder in task.reminders if not reminder.dismissed}
    unwanted = {spec_key(reminder) for reminder in task.reminders if reminder.dismissed and not reminder.snoozed_from}
    wanted: list[tuple[ReminderSpec, datetime | None, UUID | None]] = []
    wanted += [(spec, task.scheduled_time(spec), None) for spec in specs.values()]
    wanted += [(specs[spec_key(r)], r.scheduled_time, r.snoozed_from) for r in snoozed if spec_key(r) in specs]
    planned: dict[object, Reminder] = {r.id: r for r in task.reminders if r.status in SETTLED}
    for spec, when, snoozed_from in wanted:
        if when is None:
            continue
        kept = before.get((spec_key(spec), when, snoozed_from))
        passed = when <= now - GRACE
        dismissed = snoozed_from is None and spec_key(spec) in unwanted
        over = passed or dismissed or task.status == "completed"
        if kept is not None and (kept.status != "cancelled" or over or kept.id in put_off):
            planned[kept.id] = kept
        else:
            added = Reminder(
                id=uuid7(now),
                offset=spec.offset,
                at=spec.at,
                scheduled_time=when,
                status="cancelled" if passed or dismissed else "pending",
                delivery_channel=spec.delivery_channel,
                snoozed_from=snoozed_from,
                dismissed=dismissed,
            )
            planned[added.id] = added
    reminders = in_order(planned.values())
    return cancelled(reminders) if task.status == "completed" else reminders


def in_order(reminders: Iterable[Reminder]) -> list[Reminder]:
    """As the API answers them: the earliest first."""
    return sorted(reminders, key=lambda reminder: (reminder.scheduled_time, reminder.id))


def cancelled(reminders: Iterable[Reminder]) -> list[Reminder]:
    """The same reminders, none of them pending."""
    return [r.model_copy(update={"status": "cancelled"}) if r.status == "pending" else r for r in reminders]
