"""What happens while a part that the system depends on is down, and that it goes on by itself once that is back."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from functions.tasks import events
from functions.tasks.events import (
    ChangeEvent,
    Changes,
    Command,
    Delivery,
    DueReminder,
    Event,
    NotificationSend,
    ReminderDue,
)
from tests.conftest import unique_user
from tests.support.client import Api, Client, Json, refused
from tests.support.outside import MailServer, Postgres
from tests.support.reminders import channels, deliveries, due_in, lateness, wait_delivered
from tests.support.system import System, free_port
from tests.support.topic import Topic
from tests.support.waiting import eventually

MAX_LATENESS = 1.0
GIVES_UP_SECONDS = 12.0
"""In which a function says that its database is gone."""
EDGE_GIVES_UP_SECONDS = 35.0
"""In which the edge says that a function does not answer."""


@dataclass
class Outside:
    """A system with a database and a mail server that are not its own."""

    system: System
    postgres: Postgres
    mail: MailServer


@dataclass
class Frozen:
    """One of them whose database hangs, and what it was asked since."""

    outside: Outside
    client: Client
    soon: Json
    """A task whose reminder falls due while the database hangs."""
    asked: Future[None]


@contextlib.contextmanager
def outside_parts() -> Iterator[Outside]:
    with tempfile.TemporaryDirectory(prefix="tickler-test-pg-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        postgres, mail = Postgres(Path(folder) / "postgres"), MailServer(free_port())
        system = System(
            {
                "TICKLER_DATABASE_URL": postgres.url,
                "TICKLER_SMTP_HOST": "127.0.0.1",
                "TICKLER_SMTP_PORT": str(mail.port),
            }
        )
        try:
            postgres.start()
            mail.up()
            system.start()
            yield Outside(system, postgres, mail)
            system.stop()
        finally:
            system.discard()
            mail.down()
            postgres.stop()


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    with outside_parts() as outside:
        yield outside


@pytest.fixture(scope="module", autouse=True)
def frozen() -> Iterator[Frozen]:
    """A system whose database hangs, from the start of this module on: the other tests run while it is waited for."""
    with outside_parts() as outside, ThreadPoolExecutor(1) as pool:
        client = outside.system.client(unique_user("frozen"))
        task = client.create("before")
        soon = client.create("due meanwhile", due_date=due_in(1.5), reminder_offset="PT0S")
        outside.postgres.freeze()
        asked = pool.submit(all_unavailable, client, task, EDGE_GIVES_UP_SECONDS)
        try:
            yield Frozen(outside, client, soon, asked)
        finally:
            outside.postgres.thaw()


@pytest.fixture
def client(outside: Outside, request: pytest.FixtureRequest) -> Client:
    return outside.system.client(unique_user(request.node.name))


def every_operation(client: Client, task: Json) -> list[tuple[str, Json]]:
    task_id = {"task_id": task["id"]}
    return [
        ("create", {"title": "x"}),
        ("list", {}),
        ("get", task_id),
        ("update", {**task_id, "title": "x"}),
        ("complete", task_id),
        ("delete", task_id),
        ("create_tag", {"name": "x"}),
        ("activity", {}),
    ]


def all_unavailable(client: Client, task: Json, within: float) -> None:
    """Every function answers 503 with code 14, in bounded time, and so does the health check."""
    rest = Api(client, "rest")

    def ask(operation: tuple[str, Json] | None) -> float:
        started = time.monotonic()
        answer = rest(operation[0], **operation[1]) if operation else client.rest("GET", "/healthz")
        refused(answer, 503, code=14)
        return time.monotonic() - started

    asked = [*every_operation(client, task), None]
    with ThreadPoolExecutor(len(asked)) as pool:
        assert max(pool.map(ask, asked)) < within


def works_again(client: Client) -> Json:
    """A task that was made as soon as the system took one."""
    answer = eventually(
        lambda: (response := client.rest("POST", "/api/tasks", {"title": "again"})).status_code == 200 and response,
        timeout=20,
        what="the system works again by itself",
    )
    task: Json = answer.json()  # type: ignore[union-attr]
    return task


def test_database__stopped_is_503_and_once_it_is_back_all_goes_on(outside: Outside, client: Client) -> None:
    functions = outside.system.pid("functions")
    task = client.create("before", tags=["tag"])
    soon = client.create("due meanwhile", due_date=due_in(1.5), reminder_offset="PT0S")
    outside.postgres.stop()
    try:
        all_unavailable(client, task, GIVES_UP_SECONDS)
    finally:
        outside.postgres.start()
    again = works_again(client)
    assert client.get(task["id"])["title"] == "before"
    assert {one["id"] for one in client.tasks()} >= {task["id"], soon["id"], again["id"]}
    wait_delivered(client, soon["id"])
    eventually(
        lambda: {"tag.created", "task.created"} <= {entry["event_type"] for entry in client.activity()},
        what="what was done before the outage is in the log",
    )
    assert outside.system.client(None).rest("GET", "/healthz").status_code == 200
    assert outside.system.pid("functions") == functions
    assert sorted(channels(client, soon["id"])) == ["email", "in_app"]


def every_message(outside: Outside, client: Client, task: Json) -> dict[str, Json]:
    """A payload for each topic, by its name: of a change that is in the log already, and of a reminder that is none."""
    (change,) = outside.system.sql(
        "select event_id, type, user_id, seq, occurred_at, correlation_id, entity_type, entity_id, data from events"
        " where user_id = %s and seq = 1",
        client.user_id,
    )
    changes = Changes(events=[ChangeEvent.model_validate(change)])
    reminder: Json = {
        **{"user_id": client.user_id, "reminder_id": uuid4(), "task_id": task["id"], "title": "x"},
        "scheduled_time": due_in(0),
    }
    send = NotificationSend(delivery=Delivery(**reminder, channel="email", address="x@example.org"))
    payloads: dict[str, Event] = {
        events.TASK_CREATE: Command(user_id=client.user_id, name=client.user, command={"title": "meanwhile"}),
        **dict.fromkeys((events.TASK_EVENTS, events.REMINDER_EVENTS), changes),
        events.REMINDER_DUE: ReminderDue(reminders=[DueReminder(**reminder)]),
        **dict.fromkeys((*events.SEND_TOPICS.values(), events.NOTIFICATION_DLQ), send),
    }
    return {topic: payload.model_dump(mode="json") for topic, payload in payloads.items()}


def test_database__stopped_costs_no_message_an_attempt_and_no_request_its_answer(
    outside: Outside, client: Client
) -> None:
    task = client.create("before")
    messages = {
        (Topic(outside.system, name), f"{name} {uuid4()}"): data
        for name, data in every_message(outside, client, task).items()
    }
    buried = uuid4().bytes + b" is no event"
    outside.postgres.stop()
    try:
        for (topic, event_id), data in messages.items():
            topic.event(event_id, data)
        Topic(outside.system, events.MESSAGE_DLQ).raw(buried, "application/octet-stream", rawPayload="true")
        all_unavailable(client, task, GIVES_UP_SECONDS)  # while the consumers of all topics wait
        eventually(
            lambda: all(len(topic.log(event_id, "waiting")) > 1 for topic, event_id in messages),
            timeout=20,
            what="every message waits",
        )
    finally:
        outside.postgres.start()
    eventually(
        lambda: all(topic.log(event_id, "consumed") for topic, event_id in messages),
        timeout=20,
        what="every message was handled",
    )
    for topic, event_id in messages:
        assert topic.log(event_id, "failed") == []
        assert topic.dead(event_id) == []
    assert sorted(one["title"] for one in client.tasks()) == ["before", "meanwhile"]
    eventually(
        lambda: outside.system.sql("select 1 from dead_messages where data = %s", buried),
        what="what was on its way to the dead messages is there",
    )


def test_database__stopped_while_a_mail_is_sent_the_mail_comes_once_and_is_recorded(
    outside: Outside, client: Client
) -> None:
    task = client.create("taken meanwhile", due_date=due_in(0.5), reminder_offset="PT0S")
    reminder_id = task["reminders"][0]["id"]
    outside.mail.taking = outside.postgres.stop
    try:
        eventually(lambda: "taken meanwhile" in outside.mail.subjects, what="the mail server takes the mail")
        eventually(
            lambda: Topic(outside.system, events.NOTIFICATION_SEND).log(
                f"{reminder_id}/email/{client.email}", "waiting"
            ),
            timeout=20,
            what="the delivery waits for the database",
        )
    finally:
        outside.mail.taking = lambda: None
        outside.postgres.start()
    sent = wait_delivered(client, task["id"])  # without waiting for the lease, after which it would be sent again
    assert sorted(one["channel"] for one in sent) == ["email", "in_app"]
    assert outside.mail.subjects.count("taken meanwhile") == 1


def failed(client: Client, task: Json, timeout: float = 15) -> Json:
    """What the log says of the delivery of a task's reminder that failed."""
    entries = eventually(
        lambda: deliveries(client, task["id"], "reminder.failed"),
        timeout=timeout,
        what=f"the failed delivery of {task['title']!r}",
    )
    assert len(entries) == 1
    return entries[0]


