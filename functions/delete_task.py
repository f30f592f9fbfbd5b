"""delete-task: deletes a task and cancels its reminders."""

from __future__ import annotations

from datetime import datetime

from functions.runtime.triggers import http
from functions.store.tasks import Tasks
from functions.tasks.models import Caller, Deleted, VersionedRef
from functions.tasks.planning import plan_deletion


@http("DELETE", "/api/tasks/{task_id}")
def delete_task(command: VersionedRef, caller: Caller, tasks: Tasks, now: datetime) -> Deleted:
    tasks.change(caller, command.task_id, lambda task: plan_deletion(task, version=command.version, now=now))
    return Deleted(id=command.task_id)
