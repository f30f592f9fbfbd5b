"""The local days that a rule falls on, by dateutil.rrule, in order and numbered from 1.

dateutil's expansion is used where it means what RFC 5545 says; around it:
- every implied part is made explicit first, so that any period of the rule can be the place to begin at:
  a daily or weekly series is entered near the day asked for, not walked from its start;
- `BYDAY=MO,1TU` (plain and numbered together) is a union in the RFC, an intersection in dateutil;
- the first week of a rule with BYSETPOS begins at its WKST, not at the start's own day;
- BYWEEKNO without a day takes the start's weekday, not the whole week;
- a rule that never falls on any day is recognised within a cycle of the calendar, not searched to year 9999.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from math import lcm
from typing import Final, Literal

from dateutil import rrule as dateutil

from functions.tasks.rrule_text import Frequency, Rule, WeekdayNum
from functions.tasks.values import LAST_DAY

_FREQUENCIES: Final[dict[Frequency, Literal[0, 1, 2, 3]]] = {
    "YEARLY": dateutil.YEARLY,
    "MONTHLY": dateutil.MONTHLY,
    "WEEKLY": dateutil.WEEKLY,
    "DAILY": dateutil.DAILY,
}
_CYCLE_YEARS = 400
_CYCLE_DAYS = 146_097
"""After 400 years, 146,097 days (whole weeks), the Gregorian calendar repeats."""


def numbered_days(rule: Rule, *, first: date, since: date) -> Iterator[tuple[int, date]]:
    """The days of `rule` on or after `first`, each with its number, in order, before LAST_DAY.

    `first` stands for DTSTART: it gives the parts that the rule leaves out, and INTERVAL counts from it.
    Pairs before `since` may be left out. COUNT and UNTIL are the caller's.
    """
    rule, step = _expandable(rule, first)
    if _never(rule, step, first):
        return
    anchor, number = _period_start(rule, first), 0
    period = rule.interval * (7 if rule.freq == "WEEKLY" else 1)
    plain = (rule.freq == "DAILY" and not rule.names_days) or (rule.freq == "WEEKLY" and not rule.by_month)
    if plain and since > first:
        # Every period has as many days: enter at the one of `since`, and its number follows.
        skipped = (since - anchor).days // period
        each = len(rule.by_day) or 1
        early = sum((day.weekday - rule.week_start) % 7 < (first - anchor).days for day in rule.by_day)
        number = skipped * each - early if skipped else 0
        anchor += timedelta(days=skipped * period)
    latest = first
    for day in _expand(rule, anchor):
        if day < first:
            continue
        if (day - first).days % step == 0:
            number, latest = number + 1, day
            yield number, day
        elif (day - latest).days > lcm(step, _CYCLE_DAYS):
            return


def explicit(rule: Rule, first: date) -> Rule:
    """The rule with the parts that it takes from its start written out (RFC 5545 section 3.3.10)."""
    if rule.freq == "DAILY" or rule.by_year_day or rule.by_month_day or rule.by_day:
        return rule
    if rule.freq == "WEEKLY" or rule.by_week_no:
        return replace(rule, by_day=(WeekdayNum(first.weekday()),))
    month = (first.month,) if rule.freq == "YEARLY" else ()
    return replace(rule, by_month=rule.by_month or month, by_month_day=(first.day,))


def _expandable(rule: Rule, first: date) -> tuple[Rule, int]:
    """The rule as dateutil expands it rightly, and a step: only days a multiple of it after `first` count."""
    rule, step = explicit(rule, first), 1
    if rule.freq == "DAILY" and rule.names_days and rule.interval <= 366:
        # The same limits of a weekly or yearly rule: it visits many days at a time.
        if rule.interval == 1 and not rule.by_month and not rule.by_month_day:
            rule = replace(rule, freq="WEEKLY", by_set_pos=())
        else:
            days = rule.by_month_day if rule.by_month_day or rule.by_day else tuple(range(1, 32))
            step = rule.interval
            rule = replace(rule, freq="YEARLY", interval=1, by_month_day=days, by_set_pos=())
    if rule.freq == "WEEKLY" and rule.by_set_pos and not rule.by_month:
        week = sorted(rule.by_day, key=lambda day: (day.weekday - rule.week_start) % 7)
        rule = replace(rule, by_day=tuple(_pick(week, rule.by_set_pos)), by_set_pos=())
    if any(day.n for day in rule.by_day) and not all(day.n for day in rule.by_day):
        most = 5 if rule.freq == "MONTHLY" or rule.by_month else 53
        plain = [WeekdayNum(day.weekday, n) for day in rule.by_day if not day.n for n in range(1, most + 1)]
        rule = replace(rule, by_day=(*(day for day in rule.by_day if day.n), *plain))
    return rule, step


def _pick(days: list[WeekdayNum], positions: tuple[int, ...]) -> Iterator[WeekdayNum]:
    for index, day in enumerate(days):
        if index + 1 in positions or index - len(days) in positions:
            yield day


def _never(rule: Rule, step: int, first: date) -> bool:
    """Whether no day at all matches.

    A rule by months or years repeats itself with the calendar's cycle. dateutil searches to the end of year
    9999, so it is asked about the same rule late in the calendar, where one cycle is all that is left.
    """
    if rule.freq == "DAILY":
        return False
    if rule.freq == "WEEKLY":
        return not any(True for _ in _pick(list(rule.by_day), rule.by_set_pos or (1,)))
    if step % 7 == 0 and rule.by_day and first.weekday() not in {day.weekday for day in rule.by_day}:
        return True
    periods = 1 if rule.freq == "YEARLY" else 12
    cycle = lcm(rule.interval, _CYCLE_YEARS * periods) // periods
    cycles_ahead = max(0, (LAST_DAY.year - first.year - cycle) // _CYCLE_YEARS)
    start = _period_start(rule, first)
    late = start.replace(year=start.year + cycles_ahead * _CYCLE_YEARS)
    return next(_expand(rule, late), None) is None


def _period_start(rule: Rule, first: date) -> date:
    """The first day of the day, week, month or year of `first`, where dateutil begins to count."""
    match rule.freq:
        case "DAILY":
            return first
        case "WEEKLY":
            return first - timedelta(days=(first.weekday() - rule.week_start) % 7)
        case "MONTHLY":
            return first.replace(day=1)
        case "YEARLY":
            return first.replace(month=1, day=1)


def _expand(rule: Rule, start: date) -> Iterator[date]:
    days = dateutil.rrule(
        _FREQUENCIES[rule.freq],
        dtstart=datetime.combine(start, time()),
        interval=rule.interval,
        wkst=rule.week_start,
        bymonth=rule.by_month or None,
        byweekno=rule.by_week_no or None,
        byyearday=rule.by_year_day or None,
        bymonthday=rule.by_month_day or None,
        byweekday=[dateutil.weekday(day.weekday, day.n or None) for day in rule.by_day] or None,
        bysetpos=rule.by_set_pos or None,
    )
    try:
        for moment in days:
            if moment.date() >= LAST_DAY:
                return  # a day early: in UTC it may be the next one
            yield moment.date()
    except (ValueError, OverflowError):
        return  # a week that runs over the end of year 9999
