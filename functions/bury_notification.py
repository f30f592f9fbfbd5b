"""bury-notification: keeps a notification that no attempt delivered, as failed, with its reason."""

from __future__ import annotations

from datetime import datetime

from functions.runtime.triggers import on
from functions.store.reminders import Reminders
from functions.tasks.events import NOTIFICATION_DLQ, NotificationSend


@on(NOTIFICATION_DLQ)
def bury_notification(event: NotificationSend, reminders: Reminders, now: datetime) -> None:
    reminders.record([event.delivery], "failed", now, event.correlation_id)
