"""Where a reminder goes, and what it says there."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, TypedDict
from zoneinfo import ZoneInfo

from functions.tasks.events import Delivery, DueReminder, NotificationSend
from functions.tasks.models import Channel


def route(reminders: Iterable[DueReminder], addresses: Mapping[tuple[Any, Any], str | None]) -> list[Delivery]:
    """The deliveries of the reminders that are still pending (those in `addresses`, with their user's email
    address): in-app for everybody and email for who has an address, or the one channel a reminder
    names (in-app where that one does not reach its user)."""
    deliveries = []
    for reminder in reminders:
        key = (reminder.user_id, reminder.reminder_id)
        if key not in addresses:
            continue
        reachable: dict[Channel, str] = {"in_app": ""}
        if (email := addresses[key]) is not None:
            reachable["email"] = email
        wanted = {c: a for c, a in reachable.items() if reminder.delivery_channel in ("all", c)}
        for channel, address in (wanted or {"in_app": ""}).items():
            deliveries.append(Delivery(**dict(reminder), channel=channel, address=address))
    return deliveries


def messages(deliveries: Iterable[Delivery], correlation_id: str) -> list[tuple[str, str, NotificationSend]]:
    """The (key, id, event) messages of these deliveries, one each: one that fails holds up nothing else."""
    return [
        (
            str(delivery.user_id),
            f"{delivery.reminder_id}/{delivery.channel}/{delivery.address}",
            NotificationSend(correlation_id=correlation_id, delivery=delivery),
        )
        for delivery in deliveries
    ]


class Email(TypedDict):
    subject: str
    html: str


def email_of(delivery: Delivery) -> Email:
    """What an email says: the title as text, never as markup, and without line breaks in the subject."""
    title = " ".join(delivery.title.split())
    lines = [html.escape(title)]
    if delivery.due_date is not None:
        lines.append(f"Due {html.escape(_spoken(delivery.due_date, delivery.time_zone))}")
    body = "".join(f"<p>{line}</p>" for line in lines)
    return Email(subject=f"Reminder: {title}"[:200], html=f"<!doctype html><html><body>{body}</body></html>")


def _spoken(due_date: str, time_zone: str) -> str:
    """A due date as its user reads a clock: in the task's own zone."""
    if len(due_date) == 10:
        return due_date
    local = datetime.fromisoformat(due_date).astimezone(ZoneInfo(time_zone))
    return f"{local:%Y-%m-%d %H:%M} ({time_zone})"
