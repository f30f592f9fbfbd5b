"""spawn-recurrence: makes the next occurrence of a series when one is completed, once."""

from __future__ import annotations

from datetime import datetime

from functions.runtime.triggers import on, sends
from functions.store.tasks import Tasks
from functions.tasks.events import TASK_EVENTS, Changes, caller_of
from functions.tasks.planning import plan_next


@on(TASK_EVENTS)
@sends(TASK_EVENTS)
def spawn_recurrence(changes: Changes, tasks: Tasks, now: datetime) -> None:
    for event in changes.events:
        if event.type != "task.completed":
            continue
        # An old event, told again, finds the task as it is: what was completed then may be open now.
        task = tasks.completed(caller_of(event), event.entity_id)
        if task and (change := plan_next(task, now=now)):
            tasks.follow(change, caller_of(event))
