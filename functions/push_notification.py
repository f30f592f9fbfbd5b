"""push-notification: delivers what leaves the system (email, web push, webhooks), once per reminder and address."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

from functions.runtime.channels import Channels
from functions.runtime.outages import Outages
from functions.runtime.triggers import on, sends
from functions.store.reminders import Reminders
from functions.tasks.errors import Unavailable, Undeliverable
from functions.tasks.events import (
    NOTIFICATION_DLQ,
    NOTIFICATION_SEND,
    NOTIFICATION_WEB_PUSH,
    NOTIFICATION_WEBHOOK,
    REMINDER_EVENTS,
    NotificationSend,
)

LONGEST_WAIT = timedelta(hours=1)
"""At most so long is a delivery held for a receiver that asks to wait (Retry-After)."""


@on(NOTIFICATION_SEND, dead_letter=NOTIFICATION_DLQ)
@on(NOTIFICATION_WEB_PUSH, dead_letter=NOTIFICATION_DLQ)
@on(NOTIFICATION_WEBHOOK, dead_letter=NOTIFICATION_DLQ)
@sends(REMINDER_EVENTS)
def push_notification(
    event: NotificationSend, reminders: Reminders, channels: Channels, outages: Outages, now: datetime
) -> None:
    for delivery in reminders.begin_attempts([event.delivery], now):
        try:
            channels.send(delivery)
        except Undeliverable as error:
            reminders.record([delivery], "failed", datetime.now(UTC), event.correlation_id, str(error))
        except Unavailable as error:
            wait = min(timedelta(seconds=error.retry_after or 0), LONGEST_WAIT)
            if wait and reminders.postpone(delivery, datetime.now(UTC) + wait, str(error)):
                continue
            reminders.end_attempt(delivery, str(error))
            raise
        else:
            sent = partial(reminders.record, [delivery], "sent", datetime.now(UTC), event.correlation_id)
            outages.sit_out(sent)  # else it would be sent again
