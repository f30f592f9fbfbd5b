"""log-activity: keeps each change of a user's tasks, tags and reminders in their activity log, once."""

from __future__ import annotations

from functions.runtime.triggers import on
from functions.store.events import ActivityLog
from functions.tasks.events import REMINDER_EVENTS, TASK_EVENTS, Changes


@on(TASK_EVENTS)
@on(REMINDER_EVENTS)
def log_activity(changes: Changes, log: ActivityLog) -> None:
    log.append(changes.events)
