"""manage-reminders: lists the reminders of a task, puts one off to a later time, or cancels it."""

from __future__ import annotations

from datetime import datetime

from functions.runtime.triggers import http, once, sends
from functions.store.tasks import Tasks
from functions.tasks.events import REMINDER_EVENTS
from functions.tasks.models import Caller, Reminder
from functions.tasks.snooze import ManageReminders, ReminderList, check, latest, plan_cancel, plan_snooze


@http("GET", "/api/tasks/{task_id}/reminders", action="list")
@http("POST", "/api/reminders/{reminder_id}/snooze", action="snooze")
@http("POST", "/api/reminders/{reminder_id}/cancel", action="cancel")
@once
@sends(REMINDER_EVENTS)
def manage_reminders(command: ManageReminders, caller: Caller, tasks: Tasks, now: datetime) -> Reminder | ReminderList:
    action, identity, until = check(command, now)
    if action == "list":
        return ReminderList(items=tasks.get(caller, identity).reminders)
    task_id = tasks.of_reminder(caller, identity)
    if action == "snooze":
        task = tasks.change(caller, task_id, lambda task: plan_snooze(task, identity, until=until, now=now))
    else:
        task = tasks.change(caller, task_id, lambda task: plan_cancel(task, identity, now=now))
    return latest(task, identity)
