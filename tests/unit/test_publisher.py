"""The publisher: at once, in order, again after an outage, and to the end when it is stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from functions.runtime.publisher import BATCH, Publisher
from functions.runtime.sidecar import Sidecar
from functions.store.events import Outbox
from functions.tasks.errors import Unavailable
from tests.support.waiting import eventually

ANN, BEN = uuid4(), uuid4()


class FakeOutbox:
    """Unpublished events of users, each a number; each call's beginning, and what it published, is noted."""

    def __init__(self) -> None:
        self.waiting: dict[UUID, list[int]] = {}
        self.published: list[tuple[UUID, int]] = []
        self.calls: list[float] = []
        self.threads: set[str] = set()
        self.failures: list[Exception] = []
        self.gate: Callable[[], object] = lambda: None
        self.busy: set[UUID] = set()
        """Those whom another publisher serves."""
        self.running = 0
        self.most_running = 0

    def append(self, user: UUID, *numbers: int) -> None:
        self.waiting.setdefault(user, []).extend(numbers)

    def publish(self, users: Iterable[UUID], publish: object, limit: int) -> int:
        self.calls.append(time.monotonic())
        self.threads.add(threading.current_thread().name)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            self.gate()
            if self.failures:
                raise self.failures.pop(0)
            room = limit
            for user in sorted(set(users) - self.busy):
                now = self.waiting.get(user, [])[:room]
                self.waiting[user] = self.waiting.get(user, [])[len(now) :]
                self.published += [(user, number) for number in now]
                room -= len(now)
            return limit - room
        finally:
            self.running -= 1

    def pending(self, users: Iterable[UUID]) -> set[UUID]:
        return {user for user in users if self.waiting.get(user)}

    def hold(self) -> tuple[threading.Event, threading.Event]:
        """From now on a call says that it is stuck, and goes on when it is told to."""
        stuck, go_on = threading.Event(), threading.Event()

        def gate() -> None:
            stuck.set()
            assert go_on.wait(10)

        self.gate = gate
        return stuck, go_on

    def numbers(self, user: UUID) -> list[int]:
        return [number for owner, number in self.published if owner == user]


class FakeSidecar:
    def publish_changes(self, events: list[Any]) -> None:
        raise AssertionError("only the outbox calls this")


@pytest.fixture
def outbox() -> FakeOutbox:
    return FakeOutbox()


@pytest.fixture
def publisher(outbox: FakeOutbox) -> Iterator[Publisher]:
    made = Publisher(cast(Outbox, outbox), cast(Sidecar, FakeSidecar()))
    made.start()
    yield made
    outbox.gate = lambda: None
    made.stop(5)


def test_publishes_what_it_is_woken_for(publisher: Publisher, outbox: FakeOutbox) -> None:
    publisher.ready()
    outbox.append(ANN, 1, 2)
    outbox.append(BEN, 1)
    publisher.wake([ANN])
    eventually(lambda: outbox.numbers(ANN) == [1, 2], what="Ann's events")
    assert outbox.numbers(BEN) == []


def test_publishes_nothing_before_consumers_are_there(publisher: Publisher, outbox: FakeOutbox) -> None:
    outbox.append(ANN, 1)
    publisher.wake([ANN])
    assert outbox.calls == []
    publisher.ready()
    eventually(lambda: outbox.numbers(ANN) == [1], what="the event of before")
    assert len(outbox.calls) == 1


def test_does_not_make_a_request_wait(publisher: Publisher, outbox: FakeOutbox) -> None:
    stuck, go_on = outbox.hold()
    publisher.ready()
    publisher.wake([ANN])
    assert stuck.wait(5)
    began = time.monotonic()
    for _ in range(1000):
        publisher.wake([ANN, BEN])
    assert time.monotonic() - began < 1
    go_on.set()


def test_publishes_what_was_woken_for_while_it_was_busy(publisher: Publisher, outbox: FakeOutbox) -> None:
    stuck, go_on = outbox.hold()
    publisher.ready()
    publisher.wake([ANN])
    assert stuck.wait(5)
    outbox.append(BEN, 1)
    publisher.wake([BEN])
    go_on.set()
    eventually(lambda: outbox.numbers(BEN) == [1], what="Ben's event")


def test_is_one_thread_so_that_order_is_kept(publisher: Publisher, outbox: FakeOutbox) -> None:
    publisher.ready()
    for number in range(500):
        outbox.append(ANN, number)
        publisher.wake([ANN])
    eventually(lambda: len(outbox.numbers(ANN)) == 500, what="all events")
    assert outbox.numbers(ANN) == sorted(outbox.numbers(ANN))
    assert outbox.threads == {"publisher"}
    assert outbox.most_running == 1


def test_goes_on_while_a_batch_is_full(publisher: Publisher, outbox: FakeOutbox) -> None:
    publisher.ready()
    outbox.append(ANN, *range(3 * BATCH + 1))
    publisher.wake([ANN])
    eventually(lambda: len(outbox.numbers(ANN)) == 3 * BATCH + 1, what="all batches")