def statuses(client: Client, task: Json) -> list[str]:
    return [reminder["status"] for reminder in client.get(task["id"])["reminders"]]


def test_mail__server_down_in_app_is_in_time_and_the_mail_fails_with_its_reason(
    outside: Outside, client: Client
) -> None:
    outside.mail.down()
    try:
        both = client.create("both", due_date=due_in(1), reminder_offset="PT0S")
        by_mail = client.create("by mail", reminders=[{"at": due_in(1), "delivery_channel": "email"}])
        later = client.create("later", due_date=due_in(1.5), reminder_offset="PT0S")
        details = [failed(client, task, timeout=30) for task in (both, by_mail, later)]
    finally:
        outside.mail.up()
    in_app = deliveries(client)
    assert [one["channel"] for one in in_app] == ["in_app"] * 2
    assert max(lateness(one) for one in in_app) < MAX_LATENESS, [lateness(one) for one in in_app]
    assert all(one["channel"] == "email" and one["reason"] for one in details), details
    attempts = outside.system.sql(
        "select attempts, reason from deliveries where user_id = %s and channel = 'email'", client.user_id
    )
    assert {row["attempts"] for row in attempts} == {4}
    assert all(row["reason"] for row in attempts)
    assert statuses(client, both) == ["sent"]
    assert statuses(client, by_mail) == ["failed"]

    after = client.create("after", due_date=due_in(0.5), reminder_offset="PT0S")
    wait_delivered(client, after["id"])
    eventually(lambda: "after" in outside.mail.subjects, what="mails go again")
    assert not {"both", "by mail"} & set(outside.mail.subjects)


