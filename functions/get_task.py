"""get-task: one task, with its reminders and its history."""

from __future__ import annotations

from functions.runtime.triggers import http
from functions.store.events import ActivityLog
from functions.store.tasks import Tasks
from functions.tasks.models import Caller, TaskDetail, TaskRef
from functions.tasks.query import ListActivity


@http("GET", "/api/tasks/{task_id}")
def get_task(query: TaskRef, caller: Caller, tasks: Tasks, log: ActivityLog) -> TaskDetail:
    task = tasks.get(caller, query.task_id)
    history = log.page(caller, ListActivity(task_id=task.id, limit=100)).items
    return TaskDetail(**dict(task), history=history)
