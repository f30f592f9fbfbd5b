"""complete-task: completes a task or opens it again, once; or skips an occurrence of a recurring one."""

from __future__ import annotations

from datetime import datetime

from functions.runtime.triggers import http, once, sends
from functions.store.tasks import Tasks
from functions.tasks.events import TASK_EVENTS
from functions.tasks.models import Caller, CompleteTask, Deleted, Task
from functions.tasks.planning import plan_completion, plan_skip


@http("POST", "/api/tasks/{task_id}/complete", action="complete")
@http("POST", "/api/tasks/{task_id}/reopen", action="reopen")
@http("POST", "/api/tasks/{task_id}/skip", action="skip")
@once
@sends(TASK_EVENTS)
def complete_task(command: CompleteTask, caller: Caller, tasks: Tasks, now: datetime) -> Task | Deleted:
    if command.action == "skip":
        task = tasks.change(caller, command.task_id, lambda task: plan_skip(command, task, now=now))
        return Deleted(id=task.id) if task.deleted else task
    completed = command.action == "complete"
    task = tasks.change(
        caller,
        command.task_id,
        lambda task: plan_completion(
            task, completed=completed, version=command.version, now=now, occurrence=command.occurrence
        ),
    )
    if not completed:
        tasks.withdraw_next(caller, task, now)
    return task
