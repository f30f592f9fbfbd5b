"""Recurrences and their series, as tests write them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from functions.tasks.recurrence import Occurrence, Recurrence, next_occurrence, occurrences

NEW_YORK = "America/New_York"
BERLIN = "Europe/Berlin"


def recur(**fields: Any) -> Recurrence:
    return Recurrence.model_validate(fields)


def at(local: str, zone: str = BERLIN) -> datetime:
    """The instant of a wall time: "2026-01-31 09:00"."""
    return datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def local(due: date | datetime, zone: str = BERLIN) -> datetime:
    """A due instant as the time of its zone."""
    assert isinstance(due, datetime)
    return due.astimezone(ZoneInfo(zone))


def dues(recurrence: Recurrence, start: date | datetime, zone: str = BERLIN, n: int = 500) -> list[Any]:
    return [one.due for one in islice(occurrences(recurrence, start=start, time_zone=zone), n)]


def walls(recurrence: Recurrence, start: datetime, zone: str = BERLIN, n: int = 500) -> list[str]:
    """The first n occurrences in local time: "2026-01-31 09:00"."""
    return [f"{local(due, zone):%Y-%m-%d %H:%M}" for due in dues(recurrence, start, zone, n)]


def days(recurrence: Recurrence, start: str, n: int = 500) -> list[str]:
    """The first n occurrences of an all-day series: "2026-01-31"."""
    return [due.isoformat() for due in dues(recurrence, date.fromisoformat(start), n=n)]


def complete(
    recurrence: Recurrence,
    start: date | datetime,
    number: int,
    now: datetime,
    *,
    zone: str = BERLIN,
    due: date | datetime | None = None,
) -> Occurrence | None:
    """What follows occurrence `number` when it is completed now."""
    return next_occurrence(recurrence, start=start, time_zone=zone, number=number, completed_at=now, now=now, due=due)
