"""Messages that cannot be handled: four attempts, then the dead letters; those behind them are handled all the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from functions.runtime.settings import Settings
from functions.runtime.sidecar import Sidecar
from functions.tasks.dead_messages import DeadMessage, read_dead_message
from functions.tasks.errors import Unavailable
from tests.conftest import unique_user
from tests.support.client import Client, Json
from tests.support.system import REPOSITORY, System, free_port
from tests.support.topic import Topic
from tests.support.waiting import eventually

ATTEMPTS = 4


@pytest.fixture(scope="module")
def own() -> Iterator[System]:
    """A system of these tests' own: what they publish again is all that is dead."""
    with System.running() as system:
        yield system


@pytest.fixture
def client(own: System, request: pytest.FixtureRequest) -> Client:
    return own.client(unique_user(request.node.name))


def titles(client: Client) -> list[str]:
    return sorted(task["title"] for task in client.tasks())


def redrive(system: System) -> list[str]:
    """`make redrive`; what it prints."""
    run = subprocess.run(
        [sys.executable, "-m", "tools.redrive"],
        cwd=REPOSITORY,
        env={**os.environ, "TICKLER_DATA": str(system.data)},
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.splitlines()


def wait_dead(topic: Topic, event_id: str, *, after: Json | None = None) -> Json:
    """The dead message of an event; where `after` is given, once it was buried again since."""
    (dead,) = eventually(
        lambda: [row for row in topic.dead(event_id) if after is None or row["buried_at"] > after["buried_at"]],
        timeout=20,
        what=f"{event_id} is buried",
    )
    return dead


def test_a_poisonous_message_is_attempted_four_times_and_buried_and_the_next_is_handled(
    own: System, client: Client
) -> None:
    creates, events = Topic(own, "task.create"), Topic(own, "task.events")
    in_create, in_events = str(uuid4()), str(uuid4())
    creates.event(in_create, {"user_id": str(client.user_id), "command": {"title": "x", "colour": "red"}})
    events.event(in_events, {"events": [{"type": "task.created", "user_id": str(client.user_id)}]})
    creates.publish(client, title="the next one")

    dead = wait_dead(creates, in_create), wait_dead(events, in_events)
    eventually(lambda: titles(client), what="the command after it was handled")
    eventually(client.activity, what="the events after it are in the log")
    assert titles(client) == ["the next one"]
    assert [row["topic"] for row in dead] == ["task.create", "task.events"]
    assert json.loads(dead[0]["data"])["data"]["command"] == {"title": "x", "colour": "red"}
    assert all(row["redrive_at"] is row["redriven_at"] is None for row in dead)

    (function,) = {line["function"] for line in creates.log(in_create, "failed")}
    attempts = [(line["attempt"], line["reason"]) for line in creates.log(in_create, "failed")]
    assert function == "create-task"
    assert [number for number, _ in attempts] == [1, 2, 3, 4]
    assert all("colour" in reason for _, reason in attempts)
    # Each function of the topic has its own attempts; the message is buried once for all of them.
    failed = [line["function"] for line in events.log(in_events, "failed")]
    consumers = ("log-activity", "relay-sync", "spawn-recurrence")
    assert sorted(failed) == [name for name in consumers for _ in range(ATTEMPTS)]
    assert len(events.log(in_events, "dead_letter")) == len(creates.log(in_create, "dead_letter")) == 1


@pytest.mark.parametrize("topic", ["task.events", "reminder.due", "notification.send", "notification.dlq"])
def test_bytes_that_are_no_event_are_buried_as_they_are(own: System, topic: str) -> None:
    garbage = b"\xff\x00 not JSON: " + uuid4().bytes
    Topic(own, topic).raw(garbage, "application/octet-stream", rawPayload="true")
    (row,) = eventually(
        lambda: own.sql("select topic, event_id from dead_messages where data = %s", garbage),
        timeout=20,
        what="it is buried",
    )
    # What goes wrong with notifications is another function's, and that one can read no garbage either.
    assert row == {"topic": None, "event_id": None}


def test_a_message_of_the_longest_kind_is_buried_whole(own: System, client: Client) -> None:
    """4 MiB is what daprd takes; as a CloudEvent in JSON these are six times as long."""
    topic, longest = Topic(own), (4 << 20) - 1024
    topic.raw(b"\x01" * longest, "text/plain")
    topic.publish(client, title="the next one")
    eventually(lambda: titles(client), timeout=20, what="the message after it was handled")
    (row,) = eventually(
        lambda: own.sql("select length(data) as bytes from dead_messages where length(data) > %s", longest),
        timeout=20,
        what="it is buried",
    )
    assert row["bytes"] > 6 * longest


def test_a_command_that_failed_is_carried_out_once_when_it_is_tried_again(own: System, client: Client) -> None:
    """As a bug that the next version mends: here a rule of the database's own, which is taken away."""
    topic = Topic(own)
    mended, wrong = str(uuid4()), str(uuid4())
    own.sql("alter table tasks add constraint poison check (title <> 'mended') not valid")
    try:
        topic.publish(client, event_id=mended, title="mended")
        topic.event(wrong, {"user_id": str(client.user_id), "command": {}})
        wait_dead(topic, mended)
        before = wait_dead(topic, wrong)
    finally:
        own.sql("alter table tasks drop constraint poison")
    assert titles(client) == []

    said = redrive(own)
    assert said[0] == "0 notifications are sent again"
    assert any(line.startswith("  task.create: ") for line in said), said
    eventually(lambda: titles(client) == ["mended"], timeout=20, what="the command was carried out")
    wait_dead(topic, wrong, after=before)
    (row,) = topic.dead(mended)
    assert (row["redrive_at"], row["redriven_at"] is None) == (None, False)
    (again,) = topic.dead(wrong)
    assert (again["id"], again["redrive_at"], again["redriven_at"]) == (before["id"], None, None)
    assert len(topic.log(wrong, "failed")) == 2 * ATTEMPTS
    assert len(topic.log(mended, "consumed")) == 1
    assert titles(client) == ["mended"]


@pytest.mark.parametrize("broker", ["durable", "in-memory"])
def test_cloud_events_are_published_again_as_they_were(own: System, client: Client, broker: Any) -> None:
    """In bulk, where the broker is a durable one; this one takes both."""
    app = own.run["apps"]["tickler"]
    sidecar = Sidecar(Settings(broker=broker, dapr_grpc_port=app["grpc"], dapr_api_token=app["api_token"]))
    ids = {str(uuid4()): f"title {number}" for number in range(3)}
    for _ in range(2):
        sidecar.publish_again("task.create", [dead_command(client, *event) for event in ids.items()])
    eventually(lambda: titles(client) == sorted(ids.values()), what="the commands were carried out")
    eventually(
        lambda: all(len(Topic(own).log(event_id, "consumed")) == 2 for event_id in ids),
        what="each came twice, with the id that it had",
    )
    assert titles(client) == sorted(ids.values())


def test_without_a_sidecar_nothing_is_published_again(client: Client) -> None:
    sidecar = Sidecar(Settings(dapr_grpc_port=free_port()))
    with pytest.raises(Unavailable):
        sidecar.publish_again("task.create", [dead_command(client, "e-1", "x")])


def dead_command(client: Client, event_id: str, title: str) -> DeadMessage:
    event = {
        **{"specversion": "1.0", "id": event_id, "type": "t", "source": "s", "topic": "task.create"},
        **{
            "datacontenttype": "application/json",
            "data": {"user_id": str(client.user_id), "command": {"title": title}},
        },
    }
    return read_dead_message(json.dumps(event).encode())
