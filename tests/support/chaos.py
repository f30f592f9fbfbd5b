"""Many users at work while parts of the system are killed, and what their commands must have become."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx

from functions.tasks.events import topic_of
from tests.conftest import unique_user
from tests.support.client import Json
from tests.support.reminders import due_in
from tests.support.system import System
from tools import kafka
from tools.mail import read

REQUEST_SECONDS = 10.0
PAUSE_SECONDS = 0.2


@dataclass(frozen=True)
class Acknowledged:
    """A command that was answered 200."""

    user_id: UUID
    correlation_id: str
    event: str
    """The type of the one event that it makes."""
    task_id: str


@dataclass
class Load:
    """So many commands a second, by so many users, each of whom waits for an answer before the next one.

    A command is repeated, with the same ids, until it is acknowledged; as any client must.
    """

    system: System
    users: int
    rate: float
    """Commands a second, of all users together."""
    emails: set[str] = field(default_factory=set)
    """Where the users' mails go."""
    acknowledged: list[Acknowledged] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    repeated: int = 0

    def run(self, seconds: float) -> None:
        """Until the time is over and every command that was begun is acknowledged."""
        end = time.monotonic() + seconds
        threads = [threading.Thread(target=self._user, args=(number, end)) for number in range(self.users)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _user(self, number: int, end: float) -> None:
        client = self.system.client(unique_user(f"chaos-{number}"))
        client.http.timeout = httpx.Timeout(REQUEST_SECONDS)
        self.emails.add(client.email)
        every = self.users / self.rate
        due = time.monotonic() + every * number / self.users
        for verb, path, event, body, task_id in _commands(number):
            time.sleep(max(0.0, due - time.monotonic()))
            if time.monotonic() > end:
                return
            due += every
            correlation_id = str(uuid4())
            while True:
                try:
                    answer = client.rest(verb, path, body, headers={"X-Correlation-Id": correlation_id})
                except httpx.TransportError:
                    answer = None
                if answer is not None and answer.status_code == 200:
                    self.acknowledged.append(Acknowledged(client.user_id, correlation_id, event, task_id))
                    break
                if answer is not None and answer.status_code != 503:
                    self.problems.append(f"{verb} {path}: {answer.status_code} {answer.text[:300]}")
                    return
                self.repeated += 1
                time.sleep(PAUSE_SECONDS)


def _commands(user: int) -> Iterator[tuple[str, str, str, Json, str]]:
    """Verb, path, event, body and task of one command after the other."""
    for number in itertools.count():
        plain, recurring, soon = (str(uuid4()) for _ in range(3))
        name = f"{user}.{number}"
        yield "POST", "/api/tasks", "task.created", {"id": plain, "title": f"plain {name}", "tags": ["home"]}, plain
        yield "PATCH", f"/api/tasks/{plain}", "task.updated", {"title": f"changed {name}"}, plain
        fields: Json = {"due_date": "2030-01-31", "recurrence": {"type": "monthly", "day_of_month": 31}}
        yield "POST", "/api/tasks", "task.created", {"id": recurring, "title": f"recurring {name}", **fields}, recurring
        yield "POST", f"/api/tasks/{recurring}/complete", "task.completed", {}, recurring
        fields = {"due_date": due_in(2 + number % 4), "reminder_offset": "PT0S"}
        yield "POST", "/api/tasks", "task.created", {"id": soon, "title": f"soon {name}", **fields}, soon
        yield "POST", f"/api/tasks/{plain}/complete", "task.completed", {}, plain


@dataclass
class Counts:
    """What became of it, as counts; `wrong` says what must not be."""

    said: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def expect(self, name: str, found: int, wanted: int) -> None:
        self.said[name] = found
        if found != wanted:
            self.wrong.append(f"{name}: {found}, not {wanted}")


CONSUMERS = {"log-activity": ("task.events", "reminder.events"), "spawn-recurrence": ("task.events",)}


def under_way(system: System) -> list[str]:
    """What is not drained yet."""
    (row,) = system.sql(
        "select (select count(*) from events where published_at is null) as unpublished,"
        " (select count(*) from events) - (select count(*) from activity) as unlogged,"
        " (select count(*) from reminders where status = 'pending' and scheduled_time < now()) as reminders"
    )
    return [f"{count} {name}" for name, count in {**row, "lag": lag(system)}.items() if count]


def lag(system: System) -> int:
    """Messages that a consumer group has not acknowledged, of all groups."""
    brokers = system.run["kafka_brokers"]
    return sum(sum(kafka.lag(brokers, app).values()) for app in system.run["apps"])


def count(system: System, load: Load, since: str) -> Counts:
    """Of everything that was committed after `since` (an instant); the system is drained."""
    counts = Counts()
    events = system.sql(
        "select user_id, seq, type, entity_id, correlation_id, data from events where occurred_at >= %s", since
    )
    made = Counter((e["user_id"], e["correlation_id"], e["type"], str(e["entity_id"])) for e in events)
    wanted = [(a.user_id, a.correlation_id, a.event, a.task_id) for a in load.acknowledged]
    counts.expect("commands acknowledged", len(wanted), len(set(wanted)))
    counts.expect("of them in the database once", sum(made[each] == 1 for each in wanted), len(wanted))

    logged = system.sql("select user_id, seq from activity where occurred_at >= %s", since)
    counts.expect("events in the activity log once", len({(r["user_id"], r["seq"]) for r in logged}), len(events))
    counts.expect("rows of the activity log", len(logged), len(events))
    for consumer, topics in CONSUMERS.items():
        seen = _seen(system, consumer)
        due = {(topic_of(e["type"]), str(e["user_id"]), e["seq"]) for e in events}
        due = {each for each in due if each[0] in topics}
        first: dict[tuple[str, str, int], None] = dict.fromkeys(seen)
        counts.expect(f"events seen by {consumer}", len(due & first.keys()), len(due))
        again = sum(each in due for each in seen) - len(due & first.keys())
        counts.said[f"times that {consumer} saw one again"] = again
        counts.expect(f"users out of order in {consumer}", _out_of_order(first), 0)

    recurring = [a.task_id for a in load.acknowledged if a.event == "task.completed"]
    following = system.sql(
        "select t.task_id, t.recurrence_id, (select count(*) from tasks n where n.user_id = t.user_id"
        " and n.follows = t.task_id) as next from tasks t where t.task_id = any(%s) and t.recurrence_id is not null",
        recurring,
    )
    counts.expect("next occurrences of completed tasks", sum(row["next"] for row in following), len(following))
    counts.expect("completed tasks with one", sum(row["next"] == 1 for row in following), len(following))

    due_tasks = [a.task_id for a in load.acknowledged if a.event == "task.created"]
    reminders = system.sql("select reminder_id, status from reminders where task_id = any(%s)", due_tasks)
    settled = sum(row["status"] in ("sent", "late") for row in reminders)
    counts.expect("reminders delivered", settled, len(reminders))
    told = Counter(
        (e["entity_id"], e["data"]["channel"]) for e in events if e["type"] in ("reminder.sent", "reminder.failed")
    )
    counts.expect("notifications", len(told), 2 * len(reminders))
    counts.expect("notifications told twice", sum(number > 1 for number in told.values()), 0)
    mails = Counter((m.recipients, m.subject) for m in read(system.mail) if load.emails & set(m.recipients))
    counts.expect("reminders by mail", len(mails), len(reminders))
    counts.said["mails that a kill let come again"] = mails.total() - len(mails)
    (dead,) = system.sql(
        "select (select count(*) from dead_messages where buried_at >= %s)"
        " + (select count(*) from deliveries where status = 'failed' and user_id = any(%s)) as letters",
        since,
        list({a.user_id for a in load.acknowledged}),
    )
    counts.expect("dead letters", dead["letters"], 0)
    return counts


def _seen(system: System, consumer: str) -> list[tuple[str, str, int]]:
    """Topic, user and seq of each event that a consumer has handled, in the order of its log."""
    seen = []
    for line in system.log(consumer):
        try:
            entry: dict[str, Any] = json.loads(line)
        except ValueError:
            continue  # cut off by a kill, or a word of Python's
        if entry.get("event") == "consumed":
            seen.append((entry["topic"], entry["event_id"].split("/")[0], entry["seq"]))
    return seen


def _out_of_order(first: dict[tuple[str, str, int], None]) -> int:
    """Of how many users an event was first seen after a later one of its topic."""
    sequences: dict[tuple[str, str], list[int]] = defaultdict(list)
    for topic, user, seq in first:
        sequences[topic, user].append(seq)
    return sum(numbers != sorted(numbers) for numbers in sequences.values())
