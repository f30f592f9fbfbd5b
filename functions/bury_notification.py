"""bury-notification: keeps a notification that no attempt delivered, as failed, with its reason."""

from __future__ import annotations

from datetime import datetime

from functions.runtime.triggers import on, sends
from functions.store.reminders import Reminders
from functions.tasks.events import NOTIFICATION_DLQ, REMINDER_EVENTS, NotificationSend


@on(NOTIFICATION_DLQ)
@sends(REMINDER_EVENTS)
def bury_notification(event: NotificationSend, reminders: Reminders, now: datetime) -> None:
    reminders.record([event.delivery], "failed", now, event.correlation_id)
