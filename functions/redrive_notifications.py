"""redrive-notifications: sends the caller's failed notifications again, all or those of one reminder."""

from __future__ import annotations

from functions.runtime.triggers import http
from functions.store.reminders import Reminders
from functions.tasks.models import Caller, Redriven, RedriveNotifications


@http("POST", "/api/notifications/redrive")
def redrive_notifications(command: RedriveNotifications, caller: Caller, reminders: Reminders) -> Redriven:
    return Redriven(redriven=reminders.redrive(caller.user_id, command.reminder_id))
