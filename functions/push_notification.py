"""push-notification: delivers what leaves the system, by email: each reminder once per channel and address."""

from __future__ import annotations

from datetime import UTC, datetime

from functions.runtime.sidecar import Sidecar
from functions.runtime.triggers import on
from functions.store.reminders import Reminders
from functions.tasks.delivery import email_of
from functions.tasks.errors import Unavailable
from functions.tasks.events import NOTIFICATION_DLQ, NOTIFICATION_SEND, NotificationSend


@on(NOTIFICATION_SEND, dead_letter=NOTIFICATION_DLQ)
def push_notification(event: NotificationSend, reminders: Reminders, sidecar: Sidecar, now: datetime) -> None:
    for delivery in reminders.begin_attempts([event.delivery], now):
        try:
            sidecar.send_mail(to=delivery.address, **email_of(delivery))
        except Unavailable as error:
            reminders.end_attempt(delivery, str(error))
            raise
        reminders.record([delivery], "sent", datetime.now(UTC), event.correlation_id)