def test_tries_again_after_an_outage_and_waits_longer_each_time(publisher: Publisher, outbox: FakeOutbox) -> None:
    outbox.failures = [Unavailable("no broker"), Unavailable("no broker"), Unavailable("no broker")]
    outbox.append(ANN, 1, 2)
    publisher.ready()
    publisher.wake([ANN])
    eventually(lambda: outbox.numbers(ANN) == [1, 2], what="the events after the outage")
    waits = [after - before for before, after in zip(outbox.calls, outbox.calls[1:], strict=False)]
    assert len(waits) == 3
    assert 0.1 < waits[0] < waits[1] < waits[2] < 5


def test_is_quick_again_after_an_outage(publisher: Publisher, outbox: FakeOutbox) -> None:
    outbox.failures = [Unavailable("no broker")] * 3
    outbox.append(ANN, 1)
    publisher.ready()
    publisher.wake([ANN])
    eventually(lambda: outbox.numbers(ANN) == [1], what="the event after the outage")
    began = time.monotonic()
    outbox.append(ANN, 2)
    publisher.wake([ANN])
    eventually(lambda: outbox.numbers(ANN) == [1, 2], what="the next event")
    assert time.monotonic() - began < 0.7  # the pause would be twice that by now


def test_lives_on_after_an_error_that_nobody_foresaw(publisher: Publisher, outbox: FakeOutbox) -> None:
    outbox.failures = [RuntimeError("surprise")]
    publisher.ready()
    publisher.wake([ANN])
    eventually(lambda: not outbox.failures, what="the failure")
    outbox.append(BEN, 1)
    publisher.wake([BEN])
    eventually(lambda: outbox.numbers(BEN) == [1], what="the event after the failure")


def test_publishes_what_is_waiting_when_it_is_stopped(outbox: FakeOutbox) -> None:
    publisher = Publisher(cast(Outbox, outbox), cast(Sidecar, FakeSidecar()))
    stuck, go_on = outbox.hold()
    publisher.start()
    publisher.ready()
    publisher.wake([ANN])
    assert stuck.wait(5)
    outbox.append(BEN, 1, 2, 3)
    publisher.wake([BEN])
    stopping = threading.Thread(target=publisher.stop, args=(5,))
    stopping.start()
    go_on.set()
    stopping.join(5)
    assert not stopping.is_alive()
    assert outbox.numbers(BEN) == [1, 2, 3]


def test_publishes_what_waits_for_a_retry_when_it_is_stopped(outbox: FakeOutbox) -> None:
    publisher = Publisher(cast(Outbox, outbox), cast(Sidecar, FakeSidecar()))
    outbox.failures = [Unavailable("no broker")] * 3
    outbox.append(ANN, 1)
    publisher.start()
    publisher.ready()
    publisher.wake([ANN])
    eventually(lambda: not outbox.failures, what="the failures")
    publisher.stop(5)
    assert outbox.numbers(ANN) == [1]


@pytest.mark.parametrize("ready", [True, False])
def test_stops_at_once_where_nothing_waits_or_an_outage_lasts(outbox: FakeOutbox, ready: bool) -> None:
    publisher = Publisher(cast(Outbox, outbox), cast(Sidecar, FakeSidecar()))
    outbox.failures = [Unavailable("no broker")] * 1000
    publisher.start()
    if ready:
        publisher.ready()
        publisher.wake([ANN])
        eventually(lambda: outbox.calls, what="a first try")
    began = time.monotonic()
    publisher.stop(5)
    assert time.monotonic() - began < 2
    assert "publisher" not in {thread.name for thread in threading.enumerate()}


def test_gives_up_after_the_grace(outbox: FakeOutbox) -> None:
    publisher = Publisher(cast(Outbox, outbox), cast(Sidecar, FakeSidecar()))
    _, go_on = outbox.hold()
    publisher.start()
    publisher.ready()
    publisher.wake([ANN])
    eventually(lambda: outbox.calls, what="a first try")
    began = time.monotonic()
    publisher.stop(0.2)
    assert 0.1 < time.monotonic() - began < 2
    go_on.set()


def test_a_user_whom_another_publisher_serves_is_looked_at_again_soon(publisher: Publisher, outbox: FakeOutbox) -> None:
    """It may have read the user's events before the last of them was committed: the sweep would be seconds late."""
    publisher.ready()
    outbox.busy = {ANN}
    outbox.append(ANN, 1)
    outbox.append(BEN, 1)
    publisher.wake([ANN, BEN])
    eventually(lambda: len(outbox.calls) > 3, what="it looks again")
    assert outbox.published == [(BEN, 1)]
    outbox.busy = set()
    eventually(lambda: outbox.numbers(ANN) == [1], timeout=1, what="Ann's event")
