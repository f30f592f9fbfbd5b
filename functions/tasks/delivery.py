"""Where a reminder goes, when, and what it says there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from functions.tasks.events import Delivery, DueReminder, NotificationSend
from functions.tasks.mail import Mail, Section, mail_of, one_line
from functions.tasks.models import Channel, Input
from functions.tasks.user_settings import UserSettings
from functions.tasks.values import uuid7

DELIVERY_IDS = UUID("5b0f3f4e-7c0b-5f43-9a38-0d1f2b8c6e55")
"""Namespace (RFC 9562 section 5.5) of delivery ids: the same delivery has the same id each time it is sent."""

Key = tuple[UUID, UUID]
"""User and reminder."""


@dataclass(frozen=True)
class Recipient:
    """Who a reminder is for, and what reaches them: (channel, address) of each device."""

    settings: UserSettings
    devices: list[tuple[Channel, str]]


def route(reminders: Iterable[DueReminder], recipients: Mapping[Key, Recipient], now: datetime) -> list[Delivery]:
    """The deliveries of the reminders that are still pending (those in `recipients`).

    In-app for everybody, and every other channel that reaches its user; or the one channel that a reminder names
    (in-app where that one does not reach its user). In quiet hours all but in-app ones are held until those end.
    """
    deliveries = []
    for reminder in reminders:
        recipient = recipients.get((reminder.user_id, reminder.reminder_id))
        if recipient is None:
            continue
        settings = recipient.settings
        quiet_until = settings.quiet_hours.until(now, ZoneInfo(settings.time_zone)) if settings.quiet_hours else None
        places = [(c, a) for c, a in _places(recipient) if reminder.delivery_channel in ("all", c)]
        for channel, address in places or [("in_app", "")]:
            held = None if channel == "in_app" else quiet_until
            deliveries.append(Delivery(**dict(reminder), channel=channel, address=address, not_before=held))
    return deliveries


def _places(recipient: Recipient) -> list[tuple[Channel, str]]:
    """Each place once, though an email device may have the user's own address."""
    settings = recipient.settings
    places: list[tuple[Channel, str]] = [("in_app", "")]
    if settings.email is not None:
        places.append(("email", settings.email))
    places += recipient.devices
    return list(dict.fromkeys(p for p in places if p[0] != "email" or settings.email_notifications))


def sort_out(
    planned: Iterable[Delivery], wanted: Iterable[Delivery], now: datetime
) -> tuple[list[Delivery], list[Delivery]]:
    """Of the deliveries that are still to be made, those to make now, and those to a place that the user has
    removed or switched off since they were planned. The rest is held."""
    places = {delivery.key for delivery in wanted}
    due, unwanted = [], []
    for delivery in planned:
        if delivery.key not in places:
            unwanted.append(delivery)
        elif delivery.not_before is None or delivery.not_before <= now:
            due.append(delivery)
    return due, unwanted


def trial_delivery(device: Mapping[str, Any], user_id: UUID, now: datetime) -> Delivery:
    """What a user gets who asks whether notifications reach a device."""
    email = device["kind"] == "email"
    return Delivery(
        user_id=user_id,
        reminder_id=uuid7(now),
        task_id=uuid7(now),
        title="Tickler reaches you here",
        scheduled_time=now,
        channel=device["kind"],
        address=device["endpoint"] if email else str(device["device_id"]),
        test=True,
    )


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


def delivery_id(delivery: Delivery) -> UUID:
    return uuid5(DELIVERY_IDS, "/".join(map(str, delivery.key)))


def email_of(delivery: Delivery, *, unsubscribe_url: str) -> Mail:
    lines = [delivery.title, *([due] if (due := spoken(delivery)) else [])]
    return mail_of(
        key=f"delivery/{delivery_id(delivery)}",
        to=delivery.address,
        subject=f"{'Test' if delivery.test else 'Reminder'}: {delivery.title}",
        sections=[Section("", lines)],
        footer="You get this because reminders by email are on.",
        unsubscribe_url=unsubscribe_url,
    )


def push_of(delivery: Delivery, *, url: str) -> dict[str, Any]:
    """What a service worker shows. Small: a push service takes some 4,000 bytes (RFC 8030 section 7.2)."""
    return {
        "title": one_line(delivery.title),
        "body": spoken(delivery),
        "task_id": None if delivery.test else str(delivery.task_id),
        "reminder_id": None if delivery.test else str(delivery.reminder_id),
        "url": url if delivery.test else f"{url}/tasks/{delivery.task_id}",
    }


def webhook_of(delivery: Delivery, *, url: str) -> dict[str, Any]:
    """The JSON object that a webhook gets; `id` is the same each time one delivery is sent."""
    reminder = delivery.model_dump(
        mode="json", include={"reminder_id", "task_id", "title", "due_date", "time_zone", "scheduled_time"}
    )
    kind = "test" if delivery.test else "reminder.due"
    return {"id": str(delivery_id(delivery)), "type": kind, **reminder, "url": push_of(delivery, url=url)["url"]}


def spoken(delivery: Delivery) -> str:
    """A due date as its user reads a clock: in the task's own zone; empty for a task without one."""
    if delivery.due_date is None:
        return ""
    if len(delivery.due_date) == 10:
        return f"Due {delivery.due_date}"
    local = datetime.fromisoformat(delivery.due_date).astimezone(ZoneInfo(delivery.time_zone))
    return f"Due {local:%Y-%m-%d %H:%M} ({delivery.time_zone})"


class RedriveNotifications(Input):
    """All of the caller's that failed, or those of one reminder."""

    reminder_id: UUID | None = None


class Redriven(BaseModel):
    """How many notifications are sent again."""

    redriven: int
