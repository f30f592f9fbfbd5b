"""update-task: changes what a command names (PATCH), or replaces the task (PUT)."""

from __future__ import annotations

from datetime import datetime

from functions.runtime.triggers import http, sends
from functions.store.tasks import Tasks
from functions.tasks.events import TASK_EVENTS
from functions.tasks.models import Caller, Task, UpdateTask
from functions.tasks.planning import plan_update


@http("PUT", "/api/tasks/{task_id}", replace=True)
@http("PATCH", "/api/tasks/{task_id}")
@sends(TASK_EVENTS)
def update_task(command: UpdateTask, caller: Caller, tasks: Tasks, now: datetime) -> Task:
    task = tasks.change(caller, command.task_id, lambda task: plan_update(command, task, now=now))
    if "status" in command.model_fields_set and task.status == "open":
        tasks.withdraw_next(caller, task, now)
    return task
