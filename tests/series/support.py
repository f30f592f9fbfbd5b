"""A user's commands and the events that follow from them, on the functions themselves, without a broker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any
from uuid import UUID, uuid4

from functions.complete_task import complete_task
from functions.create_task import create_task
from functions.delete_task import delete_task
from functions.manage_reminders import manage_reminders
from functions.spawn_recurrence import spawn_recurrence
from functions.store.database import Database
from functions.store.tasks import Tasks
from functions.tasks.errors import DomainError
from functions.tasks.events import ChangeEvent, Changes
from functions.tasks.models import Caller, CompleteTask, CreateTask, Deleted, DeleteTask, Reminder, Task, UpdateTask
from functions.tasks.snooze import ManageReminders, ReminderList
from functions.update_task import update_task

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)  # a Monday
DAY = timedelta(days=1)


class Household:
    """One user. Events are delivered when a test says so, in the order and as often as it likes."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.tasks = Tasks(database)
        self.caller = Caller(user_id=uuid4(), name="ann")
        self.now = NOW
        """The time of the commands; a test moves it."""

    def create(self, **fields: Any) -> Task:
        given = {"title": "a", "due_date": NOW + timedelta(hours=1)} | fields
        return create_task(CreateTask.model_validate(given), self.caller, self.tasks, self.now)

    def daily(self, **fields: Any) -> Task:
        return self.create(**{"recurrence": {"type": "daily"}} | fields)

    def edit(self, task_id: UUID, **fields: Any) -> Task:
        command = UpdateTask.model_validate({"task_id": task_id} | fields)
        return update_task(command, self.caller, self.tasks, self.now)

    def complete(self, task_id: UUID, **fields: Any) -> Task:
        answer = complete_task(CompleteTask(task_id=task_id, **fields), self.caller, self.tasks, self.now)
        assert isinstance(answer, Task)
        return answer

    def reopen(self, task_id: UUID) -> Task:
        return self.complete(task_id, action="reopen")

    def skip(self, task_id: UUID, **fields: Any) -> Task | Deleted:
        command = CompleteTask(task_id=task_id, action="skip", **fields)
        return complete_task(command, self.caller, self.tasks, self.now)

    def delete(self, task_id: UUID, **fields: Any) -> Task | Deleted:
        return delete_task(DeleteTask(task_id=task_id, **fields), self.caller, self.tasks, self.now)

    def reminder(self, action: str, reminder_id: UUID, **fields: Any) -> Reminder:
        command = ManageReminders.model_validate({"action": action, "reminder_id": reminder_id} | fields)
        answer = manage_reminders(command, self.caller, self.tasks, self.now)
        assert isinstance(answer, Reminder)
        return answer

    def reminders(self, task_id: UUID) -> list[Reminder]:
        answer = manage_reminders(ManageReminders(task_id=task_id), self.caller, self.tasks, self.now)
        assert isinstance(answer, ReminderList)
        return answer.items

    def events(self, kind: str = "%") -> list[ChangeEvent]:
        """The user's change log in order: all of it, or the events of one type."""
        rows = self.database.of(self.caller.user_id).all(
            "select event_id, type, user_id, seq, occurred_at, correlation_id, entity_type, entity_id, data"
            " from events where user_id = %s and type like %s order by seq",
            (self.caller.user_id, kind),
        )
        return [ChangeEvent.model_validate(row) for row in rows]

    def deliver(self, events: Sequence[ChangeEvent] | None = None) -> None:
        """Hands these events, or every one that there ever was, to spawn-recurrence."""
        for event in self.events() if events is None else events:
            spawn_recurrence(Changes(events=[event]), self.tasks, self.now)

    def rows(self, where: str = "true") -> list[dict[str, Any]]:
        """The user's tasks as they are stored, deleted ones too, in the order of their making."""
        return self.database.of(self.caller.user_id).all(
            "select t.* from tasks t"
            " join events e on e.user_id = t.user_id and e.entity_id = t.task_id and e.type = 'task.created'"
            f" where t.user_id = %s and {where} order by e.seq",
            (self.caller.user_id,),
        )

    def live(self) -> list[Task]:
        """The tasks that are not deleted, in the same order."""
        return [self.tasks.get(self.caller, row["task_id"]) for row in self.rows("deleted_at is null")]

    def open(self) -> list[Task]:
        return [task for task in self.live() if task.status == "open"]


def at_once(*commands: Callable[[], Any]) -> list[Any]:
    """Runs the commands at the same moment; answers what each returned, or the refusal that it raised."""
    barrier = Barrier(len(commands))

    def run(command: Callable[[], Any]) -> Any:
        barrier.wait()
        try:
            return command()
        except DomainError as error:
            return error

    with ThreadPoolExecutor(len(commands)) as pool:
        return list(pool.map(run, commands))
