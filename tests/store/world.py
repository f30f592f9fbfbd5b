"""The store as functions use it, and short ways to fill it and to look into it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, Self, TypeVar
from uuid import UUID, uuid4

from functions.store.accounts import Accounts, PersonalTokens
from functions.store.changes import ChangeLog
from functions.store.commands import CommandLog
from functions.store.database import Database
from functions.store.devices import Devices
from functions.store.digests import Digests
from functions.store.events import ActivityLog, Outbox
from functions.store.reminders import Reminders
from functions.store.tags import Tags
from functions.store.task_lists import TaskLists
from functions.store.tasks import Tasks
from functions.store.users import Users
from functions.tasks.events import ChangeEvent
from functions.tasks.models import Caller, CreateTask, Task, UpdateTask
from functions.tasks.planning import plan_completion, plan_create, plan_deletion, plan_update

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)  # a Monday
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

Result = TypeVar("Result")


class World:
    """One database, with a store of each kind on it."""

    def __init__(self, url: str, database: Database | None = None) -> None:
        self.url = url
        self.database = database or Database(url, size=24)
        self.tasks = Tasks(self.database)
        self.lists = TaskLists(self.database)
        self.tags = Tags(self.database)
        self.reminders = Reminders(self.database)
        self.devices = Devices(self.database)
        self.users = Users(self.database)
        self.accounts = Accounts(self.database)
        self.personal_tokens = PersonalTokens(self.database)
        self.digests = Digests(self.database)
        self.commands = CommandLog(self.database)
        self.outbox = Outbox(self.database)
        self.log = ActivityLog(self.database)
        self.change_log = ChangeLog(self.database)

    def __enter__(self) -> Self:
        self.database.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.database.close()

    # Commands, planned and written as the functions do.

    def user(self, email: str | None = None) -> Caller:
        """A caller whom nobody knows yet."""
        return Caller(user_id=uuid4(), name="Ann", email=email, correlation_id="c-1")

    def add(self, caller: Caller, now: datetime = NOW, **fields: Any) -> Task:
        command = CreateTask.model_validate({"title": "a"} | fields)
        return self.tasks.add(plan_create(command, time_zone="UTC", now=now), caller)

    def update(self, caller: Caller, task_id: UUID, now: datetime = NOW, **fields: Any) -> Task:
        command = UpdateTask.model_validate({"task_id": task_id} | fields)
        return self.tasks.change(caller, task_id, lambda task: plan_update(command, task, now=now))

    def complete(self, caller: Caller, task_id: UUID, now: datetime = NOW, *, completed: bool = True) -> Task:
        return self.tasks.change(
            caller, task_id, lambda task: plan_completion(task, completed=completed, version=None, now=now)
        )

    def delete(self, caller: Caller, task_id: UUID, now: datetime = NOW) -> None:
        self.tasks.change(caller, task_id, lambda task: plan_deletion(task, version=None, now=now))

    # What is there.

    def rows(self, query: str, *params: Any) -> list[dict[str, Any]]:
        return self.database.system.all(query, params)

    def value(self, query: str, *params: Any) -> Any:
        (row,) = self.rows(query, *params)
        (value,) = row.values()
        return value

    def changes(self, caller: Caller) -> list[ChangeEvent]:
        """The caller's change log, in order."""
        rows = self.rows(
            "select user_id, seq, event_id, type, occurred_at, correlation_id, entity_type, entity_id, data"
            " from events where user_id = %s order by seq",
            caller.user_id,
        )
        return [ChangeEvent.model_validate(row) for row in rows]

    def types(self, caller: Caller) -> list[str]:
        return [event.type for event in self.changes(caller)]


def together(work: Callable[[int], Result], times: int) -> list[Result]:
    """What `work` answers for 0, 1, ... when as many threads do it at once. Raises what one of them raised."""
    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(work, range(times)))


def chunks(items: Sequence[Result], size: int) -> Iterable[Sequence[Result]]:
    return (items[first : first + size] for first in range(0, len(items), size))
