"""A user whose reminder is due, and the way of its deliveries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from functions.store.database import Database
from functions.store.devices import Devices
from functions.store.reminders import Reminders
from functions.store.tasks import Tasks
from functions.store.users import Users
from functions.tasks.delivery import route, sort_out
from functions.tasks.devices import Registration
from functions.tasks.events import Delivery, DueReminder
from functions.tasks.models import Caller, CreateTask, Task
from functions.tasks.planning import plan_create
from functions.tasks.user_settings import ManageSettings, plan_settings

NOW = datetime(2026, 11, 23, 21, tzinfo=UTC)


def webhook(url: str = "https://hooks.example/1", name: str = "Home") -> Registration:
    return Registration(kind="webhook", endpoint=url, name=name)


def change(users: Users, caller: Caller, now: datetime = NOW, **fields: Any) -> Any:
    command = ManageSettings.model_validate(fields)
    return users.change(caller, lambda settings: plan_settings(command, settings), now)


class Case:
    """A user's task with one reminder that is due at NOW."""

    def __init__(self, database: Database, caller: Caller) -> None:
        self.database, self.caller = database, caller
        self.reminders, self.devices = Reminders(database), Devices(database)
        self.tasks = Tasks(database)

    def task(self, channel: str = "all") -> Task:
        spec = {"at": NOW.isoformat(), "delivery_channel": channel}
        command = CreateTask.model_validate({"title": "Water", "reminders": [spec]})
        return self.tasks.add(plan_create(command, time_zone="UTC", now=NOW - timedelta(seconds=5)), self.caller)

    def claim(self, now: datetime) -> list[DueReminder]:
        """What this user's tick claims."""
        self.reminders.release_expired(now)
        return [r for r in self.reminders.claim_due(now, 10_000) if r.user_id == self.caller.user_id]

    def route(self, claimed: list[DueReminder], now: datetime) -> tuple[list[Delivery], list[Delivery]]:
        wanted = route(claimed, self.reminders.recipients(claimed), now)
        return sort_out(self.reminders.plan_deliveries(wanted, now), wanted, now)

    def send(self, deliveries: list[Delivery], now: datetime, status: Any = "sent", reason: str | None = None) -> int:
        return self.reminders.record(self.reminders.begin_attempts(deliveries, now), status, now, "c", reason)

    def status(self, task: Task) -> str:
        (reminder,) = self.tasks.get(self.caller, task.id).reminders
        return reminder.status

    def events(self) -> list[dict[str, Any]]:
        rows = self.database.of(self.caller.user_id).all(
            "select data from events where user_id = %s and entity_type = 'reminder' order by seq",
            (self.caller.user_id,),
        )
        return [row["data"] for row in rows]
