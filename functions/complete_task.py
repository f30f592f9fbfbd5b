"""complete-task: completes a task or opens it again; either is done already the second time."""

from __future__ import annotations

from datetime import datetime

from functions.runtime.triggers import http
from functions.store.tasks import Tasks
from functions.tasks.models import Caller, CompleteTask, Task
from functions.tasks.planning import plan_completion


@http("POST", "/api/tasks/{task_id}/complete", action="complete")
@http("POST", "/api/tasks/{task_id}/reopen", action="reopen")
def complete_task(command: CompleteTask, caller: Caller, tasks: Tasks, now: datetime) -> Task:
    completed = command.action == "complete"
    task = tasks.change(
        caller,
        command.task_id,
        lambda task: plan_completion(task, completed=completed, version=command.version, now=now),
    )
    if not completed:
        tasks.withdraw_next(caller, task, now)
    return task
