"""The life of a user, on the functions as they run: what each of them publishes is kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from functions.runtime.channels import Channels
from functions.runtime.commands import Commands
from functions.runtime.inputs import Services, bind
from functions.runtime.limits import Limits
from functions.runtime.outages import Outages
from functions.runtime.rates import Rates
from functions.runtime.settings import Settings
from functions.runtime.sidecar import Sidecar
from functions.runtime.triggers import load
from functions.store.commands import CommandLog
from functions.store.dead_messages import DeadMessages
from functions.store.events import ActivityLog, Outbox
from functions.store.reminders import Reminders
from functions.store.tags import Tags
from functions.store.tasks import Tasks
from functions.store.users import Users
from functions.tasks.commands import COMMANDS
from functions.tasks.devices import Registration
from functions.tasks.errors import Unavailable, Undeliverable
from functions.tasks.events import ChangeEvent, Changes, Event, NotificationSend, ReminderDue, topic_of
from tests.store.world import World

PUBLISHING = {Tasks, Tags, Reminders, Outbox, Sidecar, Commands}
"""What a function must have to publish, or to append to the change log."""


class Recorder(Sidecar):
    """A sidecar that keeps what it is given."""

    def __init__(self) -> None:
        super().__init__(Settings())
        self.topics: set[str] = set()
        self.messages: list[Event] = []
        self.changes: list[ChangeEvent] = []

    def state(self, key: str) -> tuple[bytes, str]:
        raise Unavailable("there is no state store")

    def publish(self, topic: str, messages: Sequence[Any]) -> None:
        self.topics.add(topic)

    def send(self, topic: str, events: Sequence[tuple[str, str, Event]]) -> None:
        if events:
            self.topics.add(topic)
            self.messages += [event for _, _, event in events]

    def publish_changes(self, events: list[ChangeEvent]) -> None:
        self.changes += events
        super().publish_changes(events)


class Refusing(Channels):
    """Delivers, but to no browser."""

    def __init__(self) -> None: ...

    def send(self, delivery: Any) -> None:
        if delivery.channel == "web_push":
            raise Undeliverable("the browser is gone")


class Life:
    def __init__(self, world: World) -> None:
        self.world = world
        self.caller = world.user("ann@example.org").model_copy(update={"scopes": frozenset({"write"})})
        self.sidecar = Recorder()
        self.sent: dict[str, set[str]] = defaultdict(set)
        """The topics that each function published on, by itself or by the changes that it wrote."""
        self._services: Services = {
            Tasks: world.tasks,
            Tags: world.tags,
            Reminders: world.reminders,
            Users: world.users,
            ActivityLog: world.log,
            Outbox: world.outbox,
            Sidecar: self.sidecar,
            Channels: Refusing(),
            Limits: Limits(self.sidecar),
            Settings: Settings(),
            DeadMessages: DeadMessages(world.database),
            Outages: Outages(lambda seconds: True),
        }
        self._functions = {function.name: function for function in load()}
        bound = {name: (self._functions[name], bind(self._functions[name], self._services)) for name in COMMANDS}
        self._services[Commands] = Commands(CommandLog(world.database), bound, Rates("user", 0))

    def run(self, name: str, inputs: Event | dict[str, Any] | None = None) -> Any:
        """Runs a function on a message, or on a caller's inputs; answers what it does."""
        function = self._functions[name]
        if isinstance(inputs, dict):
            assert function.input is not None
            given: Any = function.input.model_validate(inputs)
        else:
            given = inputs
        before = len(self.world.changes(self.caller))
        self.sidecar.topics.clear()
        answer = bind(function, self._services)(given, self.caller)
        written = {topic_of(change.type) for change in self.world.changes(self.caller)[before:]}
        self.sent[name] |= written | self.sidecar.topics
        return answer

    def live(self) -> None:
        self._tags()
        self._tasks()
        self._reminders()
        self._offline()
        self.run("publish-outbox")
        self.run("log-activity", Changes(events=self.world.changes(self.caller)))

    def _tags(self) -> None:
        tag = self.run("manage-tags", {"action": "create", "name": "home"})
        self.run("manage-tags", {"action": "update", "tag_id": tag.id, "name": "house", "color": "#123456"})
        self.run("manage-tags", {"action": "delete", "tag_id": tag.id})

    def _tasks(self) -> None:
        plain = self.run("create-task", {"title": "plain"})
        self.run("update-task", {"task_id": plain.id, "due_date": "2030-01-31", "priority": "high", "tags": ["home"]})
        self.run("get-task", {"task_id": plain.id})
        self.run("delete-task", {"task_id": plain.id})
        self.run("preview-recurrence", {"recurrence": {"type": "daily"}, "due_date": "2030-01-31"})
        recurrences: list[dict[str, Any]] = [
            {"type": "monthly", "day_of_month": -1, "end_date": "2031-01-31", "exdates": ["2030-03-31T09:00:00Z"]},
            {"type": "yearly", "days_of_week": [0, 6], "week_of_month": -1, "month": 5, "count": 9},
            {"type": "custom", "unit": "day", "interval": 3, "anchor": "completion"},
            {"rrule": "FREQ=DAILY;COUNT=5"},
        ]
        for recurrence in recurrences:
            task = self._recurring(recurrence)
            self._command("complete", task)
            completed = self.world.changes(self.caller)[-1:]
            self.run("spawn-recurrence", Changes(events=completed))
            self._command("reopen", task)
            other = self._recurring(recurrence)
            self._command("skip", other)

    def _recurring(self, recurrence: dict[str, Any]) -> UUID:
        fields = {
            "title": "recurring",
            "description": "in full",
            "due_date": "2030-01-31T09:00:00Z",
            "time_zone": "Europe/Berlin",
            "recurrence": recurrence,
            "tags": ["Home", "work"],
            "reminder_offset": "P1D",
            "reminders": [{"offset": "PT10M", "delivery_channel": "email"}, {"at": "2030-01-30T18:00:00+01:00"}],
        }
        task_id: UUID = self.run("create-task", fields).id
        return task_id

    def _command(self, action: str, task_id: UUID) -> None:
        self.run("complete-task", {"task_id": task_id, "action": action})

    def _reminders(self) -> None:
        task = self.run(
            "create-task", {"title": "later", "due_date": "2030-01-31T09:00:00Z", "reminder_offset": "PT0S"}
        )
        reminder = {"reminder_id": task.reminders[0].id}
        self.run("manage-reminders", {"action": "snooze", "until": "2030-02-01T09:00:00Z", **reminder})
        self.run("manage-reminders", {"action": "cancel", **reminder})
        for kind in ("web_push", "webhook"):
            device = Registration(kind=kind, endpoint=f"https://{kind}.example", name=kind)
            self.world.devices.register(self.caller, device, None, datetime.now(UTC))
        self.run("create-task", {"title": "now", "reminders": [{"at": datetime.now(UTC).isoformat()}]})
        self.run("due-reminders")
        self.run("route-reminder", self._heard(ReminderDue)[0])
        for message in self._heard(NotificationSend):
            name = "bury-notification" if message.delivery.channel == "webhook" else "push-notification"
            self.run(name, message)
        self.run("redrive-notifications", {})

    def _offline(self) -> None:
        task = self.run("create-task", {"title": "old", "due_date": "2030-01-31T09:00:00Z", "reminder_offset": "P1D"})
        reminder = self.run("update-task", {"task_id": task.id, "title": "theirs"}).reminders[0]
        asked: list[tuple[str, dict[str, Any]]] = [
            ("manage-reminders", {"action": "snooze", "reminder_id": str(reminder.id), "minutes": 5}),
            ("update-task", {"task_id": str(task.id), "base_version": 1, "title": "yours"}),
        ]
        commands = [{"key": str(n), "function": name, "input": inputs} for n, (name, inputs) in enumerate(asked)]
        self.run("apply-commands", {"sent_at": datetime.now(UTC).isoformat(), "commands": commands})

    def _heard(self, kind: type[Any]) -> list[Any]:
        return [message for message in self.sidecar.messages if isinstance(message, kind)]
