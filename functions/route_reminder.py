"""route-reminder: decides by which channels a due reminder reaches its user, and notes it in the app at once."""

from __future__ import annotations

from datetime import datetime

from functions.runtime.sidecar import Sidecar
from functions.runtime.triggers import on
from functions.store.reminders import Reminders
from functions.tasks.delivery import messages, route
from functions.tasks.events import NOTIFICATION_SEND, REMINDER_DUE, ReminderDue


@on(REMINDER_DUE)
def route_reminder(event: ReminderDue, reminders: Reminders, sidecar: Sidecar, now: datetime) -> None:
    addresses = reminders.addresses(event.reminders)
    deliveries = reminders.plan_deliveries(route(event.reminders, addresses))
    # In-app is an entry of the user's change log, which their devices follow: recorded is delivered, and no other
    # channel that fails can hold it up.
    in_app = [delivery for delivery in deliveries if delivery.channel == "in_app"]
    reminders.record(in_app, "sent", now, event.correlation_id)
    outside = [delivery for delivery in deliveries if delivery.channel != "in_app"]
    sidecar.send(NOTIFICATION_SEND, messages(outside, event.correlation_id))
