"""A task's place in its series: how a series begins, how its rest goes on from another due date, what comes next."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from functions.tasks.errors import InvalidInput
from functions.tasks.models import Task
from functions.tasks.recurrence import Occurrence, Recurrence, next_occurrence, occurrences, starts_on_rule
from functions.tasks.rrule_text import Moment, format_rrule, parse_rrule
from functions.tasks.values import LAST_DAY, start_of_day


def begin_series(task: Task, series: UUID) -> Task:
    """The task as the first of the series `series`, or of none where it does not recur. Raises InvalidInput."""
    if task.recurrence is None or task.due_date is None:
        return task.model_copy(
            update={"recurrence_id": None, "occurrence": None, "series_start": None, "series_time_zone": None}
        )
    if next(occurrences(task.recurrence, start=task.due_date, time_zone=task.time_zone), None) is None:
        raise InvalidInput("recurrence", "has no occurrence on or after the due_date")
    return task.model_copy(
        update={
            "recurrence_id": series,
            "occurrence": 1,
            "series_start": task.due_date,
            "series_time_zone": task.time_zone,
        }
    )


def begin_rest(task: Task, series: UUID) -> Task:
    """The task as the first of the new series `series`: the rest of its own, from where it is due now.

    What the rule leaves out (its weekday, its day of the month) comes from the new due date. A count becomes what
    is left of it; days that were excluded stay so, whatever the new time of day. Raises InvalidInput.
    """
    recurrence, done = task.recurrence, (task.occurrence or 1) - 1
    if recurrence is not None:
        if recurrence.total is not None:
            recurrence = recurrence.ending_after(recurrence.total - done)
        if recurrence.excluded:
            recurrence = _excluding_days(recurrence, ZoneInfo(task.series_time_zone or task.time_zone))
    return begin_series(task.model_copy(update={"recurrence": recurrence}), series)


def next_in_series(task: Task, *, done: date | datetime, now: datetime) -> Occurrence | None:
    """The occurrence that follows this one, `done` at a time or on a day; None when its series has ended, or for a
    task without one.

    Cycles that were missed are skipped: it is later than `now`, and its number says which it is. Where the first
    due date is not itself on the rule, that counts as occurrence 1 and the rule goes on from 2 (RFC 5545 section
    3.8.2.4: DTSTART is always the first instance).
    """
    if task.recurrence is None or task.series_start is None or task.occurrence is None:
        return None
    start, time_zone = task.series_start, task.series_time_zone or task.time_zone
    shift = 0 if starts_on_rule(task.recurrence, start=start, time_zone=time_zone) else 1
    following = next_occurrence(
        task.recurrence,
        start=start,
        time_zone=time_zone,
        number=task.occurrence - shift,
        completed_at=done if isinstance(done, datetime) else start_of_day(done, ZoneInfo(time_zone)),
        now=now,
        due=task.due_date,
    )
    if following is None or following.due.year > LAST_DAY.year - 1:
        return None
    number = following.number + shift
    if task.recurrence.total is not None and number > task.recurrence.total:
        return None
    return Occurrence(number, following.due)


def _excluding_days(recurrence: Recurrence, zone: ZoneInfo) -> Recurrence:
    """The same recurrence, with whole days for the times that it excludes: it falls on a day once at most."""
    update: dict[str, object] = {"exdates": _days(recurrence.exdates, zone)}
    if recurrence.rrule is not None:
        rule, excluded = parse_rrule(recurrence.rrule)
        update["rrule"] = format_rrule(rule, _days(excluded, zone))
    return recurrence.model_copy(update=update)


def _days(moments: Iterable[Moment], zone: ZoneInfo) -> tuple[date, ...]:
    def local_day(moment: Moment) -> date:
        if not isinstance(moment, datetime):
            return moment
        return (moment if moment.tzinfo is None else moment.astimezone(zone)).date()

    return tuple(dict.fromkeys(map(local_day, moments)))
