"""What a recurrence means, told without the code under test: it walks the days and asks of each whether it matches."""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo


def month_length(day: date) -> int:
    return calendar.monthrange(day.year, day.month)[1]


def week_begin(day: date, wkst: int) -> date:
    return day - timedelta(days=(day.weekday() - wkst) % 7)


def week_number(day: date, wkst: int) -> tuple[int, int]:
    """The number of the day's week from the start and from the end of its week-based year (ISO 8601, by wkst)."""

    def first_week(year: int) -> date:
        return week_begin(date(year, 1, 4), wkst)

    year = max(year for year in (day.year - 1, day.year, day.year + 1) if first_week(year) <= day)
    return (day - first_week(year)).days // 7 + 1, (day - first_week(year + 1)).days // 7


def place_in(day: date, begin: date, end: date) -> tuple[int, int]:
    """Which one of its weekday a day is between two days, from either side."""
    return (day - begin).days // 7 + 1, -((end - day).days // 7 + 1)


def period_of(day: date, freq: str, wkst: int) -> int:
    match freq:
        case "DAILY":
            return day.toordinal()
        case "WEEKLY":
            return week_begin(day, wkst).toordinal() // 7
        case "MONTHLY":
            return day.year * 12 + day.month
    return day.year


def matches(day: date, parts: dict[str, Any], first: date) -> bool:
    """RFC 5545 section 3.3.10 for one day, INTERVAL and BYSETPOS aside."""
    freq, wkst = parts["FREQ"], parts.get("WKST", 0)
    by_day = parts.get("BYDAY")
    if not (by_day or "BYMONTHDAY" in parts or "BYYEARDAY" in parts):
        if freq == "WEEKLY" or "BYWEEKNO" in parts:
            by_day = [(0, first.weekday())]
        elif freq != "DAILY":
            by_month = freq == "MONTHLY" or "BYMONTH" in parts
            if day.day != first.day or not (by_month or day.month == first.month):
                return False
    if "BYMONTH" in parts and day.month not in parts["BYMONTH"]:
        return False
    if "BYWEEKNO" in parts and not set(week_number(day, wkst)) & set(parts["BYWEEKNO"]):
        return False
    year_length = 366 if calendar.isleap(day.year) else 365
    of_year = day.timetuple().tm_yday
    if "BYYEARDAY" in parts and not {of_year, of_year - year_length - 1} & set(parts["BYYEARDAY"]):
        return False
    if "BYMONTHDAY" in parts and not {day.day, day.day - month_length(day) - 1} & set(parts["BYMONTHDAY"]):
        return False
    if not by_day:
        return True
    begin, end = date(day.year, 1, 1), date(day.year, 12, 31)
    if freq == "MONTHLY" or "BYMONTH" in parts:
        begin, end = day.replace(day=1), day.replace(day=month_length(day))
    return any(weekday == day.weekday() and (n == 0 or n in place_in(day, begin, end)) for n, weekday in by_day)


def walk(parts: dict[str, Any], first: date, until: date) -> list[date]:
    """The days of the rule from `first` to `until`, COUNT and UNTIL aside."""
    freq, wkst, interval = parts["FREQ"], parts.get("WKST", 0), parts.get("INTERVAL", 1)
    origin = period_of(first, freq, wkst)
    sets: dict[int, list[date]] = {}
    day, end = date(first.year, 1, 1) - timedelta(days=7), date(until.year, 12, 31) + timedelta(days=7)
    while day <= end:
        period = period_of(day, freq, wkst)
        if period >= origin and (period - origin) % interval == 0 and matches(day, parts, first):
            sets.setdefault(period, []).append(day)
        day += timedelta(days=1)
    found: set[date] = set()
    for chosen in sets.values():
        positions = parts.get("BYSETPOS")
        if positions is None:
            found.update(chosen)
        else:
            found.update(d for i, d in enumerate(chosen) if {i + 1, i - len(chosen)} & set(positions))
    return sorted(d for d in found if first <= d <= until)


def walk_typed(fields: dict[str, Any], first: date, until: date) -> list[date]:
    """The same for the typed form, as API.md says it."""
    unit = {"daily": "day", "weekly": "week", "monthly": "month", "yearly": "year"}.get(
        fields["type"], fields.get("unit", "")
    )
    interval, found, day = fields.get("interval", 1), [], first
    while day <= until:
        months = (day.year - first.year) * 12 + day.month - first.month
        match unit:
            case "day":
                hit = (day - first).days % interval == 0
            case "week":
                weeks = (week_begin(day, 0) - week_begin(first, 0)).days // 7
                hit = weeks % interval == 0 and day.weekday() in fields.get("days_of_week", [first.weekday()])
            case "month":
                hit = months % interval == 0 and on_month_day(fields, day, first)
            case _:
                in_month = day.month == fields.get("month", first.month)
                hit = (day.year - first.year) % interval == 0 and in_month and on_month_day(fields, day, first)
        if hit:
            found.append(day)
        day += timedelta(days=1)
    return found


def on_month_day(fields: dict[str, Any], day: date, first: date) -> bool:
    last = month_length(day)
    if "week_of_month" in fields:
        if day.weekday() not in fields["days_of_week"]:
            return False
        begin, end = place_in(day, day.replace(day=1), day.replace(day=last))
        return end == -1 if fields["week_of_month"] in (-1, 5) else begin == fields["week_of_month"]
    wanted = fields.get("day_of_month", first.day)
    return day.day == (last if wanted == -1 else min(wanted, last))


def instants(found: list[date], start: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """The due instants of days: a wall time that is no time moves on by what the clock skipped; equal ones once."""
    local, last = start.astimezone(zone), None
    for day in found:
        wall = datetime.combine(day, local.time())
        before = (wall - timedelta(days=2)).replace(tzinfo=zone).utcoffset()
        after = (wall + timedelta(days=2)).replace(tzinfo=zone).utcoffset()
        assert before is not None
        assert after is not None
        readings = [
            candidate
            for offset in (before, after)
            if (candidate := (wall - offset).replace(tzinfo=UTC)).astimezone(zone).replace(tzinfo=None) == wall
        ]
        # In a gap no reading holds: the offset before it is the one to read by (RFC 5545 section 3.3.5).
        due = min(readings) if readings else (wall - before).replace(tzinfo=UTC)
        due = start if day == local.date() else due
        if last is None or due > last:
            last = due
            yield due
