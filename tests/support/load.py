"""Clients that work while the system dies under them, and what must be there of their work afterwards."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import httpx

from tests.support.client import Api, Json, Spelling
from tests.support.reminders import due_in
from tests.support.system import System
from tests.support.waiting import eventually

AGAIN = (502, 503, 504)
DELIVERED = ("email", "in_app")
PAUSE_SECONDS = 0.05


@dataclass
class Acknowledged:
    """What the system said 200 to, by the ids that the clients chose."""

    created: list[str] = field(default_factory=list)
    completed: list[str] = field(default_factory=list)
    """Of recurring tasks: each must have exactly one next occurrence."""
    reminded: list[str] = field(default_factory=list)
    """Tasks with one reminder each."""

    def __len__(self) -> int:
        return len(self.created) + len(self.completed) + len(self.reminded)


class Load:
    """One user's clients: one creates, one completes recurring tasks, one sets reminders for the next seconds.

    Each repeats a command, with the same id, until it is acknowledged; as any client must.
    """

    def __init__(self, system: System, user: str) -> None:
        self.system = system
        self.client = system.client(user)
        self.acknowledged = Acknowledged()
        self.sent: set[str] = set()
        self.problems: list[str] = []
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._repeat, args=(work,), name=work.__name__)
            for work in (self._create, self._complete, self._remind)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, more: int) -> None:
        """Waits until so many more commands were acknowledged."""
        wanted = len(self.acknowledged) + more
        eventually(
            lambda: len(self.acknowledged) >= wanted or self.problems,
            timeout=30,
            what=f"{wanted} acknowledged commands of {self.client.user}",
        )

    def _repeat(self, work: Callable[[Api, int], None]) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            spelling: Spelling = "rest" if number % 2 else "dapr"
            work(Api(self.client, spelling), number)

    def _create(self, api: Api, number: int) -> None:
        if task := self._insist(api, "create", title=f"created {number}", tags=[f"tag {number % 3}"]):
            self.acknowledged.created.append(task["id"])

    def _complete(self, api: Api, number: int) -> None:
        fields = {"title": f"recurring {number}", "due_date": "2030-01-01", "recurrence": {"type": "daily"}}
        task = self._insist(api, "create", **fields)
        if task and self._insist(api, "complete", task_id=task["id"]):
            self.acknowledged.completed.append(task["id"])

    def _remind(self, api: Api, number: int) -> None:
        task = self._insist(
            api, "create", title=f"soon {number}", due_date=due_in(1 + number % 7), reminder_offset="PT0S"
        )
        if task:
            self.acknowledged.reminded.append(task["id"])
        self._stop.wait(0.15)

    def _insist(self, api: Api, operation: str, **inputs: Any) -> Json | None:
        """The answer once there is one; None where it is time to stop, or the answer was no."""
        if operation == "create":
            inputs["id"] = str(uuid4())
            self.sent.add(inputs["id"])
        while not self._stop.is_set():
            try:
                answer = api(operation, **inputs)
            except httpx.TransportError:
                self._stop.wait(PAUSE_SECONDS)
                continue
            if answer.status_code == 200:
                task: Json = answer.json()
                return task
            if answer.status_code not in AGAIN:
                self.problems.append(f"{operation}: {answer.status_code} {answer.text[:300]}")
                return None
            self._stop.wait(PAUSE_SECONDS)
        return None

    # Afterwards.

    def check(self, *, uncertain_mails: int) -> None:
        """Everything acknowledged is there exactly once, as soon as it may be.

        `uncertain_mails` is how many mails may have come twice: those whose sending was cut off between the mail
        server's answer and its record, of which there is one at most for each kill.
        """
        assert not self.problems, self.problems
        eventually(lambda: not self._missing(), timeout=30, what=f"all is there of {self.client.user}")
        tasks = self.client.tasks()
        counts = Counter(task["id"] for task in tasks)
        assert max(counts.values()) == 1
        following = Counter(task["recurrence_id"] for task in tasks if (task["occurrence"] or 0) > 1)
        assert all(count == 1 for count in following.values()), following
        assert all(task["id"] in self.sent or task["recurrence_id"] in self.sent for task in tasks)

        entries = self.client.activity()
        assert [entry["seq"] for entry in entries] == list(range(len(entries), 0, -1))
        (row,) = self.system.sql("select seq from users where user_id = %s", self.client.user_id)
        assert len(entries) == row["seq"]
        created = Counter(entry["entity_id"] for entry in entries if entry["event_type"] == "task.created")
        assert created == counts
        delivered = self._delivered(entries)
        assert max(delivered.values(), default=1) == 1, delivered.most_common(3)
        self._check_mails(uncertain_mails)

    def _missing(self) -> list[str]:
        """What is not there yet."""
        tasks = {task["id"]: task for task in self.client.tasks()}
        series = Counter(task["recurrence_id"] for task in tasks.values())
        entries = self.client.activity()
        delivered = self._delivered(entries)
        said = self.acknowledged
        (row,) = self.system.sql("select seq from users where user_id = %s", self.client.user_id)
        return [
            *(f"task {one}" for one in said.created + said.completed + said.reminded if one not in tasks),
            *(f"completion of {one}" for one in said.completed if tasks[one]["status"] != "completed"),
            *(f"next occurrence of {one}" for one in said.completed if series[one] < 2),
            *(f"{channel} of {one}" for one in said.reminded for channel in DELIVERED if not delivered[one, channel]),
            *(f"entry {seq}" for seq in range(1, row["seq"] + 1) if seq not in {entry["seq"] for entry in entries}),
        ][:10]

    @staticmethod
    def _delivered(entries: list[Json]) -> Counter[tuple[str, str]]:
        return Counter(
            (entry["details"]["task_id"], entry["details"]["channel"])
            for entry in entries
            if entry["event_type"] == "reminder.sent"
        )

    def _check_mails(self, uncertain: int) -> None:
        titles = {task["title"] for task in self.client.tasks() if task["id"] in self.acknowledged.reminded}
        mails = Counter(mail.subject.removeprefix("Reminder: ") for mail in self.system.mails(self.client.email))
        assert titles <= set(mails), f"no mail for {titles - set(mails)}"
        twice = {title: count for title, count in mails.items() if count > 1}
        assert sum(twice.values()) - len(twice) <= uncertain, twice
