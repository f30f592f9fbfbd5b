"""A task's place in its series: how a series begins, how its rest goes on from another due date, what comes next."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
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


def keeping_day(task: Task, before: Task) -> Task:
    """The task after an edit, with the day of the month that its series is of written out, where the edit leaves the
    day alone and that is the last one of a shorter month: a task that is due on 28 February may be of the 31st.
    """
    rule, old = task.recurrence, before.recurrence
    if rule is None or old is None or task.due_date is None or before.series_start is None:
        return task
    unit = rule.unit or rule.type
    if unit != (old.unit or old.type) or unit not in ("month", "monthly", "year", "yearly"):
        return task
    if rule.anchor == "completion" or rule.day_of_month or rule.days_of_week or old.days_of_week:
        return task
    day = _local_day(task.due_date, task.time_zone)
    series_day = _local_day(before.series_start, before.series_time_zone or before.time_zone)
    wanted = old.day_of_month or series_day.day
    at_month_end = (day + timedelta(days=1)).day == 1
    if before.due_date is None or day != _local_day(before.due_date, before.time_zone):
        return task
    if not at_month_end or wanted <= day.day or rule.month not in (None, day.month):
        return task
    return task.model_copy(update={"recurrence": rule.model_copy(update={"day_of_month": wanted})})


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


def _local_day(due: date | datetime, time_zone: str) -> date:
    return due.astimezone(ZoneInfo(time_zone)).date() if isinstance(due, datetime) else due


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
