"""list-tasks: filters, sorts, searches and pages the caller's tasks."""

from __future__ import annotations

from datetime import datetime

from functions.runtime.triggers import http
from functions.store.task_lists import TaskLists
from functions.tasks.models import Caller, TaskPage
from functions.tasks.query import ListTasks


@http("GET", "/api/tasks")
def list_tasks(query: ListTasks, caller: Caller, lists: TaskLists, now: datetime) -> TaskPage:
    return lists.page(caller, query, now)
