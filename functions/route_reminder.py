"""route-reminder: decides by which channels a due reminder reaches its user, and when."""

from __future__ import annotations

from datetime import datetime
from itertools import groupby

from functions.runtime.sidecar import Sidecar
from functions.runtime.triggers import on
from functions.store.reminders import Reminders
from functions.tasks.delivery import messages, route, sort_out
from functions.tasks.events import REMINDER_DUE, SEND_TOPICS, ReminderDue


@on(REMINDER_DUE)
def route_reminder(event: ReminderDue, reminders: Reminders, sidecar: Sidecar, now: datetime) -> None:
    wanted = route(event.reminders, reminders.recipients(event.reminders), now)
    due, unwanted = sort_out(reminders.plan_deliveries(wanted, now), wanted, now)
    if unwanted:
        reminders.record(unwanted, "failed", now, event.correlation_id, "the address was removed, or is off")
    for channel, batch in groupby(messages(due, event.correlation_id), key=lambda message: message[2].channel):
        sidecar.publish(SEND_TOPICS[channel], list(batch))
