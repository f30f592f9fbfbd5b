"""Any recurrence, any start: what hypothesis draws for the properties of recurrence."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import assume
from hypothesis import strategies as st

ZONES = [
    "UTC", "Europe/Berlin", "Europe/Dublin", "America/New_York", "America/Sao_Paulo", "America/St_Johns",
    "America/Havana", "America/Nuuk", "Australia/Lord_Howe", "Africa/Casablanca", "Africa/Cairo", "Asia/Gaza",
    "Asia/Beirut", "Asia/Tehran", "Asia/Kathmandu", "Antarctica/Troll", "Pacific/Apia", "Pacific/Chatham",
    "Pacific/Kiritimati",
]  # fmt: skip
NAMES = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]

days: st.SearchStrategy[date] = st.dates(date(2004, 1, 1), date(2034, 12, 31)) | st.sampled_from(
    [date(2016, 2, 29), date(2025, 1, 31), date(2026, 3, 28), date(2026, 10, 24), date(2026, 12, 31)]
)
clock = st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30, 59])) | st.sampled_from(
    [time(0, 0), time(0, 30), time(2, 0), time(2, 30), time(9, 0), time(23, 30)]
)
zones = st.sampled_from(ZONES)


@cache
def odd_times(zone: str) -> list[datetime]:
    """The wall times, to the quarter of an hour, that a zone leaves out or repeats from 2004 to 2034."""
    tz, day = ZoneInfo(zone), date(2004, 1, 1)
    found: list[datetime] = []
    while day < date(2035, 1, 1):
        noon = datetime.combine(day, time(12), tz)
        if noon.utcoffset() != (noon + timedelta(days=1)).utcoffset():
            walls = (datetime.combine(day, time()) + timedelta(minutes=15 * n) for n in range(192))
            found += [w for w in walls if w.replace(tzinfo=tz).utcoffset() != w.replace(tzinfo=tz, fold=1).utcoffset()]
        day += timedelta(days=1)
    return found


@st.composite
def starts(draw: st.DrawFn) -> tuple[datetime, str]:
    """An instant and its zone, half of them at a wall time that a day soon after leaves out or repeats."""
    zone: str = draw(zones)
    wall = datetime.combine(draw(days), draw(clock))
    odd = odd_times(zone)
    if draw(st.booleans()) and odd:
        earlier: int = draw(st.integers(0, 14) | st.sampled_from([28, 31, 365]))
        wall = draw(st.sampled_from(odd)) - timedelta(days=earlier)
    return wall.replace(tzinfo=ZoneInfo(zone), fold=draw(st.integers(0, 1))).astimezone(UTC), zone


def some(values: st.SearchStrategy[Any], most: int = 4) -> st.SearchStrategy[list[Any]]:
    return st.lists(values, min_size=1, max_size=most, unique=True)


def either_sign(limit: int) -> st.SearchStrategy[int]:
    return st.integers(1, limit) | st.integers(-limit, -1)


@st.composite
def rule_parts(draw: st.DrawFn) -> dict[str, Any]:
    """Any rule that is supported, as the parts of its text."""
    freq = draw(st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]))
    parts: dict[str, Any] = {"FREQ": freq}
    if draw(st.booleans()):
        parts["INTERVAL"] = draw(st.integers(1, 4) | st.sampled_from([7, 10, 12, 14]))
    if draw(st.booleans()):
        parts["WKST"] = draw(st.integers(0, 6))
    if draw(st.integers(0, 3)) == 0:
        parts["BYMONTH"] = draw(some(st.integers(1, 12)))
    if freq != "WEEKLY" and draw(st.integers(0, 2)) == 0:
        parts["BYMONTHDAY"] = draw(some(either_sign(31), 6))
    if freq == "YEARLY" and draw(st.integers(0, 4)) == 0:
        parts["BYYEARDAY"] = draw(some(either_sign(366), 8))
    if freq == "YEARLY" and draw(st.integers(0, 4)) == 0:
        parts["BYWEEKNO"] = draw(some(either_sign(51)))
    if draw(st.booleans()):
        numbers = st.just(0)
        if freq in ("MONTHLY", "YEARLY") and "BYWEEKNO" not in parts:
            most = 5 if freq == "MONTHLY" or "BYMONTH" in parts else 53
            numbers = st.just(0) | either_sign(most)
        parts["BYDAY"] = draw(some(st.tuples(numbers, st.integers(0, 6)), 7))
    names_days = any(name in parts for name in ("BYMONTH", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYDAY"))
    if names_days and draw(st.integers(0, 3)) == 0:
        parts["BYSETPOS"] = [-1] if freq == "DAILY" else draw(some(either_sign(5), 3))
    unsure = {1, -1} & set(parts.get("BYWEEKNO", []))
    assume(not (unsure and (parts.get("INTERVAL", 1) > 1 or "BYSETPOS" in parts)))
    return parts


def text_of(parts: dict[str, Any]) -> str:
    def value(name: str, given: Any) -> str:
        if name == "WKST":
            return str(NAMES[given])
        if name == "BYDAY":
            return ",".join(f"{n or ''}{NAMES[weekday]}" for n, weekday in given)
        return ",".join(map(str, given)) if isinstance(given, list) else str(given)

    return ";".join(f"{name}={value(name, given)}" for name, given in parts.items())


@st.composite
def typed_fields(draw: st.DrawFn) -> dict[str, Any]:
    """Any recurrence of the typed form."""
    kind = draw(st.sampled_from(["daily", "weekly", "monthly", "yearly"]))
    fields: dict[str, Any] = {"type": kind}
    if draw(st.booleans()):
        unit = {"daily": "day", "weekly": "week", "monthly": "month", "yearly": "year"}[kind]
        fields = {"type": "custom", "unit": unit}
    if draw(st.booleans()):
        fields["interval"] = draw(st.integers(1, 5) | st.sampled_from([12, 30]))
    weekdays = some(st.integers(0, 6), 7)
    if kind == "weekly" and draw(st.booleans()):
        fields["days_of_week"] = draw(weekdays)
    if kind in ("monthly", "yearly"):
        match draw(st.integers(0, 2)):
            case 0:
                fields["day_of_month"] = draw(st.integers(1, 31) | st.just(-1))
            case 1:
                fields |= {"week_of_month": draw(st.sampled_from([1, 2, 3, 4, 5, -1])), "days_of_week": draw(weekdays)}
    if kind == "yearly" and draw(st.booleans()):
        fields["month"] = draw(st.integers(1, 12))
    return fields


any_recurrence = st.builds(lambda parts: {"rrule": text_of(parts)}, rule_parts()) | typed_fields()
