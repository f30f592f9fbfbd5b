"""route-reminder: decides by which channels a due reminder reaches its user."""

from __future__ import annotations

from functions.runtime.sidecar import Sidecar
from functions.runtime.triggers import on
from functions.store.reminders import Reminders
from functions.tasks.delivery import messages, route
from functions.tasks.events import NOTIFICATION_SEND, REMINDER_DUE, ReminderDue


@on(REMINDER_DUE)
def route_reminder(event: ReminderDue, reminders: Reminders, sidecar: Sidecar) -> None:
    addresses = reminders.addresses(event.reminders)
    deliveries = reminders.plan_deliveries(route(event.reminders, addresses))
    sidecar.publish(NOTIFICATION_SEND, messages(deliveries, event.correlation_id))
