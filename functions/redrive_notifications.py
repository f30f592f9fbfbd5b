"""redrive-notifications: sends the caller's failed notifications again, all or those of one reminder."""

from __future__ import annotations

from datetime import datetime, timedelta

from functions.runtime.limits import Limit, Limits
from functions.runtime.triggers import http, once
from functions.store.reminders import Reminders
from functions.tasks.delivery import Redriven, RedriveNotifications
from functions.tasks.models import Caller

REDRIVES = Limit("redrives", 30, timedelta(minutes=10))
"""Each sends all again that failed, or what failed of one reminder: enough to go through a list of them by hand."""


@http("POST", "/api/notifications/redrive")
@once
def redrive_notifications(
    command: RedriveNotifications, caller: Caller, reminders: Reminders, limits: Limits, now: datetime
) -> Redriven:
    limits.take(REDRIVES, caller.user_id, now)
    return Redriven(redriven=reminders.redrive(caller.user_id, command.reminder_id))
