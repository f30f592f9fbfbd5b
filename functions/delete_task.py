"""delete-task: deletes a task and cancels its reminders, or takes one occurrence out of its series."""

from __future__ import annotations

from datetime import datetime

from functions.runtime.triggers import http, once, sends
from functions.store.tasks import Tasks
from functions.tasks.events import TASK_EVENTS
from functions.tasks.models import Caller, Deleted, DeleteTask, Task
from functions.tasks.planning import plan_removal


@http("DELETE", "/api/tasks/{task_id}")
@once
@sends(TASK_EVENTS)
def delete_task(command: DeleteTask, caller: Caller, tasks: Tasks, now: datetime) -> Deleted | Task:
    task = tasks.change(caller, command.task_id, lambda task: plan_removal(command, task, now=now))
    return Deleted(id=task.id) if task.deleted else task
