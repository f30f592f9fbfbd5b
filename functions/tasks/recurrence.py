"""Recurrence: the series of occurrences that a task's `recurrence` makes.

A series is expanded by local wall time: the days come from the rule, the time of day from the first due date,
and each pair is read in the task's time zone. What follows from that, and what was decided:

- **DST.** 09:00 stays 09:00. A wall time that falls in a gap moves forward by the gap's length, on that day
  alone; of a repeated one the first is taken (RFC 5545 section 3.3.5, as the end of 3.3.10 asks; the sentence
  there that would drop such instances contradicts it, and a task must not be lost). Days that meet at one
  instant, because the zone left out a whole day, are one occurrence. On `start`'s own day it is `start`.
- **A day that a month lacks.** In the `type` form, the month's last day instead, and the 31st (or Feb 29)
  again where there is one; a fifth weekday that a month lacks is its last. The `rrule` form skips them.
- **What is left out** comes from the start of the series, for ever: its weekday, its day of the month, its
  month. So nothing drifts. Weeks begin on Monday, or on WKST.
- **The end.** `end_date` and UNTIL are inclusive; a date means the whole local day, a time without offset is
  local. `count` and COUNT count from the first occurrence. In the `type` form the two may both be there.
- **Numbers.** Occurrences are numbered from 1 in the rule's own set. An excluded one keeps its number and
  counts towards `count` (RFC 5545 section 3.8.5.3: EXDATE comes after the rule): skipping renumbers none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import BaseModel, Field

from functions.tasks.errors import InvalidInput
from functions.tasks.models import Input
from functions.tasks.recurrence_model import Recurrence
from functions.tasks.recurrence_text import in_words
from functions.tasks.rrule_days import explicit, numbered_days
from functions.tasks.rrule_text import Moment, Rule, format_rrule, parse_rrule
from functions.tasks.values import DueDate, Int, ZoneName, from_wall

__all__ = [
    "MAX_PREVIEW",
    "Occurrence",
    "Preview",
    "Recurrence",
    "describe",
    "next_occurrence",
    "occurrences",
    "preview",
    "starts_on_rule",
    "to_rrule",
]

MAX_PREVIEW = 500


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One occurrence of a series: its number, from 1, and when it is due (a date, or a UTC instant)."""

    number: int
    due: date | datetime


class PreviewRecurrence(Input):
    """A date as `due_date` previews an all-day series."""

    recurrence: Recurrence
    due_date: DueDate
    time_zone: ZoneName | None = None
    count: Annotated[Int, Field(ge=1, le=500)] = 10


class Preview(BaseModel):
    """What a recurrence means: its next occurrences, in words, and as RFC 5545 text."""

    occurrences: list[DueDate]
    text: str
    rrule: str


def occurrences(recurrence: Recurrence, *, start: date | datetime, time_zone: str) -> Iterator[Occurrence]:
    """The series in order: the first one is `start` if the rule matches it, else the first after it.

    `start` is a date (all-day) or an aware datetime; each `due` is of the same kind, instants in UTC.
    """
    return _Series.of(recurrence, start, time_zone).walk()


