"""The daily digest: what a user has to do, once a day by email."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from functions.tasks.mail import Mail, Section, mail_of
from functions.tasks.user_settings import UserSettings
from functions.tasks.values import start_of_day

Heading = Literal["Overdue", "Today", "Tomorrow"]
LISTED = 50
"""Tasks a section."""


@dataclass(frozen=True)
class DigestTask:
    """An open task: `due_on` for an all-day one, else `due_at`."""

    title: str
    due_at: datetime
    due_on: date | None
    overdue_at: datetime


@dataclass(frozen=True)
class DueDigest:
    """One user's digest of one local day."""

    user_id: str
    day: date
    settings: UserSettings


def digest_day(settings: UserSettings, due_at: datetime, now: datetime) -> date | None:
    """The local day of the digest that was due at `due_at`; None once that day is over: a late one is still sent
    the same day, and not after it. Where the host was away for days, the day is today's if its time has come."""
    if settings.digest_at is None:
        return None
    local = now.astimezone(ZoneInfo(settings.time_zone))
    due = due_at.astimezone(ZoneInfo(settings.time_zone))
    if due.date() == local.date() or local.time() >= settings.digest_at:
        return local.date()
    return None


def window_end(day: date, zone: ZoneInfo) -> datetime:
    """The instant at which the day after `day` is over: nothing due later is in the digest."""
    return start_of_day(day + timedelta(days=2), zone)


def section_of(task: DigestTask, day: date, zone: ZoneInfo, now: datetime) -> Heading | None:
    """Where a task belongs: an all-day one by its date, any other by its instant in the user's zone."""
    if task.overdue_at <= now:
        return "Overdue"
    due = task.due_on or task.due_at.astimezone(zone).date()
    if due <= day:
        return "Today"
    return "Tomorrow" if due == day + timedelta(days=1) else None


def digest_mail(digest: DueDigest, tasks: Sequence[DigestTask], *, now: datetime, unsubscribe_url: str) -> Mail | None:
    """The digest as a mail; None where there is nothing to tell."""
    assert digest.settings.email is not None
    zone = ZoneInfo(digest.settings.time_zone)
    lines: dict[str, list[str]] = {"Overdue": [], "Today": [], "Tomorrow": []}
    for task in tasks:
        if (heading := section_of(task, digest.day, zone, now)) is not None:
            lines[heading].append(_line(task, zone, heading))
    sections = [Section(heading, _shortened(items)) for heading, items in lines.items() if items]
    if not sections:
        return None
    counts = ", ".join(f"{len(items)} {heading.lower()}" for heading, items in lines.items() if items)
    return mail_of(
        key=f"digest/{digest.user_id}/{digest.day}",
        to=digest.settings.email,
        subject=f"Your tasks, {digest.day:%Y-%m-%d}: {counts}",
        sections=sections,
        footer="You get this once a day because you asked for a daily digest.",
        unsubscribe_url=unsubscribe_url,
    )


def _line(task: DigestTask, zone: ZoneInfo, heading: str) -> str:
    local = task.due_at.astimezone(zone)
    if task.due_on is not None:
        when = f" (since {task.due_on})" if heading == "Overdue" else ""
    else:
        when = f" (since {local:%Y-%m-%d %H:%M})" if heading == "Overdue" else f" ({local:%H:%M})"
    return task.title + when


def _shortened(items: list[str]) -> list[str]:
    return items if len(items) <= LISTED else [*items[:LISTED], f"and {len(items) - LISTED} more"]
