"""create-task: makes one task, with its tags and reminders, once per id."""

from __future__ import annotations

from datetime import datetime

from functions.runtime.triggers import http, on, once, sends
from functions.store.tasks import Tasks
from functions.tasks.events import TASK_CREATE, TASK_EVENTS
from functions.tasks.models import Caller, CreateTask, Task
from functions.tasks.planning import plan_create


@http("POST", "/api/tasks")
@on(TASK_CREATE)
@once
@sends(TASK_EVENTS)
def create_task(command: CreateTask, caller: Caller, tasks: Tasks, now: datetime) -> Task:
    time_zone = command.time_zone or tasks.time_zone(caller)
    return tasks.add(plan_create(command, time_zone=time_zone, now=now), caller)
