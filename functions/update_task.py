"""update-task: changes what a command names (PATCH), or replaces the task (PUT), merged with others' edits since."""

from __future__ import annotations

from datetime import datetime

from functions.runtime.triggers import http, once, sends
from functions.store.tasks import Tasks
from functions.tasks.events import TASK_EVENTS
from functions.tasks.merging import Merge, merge
from functions.tasks.models import Caller, Task, UpdatedTask, UpdateTask
from functions.tasks.planning import Change, plan_update


@http("PUT", "/api/tasks/{task_id}", replace=True)
@http("PATCH", "/api/tasks/{task_id}")
@once
@sends(TASK_EVENTS)
def update_task(command: UpdateTask, caller: Caller, tasks: Tasks, now: datetime) -> UpdatedTask:
    merged = Merge(command, [])
    by = caller.sign_in if command.made_at else None  # a device's queue says when; its edits know each other

    def plan(task: Task) -> Change | None:
        nonlocal merged
        merged = merge(command, task, now=now, by=by)
        return plan_update(merged.command, task, now=now, by=by, conflicts=merged.conflicts)

    task = tasks.change(caller, command.task_id, plan)
    if "status" in merged.command.model_fields_set and task.status == "open":
        tasks.withdraw_next(caller, task, now)
    return UpdatedTask.model_validate(dict(task) | {"conflicts": merged.conflicts})