def test_mail__server_down_for_a_moment_the_mail_comes_once(outside: Outside, client: Client) -> None:
    outside.mail.down()
    task = client.create("patience", due_date=due_in(0.5), reminder_offset="PT0S")
    eventually(
        lambda: outside.system.sql(
            "select attempts from deliveries where user_id = %s and attempts > 0", client.user_id
        ),
        what="a first attempt at the mail",
    )
    outside.mail.up()
    sent = wait_delivered(client, task["id"])
    assert sorted(one["channel"] for one in sent) == ["email", "in_app"]
    assert statuses(client, task) == ["sent"]
    assert outside.mail.subjects.count("patience") == 1
    assert deliveries(client, task["id"], "reminder.failed") == []


def test_mail__refused_by_the_server_fails_with_what_it_said(outside: Outside, client: Client) -> None:
    outside.mail.refusal = "550 no such mailbox"
    try:
        task = client.create("refused", due_date=due_in(0.5), reminder_offset="PT0S")
        details = failed(client, task)
    finally:
        outside.mail.refusal = ""
    assert "550" in str(details["reason"])
    assert "no such mailbox" in str(details["reason"])
    assert statuses(client, task) == ["sent"]
    assert channels(client, task["id"]) == ["in_app"]


def test_mail__a_server_that_says_nothing_holds_up_no_other_channel(outside: Outside, client: Client) -> None:
    outside.mail.hang()
    try:
        first = client.create("first", due_date=due_in(0.5), reminder_offset="PT0S")
        second = client.create("second", due_date=due_in(2), reminder_offset="PT0S")
        for task in (first, second):
            (in_app,) = wait_delivered(client, task["id"], count=1, timeout=6)
            assert in_app["channel"] == "in_app"
            assert lateness(in_app) < MAX_LATENESS
    finally:
        outside.mail.up()
    eventually(lambda: {"first", "second"} <= set(outside.mail.subjects), timeout=30, what="both mails in the end")
    assert outside.mail.subjects.count("first") == outside.mail.subjects.count("second") == 1


def test_database__hanging_is_503_in_bounded_time_and_once_it_is_back_all_goes_on(frozen: Frozen) -> None:
    system, client, soon = frozen.outside.system, frozen.client, frozen.soon
    functions = system.pid("functions")
    frozen.asked.result()
    frozen.outside.postgres.thaw()
    again = works_again(client)
    eventually(
        lambda: again["id"] in {entry["entity_id"] for entry in client.activity()},
        timeout=20,
        what="consumers go on",
    )
    wait_delivered(client, soon["id"], timeout=20)
    later = client.create("due afterwards", due_date=due_in(1), reminder_offset="PT0S")
    wait_delivered(client, later["id"])
    assert sorted(channels(client, soon["id"])) == ["email", "in_app"]
    assert system.pid("functions") == functions
