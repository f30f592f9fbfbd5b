"""Dead messages: each kept once, published again on the operator's word only, and no message lost or held up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from functions.store import dead_messages as module
from functions.store.dead_messages import DeadMessages
from functions.tasks.dead_messages import DeadMessage, read_dead_message
from functions.tasks.errors import Unavailable
from tests.store.world import NOW, SECOND, World

GARBAGE = b"\xff\x00 no JSON"


def dead(number: int = 1, topic: str = "task.create") -> DeadMessage:
    return read_dead_message(json.dumps({"id": f"e-{number}", "topic": topic, "source": "test"}).encode())


class Broker:
    """Takes messages, or refuses all of them."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, DeadMessage]] = []
        self.refuses = False

    def __call__(self, topic: str, messages: Sequence[DeadMessage]) -> None:
        if self.refuses:
            raise Unavailable("the broker does not answer")
        self.taken += [(topic, message) for message in messages]


@pytest.fixture
def graves(world: World) -> DeadMessages:
    world.rows("delete from dead_messages")
    return DeadMessages(world.database)


@pytest.fixture
def broker() -> Broker:
    return Broker()


def test_a_message_is_kept_once_byte_for_byte(world: World, graves: DeadMessages) -> None:
    for message in (dead(), dead(), read_dead_message(GARBAGE), read_dead_message(GARBAGE)):
        graves.bury(message, NOW)
    rows = world.rows("select id, topic, event_id, data, buried_at from dead_messages order by topic")
    assert [(row["topic"], row["event_id"], row["data"]) for row in rows] == [
        ("task.create", "e-1", dead().data),
        (None, None, GARBAGE),
    ]
    assert {row["buried_at"] for row in rows} == {NOW}
    assert graves.counts() == {"task.create": 1, None: 1}


def test_nothing_is_published_again_unless_the_operator_says_so(graves: DeadMessages, broker: Broker) -> None:
    graves.bury(dead(), NOW)
    assert graves.topics() == []
    assert graves.publish("task.create", broker) == 0
    assert broker.taken == []


def test_all_are_published_again_once_the_oldest_first(
    graves: DeadMessages, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    for number in (3, 1, 2):
        graves.bury(dead(number), NOW + number * SECOND)
    graves.bury(dead(4, "task.events"), NOW)
    graves.bury(read_dead_message(GARBAGE), NOW)
    assert [graves.redrive() for _ in range(2)] == [4, 0]
    assert graves.topics() == ["task.create", "task.events"]
    assert [graves.publish("task.create", broker) for _ in range(3)] == [2, 1, 0]
    assert [message for _, message in broker.taken] == [dead(1), dead(2), dead(3)]
    assert graves.topics() == ["task.events"]
    assert graves.counts() == {"task.events": 1, None: 1}
    assert graves.redrive() == 0


def test_a_batch_is_no_longer_than_a_sidecar_takes_and_each_message_gets_its_turn(
    graves: DeadMessages, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        graves.bury(dead(number), NOW + number * SECOND)
    graves.redrive()
    monkeypatch.setattr(module, "BATCH_BYTES", 2 * len(dead().data))
    assert [graves.publish("task.create", broker) for _ in range(4)] == [2, 2, 1, 0]
    graves.bury(dead(5), NOW)
    graves.redrive()
    monkeypatch.setattr(module, "BATCH_BYTES", 1)
    assert [graves.publish("task.create", broker) for _ in range(2)] == [1, 0]


def test_what_the_broker_did_not_take_is_published_another_time(graves: DeadMessages, broker: Broker) -> None:
    graves.bury(dead(), NOW)
    graves.redrive()
    broker.refuses = True
    with pytest.raises(Unavailable):
        graves.publish("task.create", broker)
    assert graves.topics() == ["task.create"]
    broker.refuses = False
    assert graves.publish("task.create", broker) == 1
    assert graves.topics() == []


def test_one_that_fails_again_is_buried_as_before(world: World, graves: DeadMessages, broker: Broker) -> None:
    graves.bury(dead(), NOW)
    graves.redrive()
    graves.publish("task.create", broker)
    graves.bury(dead(), NOW + SECOND)
    assert world.rows("select buried_at, redrive_at, redriven_at from dead_messages") == [
        {"buried_at": NOW + SECOND, "redrive_at": None, "redriven_at": None}
    ]
    assert graves.topics() == []
    assert graves.redrive() == 1


def test_one_that_fails_again_while_others_are_still_published_waits_for_nothing(graves: DeadMessages) -> None:
    """With the in-memory broker publishing waits for the consumer, and that for the dead letters: none waits for us."""
    for number in (1, 2):
        graves.bury(dead(number), NOW)
    graves.redrive()

    def publish(topic: str, messages: Sequence[DeadMessage]) -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(graves.bury, dead(1), NOW + SECOND).result(timeout=5)

    assert graves.publish("task.create", publish) == 2
    assert graves.counts() == {"task.create": 1}
    assert graves.redrive() == 1


def test_two_never_publish_at_once(graves: DeadMessages, broker: Broker) -> None:
    graves.bury(dead(), NOW)
    graves.redrive()
    publishing, go_on = Event(), Event()

    def slowly(topic: str, messages: Sequence[DeadMessage]) -> None:
        publishing.set()
        assert go_on.wait(10)
        broker(topic, messages)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(graves.publish, "task.create", slowly)
        assert publishing.wait(10)
        assert graves.publish("task.create", broker) == 0
        go_on.set()
        assert first.result() == 1
    assert len(broker.taken) == 1