def next_occurrence(
    recurrence: Recurrence,
    *,
    start: date | datetime,
    time_zone: str,
    number: int,
    completed_at: datetime,
    now: datetime,
    due: date | datetime | None = None,
) -> Occurrence | None:
    """The occurrence that follows number `number` once that is completed; None when the series has ended.

    It is the first one with a higher number that is later than `now` (for an all-day series: on a later local
    day than today), so cycles that were missed are skipped, and its number says how many. One completed early
    is followed by the very next one.

    With `anchor: completion` the rule is counted anew from the local day of completing, at the same wall
    time, and the next one is always `number` + 1. A plain interval falls that much after that day. A rule
    that names days (of the week, month or year) falls on the first of them after that day and after `due`,
    the completed one's own due date; its interval counts from the week, month or year of completing. `count`
    then counts completions.
    """
    # Two days back, as a gap can move the time of one day into the next.
    recent = now.astimezone(ZoneInfo(time_zone)).date() - timedelta(days=2)
    if recurrence.anchor == "due_date":
        series = _Series.of(recurrence, start, time_zone)
        later = series.walk(since=recent)
        return next((one for one in later if one.number > number and series.is_later(one.due, now)), None)
    if recurrence.total is not None and number >= recurrence.total:
        return None
    series = _Series.of(recurrence, start, time_zone, completed_at)
    series = replace(series, rule=replace(series.rule, count=None))
    floor = series.first
    if recurrence.names_days and due is not None:
        floor = max(floor, series.local_day(due))
    for one in series.walk(since=max(floor, recent)):
        if series.local_day(one.due) > floor and series.is_later(one.due, now):
            return Occurrence(number + 1, one.due)
    return None


def starts_on_rule(recurrence: Recurrence, *, start: date | datetime, time_zone: str) -> bool:
    """Whether `start` is itself an occurrence of the rule (an excluded one, too)."""
    series = _Series.of(recurrence, start, time_zone)
    first = next(numbered_days(series.rule, first=series.first, since=series.first), None)
    return first is not None and first[1] == series.first


def preview(recurrence: Recurrence, *, start: date | datetime, time_zone: str, count: int = 10) -> Preview:
    """The first `count` (1 to MAX_PREVIEW) occurrences, the rule in words and text. Raises InvalidInput."""
    if not 1 <= count <= MAX_PREVIEW:
        raise InvalidInput("count", f"must be 1 to {MAX_PREVIEW}")
    series = occurrences(recurrence, start=start, time_zone=time_zone)
    return Preview(
        occurrences=[occurrence.due for occurrence in islice(series, count)],
        text=describe(recurrence, start=start, time_zone=time_zone),
        rrule=to_rrule(recurrence, start=start, time_zone=time_zone),
    )


def describe(recurrence: Recurrence, *, start: date | datetime, time_zone: str) -> str:
    """The recurrence in English words, e.g. "every 2 weeks on Monday and Thursday until 2027-03-01"."""
    series = _Series.of(recurrence, start, time_zone)
    return in_words(
        explicit(series.rule, series.first),
        until=None if series.rule.until is None else series.local_day(series.rule.until),
        excluded=len(recurrence.excluded),
        from_completion=recurrence.anchor == "completion",
        plain=not recurrence.names_days,
    )


def to_rrule(recurrence: Recurrence, *, start: date | datetime, time_zone: str) -> str:
    """The recurrence as RFC 5545 text of the same meaning, for a DTSTART of `start`; accepted as `rrule`.

    The `rrule` form keeps its parts, in canonical order. The `type` form is explicit in every part, and its
    UNTIL and EXDATE are of the value type of the start: dates for an all-day series, else UTC.
    """
    series = _Series.of(recurrence, start, time_zone)
    rule = series.rule
    exdates = tuple(map(series.as_due, recurrence.exdates))
    if recurrence.rrule is not None:
        return format_rrule(rule, parse_rrule(recurrence.rrule)[1] + exdates)
    if rule.count is not None and rule.until is not None:
        # RFC 5545 section 3.3.10 allows one of the two: how many there are until the end.
        numbers = [one.number for one in replace(series, excluded=()).walk()]
        if numbers:
            return format_rrule(replace(rule, until=None, count=numbers[-1]), exdates)
        rule = replace(rule, count=None)
    until = None if rule.until is None else series.as_due(rule.until)
    return format_rrule(replace(rule, until=until), exdates)


