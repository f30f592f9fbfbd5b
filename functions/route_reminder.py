"""route-reminder: decides by which channels, and when, a due reminder reaches its user; in-app it does at once."""

from __future__ import annotations

from datetime import datetime

from functions.runtime.sidecar import Sidecar
from functions.runtime.triggers import on, sends
from functions.store.reminders import Reminders
from functions.tasks.delivery import messages, route, sort_out
from functions.tasks.events import REMINDER_DUE, REMINDER_EVENTS, SEND_TOPICS, ReminderDue


@on(REMINDER_DUE)
@sends(REMINDER_EVENTS, *SEND_TOPICS.values())
def route_reminder(event: ReminderDue, reminders: Reminders, sidecar: Sidecar, now: datetime) -> None:
    wanted = route(event.reminders, reminders.recipients(event.reminders), now)
    due, unwanted = sort_out(reminders.plan_deliveries(wanted, now), wanted, now)
    if unwanted:
        reminders.record(unwanted, "failed", now, event.correlation_id, "the address was removed, or is off")
    # In-app is an entry of the user's change log, which their devices follow: recorded is delivered, and no other
    # channel that fails can hold it up.
    in_app = [delivery for delivery in due if delivery.channel == "in_app"]
    reminders.record(in_app, "sent", now, event.correlation_id)
    for channel, topic in SEND_TOPICS.items():
        outside = [delivery for delivery in due if delivery.channel == channel]
        sidecar.send(topic, messages(outside, event.correlation_id))
