"""A message that cannot be handled: four attempts by each consumer, the dead letters, and those behind it go on."""

from __future__ import annotations

from uuid import uuid4

from tests.conftest import unique_user
from tests.support.chaos import lag
from tests.support.system import System
from tests.support.topic import Topic
from tests.support.waiting import eventually

ATTEMPTS = 4


def test_a_poisonous_message_is_attempted_four_times_and_buried_and_those_behind_it_are_handled(kafka: System) -> None:
    client = kafka.client(unique_user("poison"))
    user = str(client.user_id)
    creates, events = Topic(kafka, "task.create"), Topic(kafka, "task.events")
    poison, poison_event = str(uuid4()), str(uuid4())
    creates.event(poison, {"user_id": user, "command": {"title": "x", "colour": "red"}}, partitionKey=user)
    behind = {str(uuid4()): f"behind {number}" for number in range(3)}
    for event_id, title in behind.items():
        creates.event(event_id, {"user_id": user, "command": {"title": title}}, partitionKey=user)
    events.event(poison_event, {"events": [{"type": "task.created", "user_id": user}]}, partitionKey=user)

    eventually(lambda: creates.dead(poison), timeout=20, what="the command is with the dead letters")
    eventually(lambda: events.dead(poison_event), timeout=20, what="the event is with the dead letters")
    eventually(lambda: len(client.tasks()) == 3, timeout=20, what="the commands behind it are carried out")
    eventually(lambda: len(client.activity()) == 3, timeout=20, what="the events behind it are logged")
    assert {task["title"] for task in client.tasks()} == set(behind.values())
    assert [line["attempt"] for line in creates.log(poison, "failed")] == [1, 2, 3, 4]
    failed = [line["function"] for line in events.log(poison_event, "failed")]
    added = ["label-ring"] * ATTEMPTS  # by the steps of the README
    assert sorted(failed) == added + [
        name for name in ("log-activity", "relay-sync", "spawn-recurrence") for _ in range(ATTEMPTS)
    ]
    assert len(events.dead(poison_event)) == 1
    eventually(lambda: lag(kafka) == 0, timeout=30, what="the groups have nothing left to read")


def test_bytes_that_are_no_event_are_buried_and_block_nothing(kafka: System) -> None:
    client = kafka.client(unique_user("garbage"))
    user = str(client.user_id)
    topic, garbage = Topic(kafka), b"\xff\x00 not JSON: " + uuid4().bytes
    topic.raw(garbage, "application/octet-stream", rawPayload="true", partitionKey=user)
    topic.event(str(uuid4()), {"user_id": user, "command": {"title": "behind"}}, partitionKey=user)
    eventually(
        lambda: kafka.sql("select 1 from dead_messages where data = %s", garbage), timeout=20, what="it is buried"
    )
    eventually(client.tasks, timeout=20, what="the command behind it is carried out")