@dataclass(frozen=True)
class _Series:
    """A rule with where and when it starts."""

    rule: Rule
    excluded: tuple[Moment, ...]
    start: date | datetime
    zone: ZoneInfo
    first: date
    """The local day that the rule is counted from: the one of `start`, or of a completion."""
    start_day: date
    time_of_day: time

    @classmethod
    def of(
        cls,
        recurrence: Recurrence,
        start: date | datetime,
        time_zone: str,
        completed_at: datetime | None = None,
    ) -> _Series:
        if isinstance(start, datetime) and start.tzinfo is None:
            raise ValueError("a start that is a datetime needs an offset")
        zone = ZoneInfo(time_zone)
        start_day = _local_day(start, zone)
        first = start_day if completed_at is None else _local_day(completed_at, zone)
        time_of_day = start.astimezone(zone).time() if isinstance(start, datetime) else time()
        return cls(recurrence.rule(first), recurrence.excluded, start, zone, first, start_day, time_of_day)

    def walk(self, since: date = date.min) -> Iterator[Occurrence]:
        """The occurrences in order; those due before the local day `since` may be left out."""
        excluded = {_whole_seconds(self.as_due(m) if self.all_day else m) for m in self.excluded}
        entry = self.first if since <= self.first or self._skipped_a_day(since) else since
        last: date | datetime | None = None
        merged = 0
        for number, day in numbered_days(self.rule, first=self.first, since=entry):
            if day < entry:
                continue
            due = self._due_on(day)
            ended = self.rule.count is not None and number - merged > self.rule.count
            if ended or not self._within(day, due):
                return
            if last is not None and due <= last:
                merged += 1
                continue
            last = due
            if excluded.isdisjoint((day, self._wall(day), _whole_seconds(due))):
                yield Occurrence(number - merged, due)

    def local_day(self, moment: Moment) -> date:
        return _local_day(moment, self.zone)

    def is_later(self, due: date | datetime, now: datetime) -> bool:
        return due > (now if isinstance(due, datetime) else self.local_day(now))

    def as_due(self, moment: Moment) -> date | datetime:
        """A day, instant or wall time as what this series is due by: a day, or an instant."""
        if self.all_day:
            return self.local_day(moment)
        if not isinstance(moment, datetime):
            return self._due_on(moment)
        return from_wall(moment, self.zone) if moment.tzinfo is None else moment

    @property
    def all_day(self) -> bool:
        return not isinstance(self.start, datetime)

    def _due_on(self, day: date) -> date | datetime:
        if not isinstance(self.start, datetime):
            return day
        if day == self.start_day:
            return self.start.astimezone(UTC)  # in a repeated hour the wall time alone would not tell which
        return from_wall(self._wall(day), self.zone)

    def _wall(self, day: date) -> datetime:
        """The naive local time of the occurrence on `day`, in or out of a gap."""
        return datetime.combine(day, self.time_of_day)

    def _within(self, day: date, due: date | datetime) -> bool:
        """Whether an occurrence is not after UNTIL, which is inclusive; to the second, as it is written."""
        until = self.rule.until
        if until is None:
            return True
        if self.all_day or not isinstance(until, datetime):
            return day <= self.local_day(until)
        return _whole_seconds(due if until.tzinfo is not None else self._wall(day)) <= _whole_seconds(until)

    def _skipped_a_day(self, since: date) -> bool:
        """Whether the zone may have crossed the date line before `since`, so that two days became one."""
        if self.all_day:
            return False
        before, after = (self._wall(day).replace(tzinfo=self.zone).utcoffset() for day in (self.first, since))
        return abs((after or timedelta()) - (before or timedelta())) >= timedelta(hours=12)


def _local_day(moment: Moment, zone: ZoneInfo) -> date:
    if not isinstance(moment, datetime):
        return moment
    try:
        return moment.date() if moment.tzinfo is None else moment.astimezone(zone).date()
    except OverflowError:
        return moment.date()  # an UNTIL at the very end of the calendar


def _whole_seconds(moment: Moment) -> Moment:
    return moment.replace(microsecond=0) if isinstance(moment, datetime) else moment
