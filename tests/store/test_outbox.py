"""The outbox: every event leaves, in order per user, whoever publishes and whatever fails."""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import pairwise
from uuid import UUID

import psycopg
import pytest

from functions.store.events import REPLAY, SEEN_WITHIN
from functions.tasks.errors import Unavailable
from functions.tasks.events import ChangeEvent
from functions.tasks.models import Caller
from tests.store.world import SECOND, World
from tests.support.waiting import eventually


class Broker:
    """Takes events one by one, and sometimes fails: before, in the middle of, or after a batch."""

    def __init__(self, failing: float = 0.0) -> None:
        self.taken: dict[UUID, list[int]] = defaultdict(list)
        self._failing = failing
        self._chance = random.Random(7)
        self._lock = threading.Lock()

    def publish(self, events: list[ChangeEvent]) -> None:
        stop = self._chance.randrange(len(events) + 1) if self._chance.random() < self._failing else None
        for number, event in enumerate(events):
            if number == stop:
                raise Unavailable("the broker does not answer")
            with self._lock:
                self.taken[event.user_id].append(event.seq)
        if stop is not None:
            raise Unavailable("the broker does not answer")


def refuse(events: list[ChangeEvent]) -> None:
    raise Unavailable("the broker does not answer")


def first_times(seqs: list[int]) -> list[int]:
    return list(dict.fromkeys(seqs))


@pytest.fixture
def ann(world: World) -> Caller:
    return world.user()


@pytest.fixture(autouse=True)
def _nothing_waits(world: World) -> None:
    """Each test publishes its own events only."""
    world.rows("update events set published_at = now() where published_at is null")


def waiting(world: World, caller: Caller) -> list[int]:
    rows = world.rows("select seq from events where user_id = %s and published_at is null order by seq", caller.user_id)
    return [row["seq"] for row in rows]


class TestPublish:
    def test_hands_over_what_was_committed_in_order_and_marks_it(self, world: World, ann: Caller) -> None:
        task = world.add(ann, tags=["home"])
        world.complete(ann, task.id)
        handed: list[ChangeEvent] = []
        assert world.outbox.publish([ann.user_id], handed.extend) == 3
        assert handed == world.changes(ann)
        assert waiting(world, ann) == []
        assert world.outbox.publish([ann.user_id], handed.extend) == 0
        assert len(handed) == 3

    def test_hands_over_events_that_can_be_sent(self, world: World, ann: Caller) -> None:
        world.add(ann)
        handed: list[ChangeEvent] = []
        world.outbox.publish([ann.user_id], handed.extend)
        assert [ChangeEvent.model_validate_json(event.model_dump_json()) for event in handed] == world.changes(ann)

    def test_of_some_users_leaves_the_others(self, world: World, ann: Caller) -> None:
        ben, broker = world.user(), Broker()
        world.add(ann)
        world.add(ben)
        assert world.outbox.publish([ann.user_id, ann.user_id], broker.publish) == 1
        assert broker.taken == {ann.user_id: [1]}
        assert waiting(world, ben) == [1]

    def test_hands_over_at_most_the_limit_from_the_front(self, world: World, ann: Caller) -> None:
        for _ in range(5):
            world.add(ann)
        broker = Broker()
        assert [world.outbox.publish([ann.user_id], broker.publish, limit=2) for _ in range(4)] == [2, 2, 1, 0]
        assert broker.taken[ann.user_id] == [1, 2, 3, 4, 5]

    def test_marks_nothing_when_the_broker_fails(self, world: World, ann: Caller) -> None:
        world.add(ann)
        with pytest.raises(Unavailable):
            world.outbox.publish([ann.user_id], refuse)
        assert waiting(world, ann) == [1]
        broker = Broker()
        assert world.outbox.publish([ann.user_id], broker.publish) == 1

    def test_calls_nobody_where_nothing_waits(self, world: World, ann: Caller) -> None:
        assert world.outbox.publish([ann.user_id], refuse) == 0
        assert world.outbox.publish([], refuse) == 0

    def test_of_a_user_whom_another_publisher_serves_is_left_to_it(self, world: World, ann: Caller) -> None:
        ben = world.user()
        world.add(ann)
        busy, go_on = threading.Event(), threading.Event()
        broker = Broker()

        def slowly(events: list[ChangeEvent]) -> None:
            busy.set()
            assert go_on.wait(10)
            broker.publish(events)

        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(world.outbox.publish, [ann.user_id], slowly)
            assert busy.wait(10)
            world.add(ann)  # a second event, committed while the first one leaves
            world.add(ben)
            assert world.outbox.publish([ann.user_id, ben.user_id], broker.publish) == 1
            assert broker.taken == {ben.user_id: [1]}
            go_on.set()
            assert first.result(10) == 1
        assert world.outbox.publish([ann.user_id], broker.publish) == 1
        assert broker.taken[ann.user_id] == [1, 2]

    def test_tells_whose_events_are_still_to_be_published(self, world: World, ann: Caller) -> None:
        ben, broker = world.user(), Broker()
        world.add(ann)
        world.add(ben)
        world.outbox.publish([ben.user_id], broker.publish)
        assert world.outbox.pending([ann.user_id, ben.user_id, world.user().user_id]) == {ann.user_id}
        assert world.outbox.pending([]) == set()

    def test_loses_no_lock_when_the_broker_fails(self, world: World, ann: Caller) -> None:
        world.add(ann)
        for _ in range(3):
            with pytest.raises(Unavailable):
                world.outbox.publish([ann.user_id], refuse)
        broker = Broker()
        with ThreadPoolExecutor(1) as pool:  # on another connection
            assert pool.submit(world.outbox.publish, [ann.user_id], broker.publish).result(10) == 1

    def test_by_two_at_once_that_fail_often_is_in_order_and_loses_nothing(self, world: World) -> None:
        """An event may be published again, but never one before those that precede it."""
        users = [world.user() for _ in range(4)]
        broker, written = Broker(failing=0.3), threading.Event()
        numbers = [user.user_id for user in users]

        def write(caller: Caller) -> None:
            for number in range(60):
                world.add(caller, title=f"task {number}")

        def publish() -> None:
            while not written.is_set() or world.outbox.pending_users(10):
                try:
                    world.outbox.publish(numbers, broker.publish, limit=7)
                except Unavailable:
                    continue

        with ThreadPoolExecutor(6) as pool:
            publishers = [pool.submit(publish) for _ in range(2)]
            for writer in [pool.submit(write, user) for user in users]:
                writer.result(30)
            written.set()
            for publisher in publishers:
                publisher.result(30)
        for user in users:
            taken = broker.taken[user.user_id]
            assert first_times(taken) == list(range(1, 61))
            for before, after in pairwise(taken):
                assert after <= before + 1, "one was skipped"
            assert waiting(world, user) == []
        assert sum(map(len, broker.taken.values())) > 240, "the broker failed in the middle of some batch"


class TestPendingUsers:
    def test_are_those_with_unpublished_events(self, world: World, ann: Caller) -> None:
        ben = world.user()
        world.add(ann)
        world.add(ben)
        assert set(world.outbox.pending_users(10)) == {ann.user_id, ben.user_id}
        world.outbox.publish([ann.user_id], Broker().publish)
        assert world.outbox.pending_users(10) == [ben.user_id]

    def test_are_all_reached_round_by_round_though_one_has_many_events(self, world: World, ann: Caller) -> None:
        ben = world.user()
        for _ in range(12):
            world.add(ann)
        world.add(ben)
        broker = Broker()
        for _ in range(20):
            users = world.outbox.pending_users(5)
            if not users:
                break
            world.outbox.publish(users, broker.publish)
        assert {user: len(seqs) for user, seqs in broker.taken.items()} == {ann.user_id: 12, ben.user_id: 1}


class TestReplay:
    def published(self, world: World, caller: Caller, ago: dict[int, timedelta]) -> None:
        """Says when events were published, before now."""
        for seq, age in ago.items():
            world.rows(
                "update events set published_at = now() - %s where user_id = %s and seq = %s", age, caller.user_id, seq
            )

    @pytest.fixture
    def three(self, world: World, ann: Caller) -> Caller:
        """Three published events, none of which the activity log has seen."""
        world.rows("delete from events")
        for _ in range(3):
            world.add(ann)
        return ann

    def test_unseen_is_what_the_log_lacks_though_it_was_published_a_while_ago(
        self, world: World, three: Caller
    ) -> None:
        log = world.changes(three)
        self.published(world, three, {1: 2 * SEEN_WITHIN, 2: 2 * SEEN_WITHIN, 3: SECOND})
        world.log.append([log[1]])
        now = world.value("select now()")
        world.outbox.replay_unseen(now)
        assert waiting(world, three) == [1], "2 was seen; 3 may be under way"

    def test_recent_is_all_of_the_last_while(self, world: World, three: Caller) -> None:
        self.published(world, three, {1: 3 * REPLAY, 2: REPLAY / 2, 3: SECOND})
        world.log.append(world.changes(three))
        world.outbox.replay_recent()
        assert waiting(world, three) == [2, 3]

    def test_recent_is_of_the_last_publication_not_of_now(self, world: World, three: Caller) -> None:
        """The system may have been down for days."""
        days = timedelta(days=9)
        self.published(world, three, {1: days + 3 * REPLAY, 2: days + REPLAY / 2, 3: days})
        world.log.append(world.changes(three))
        world.outbox.replay_recent()
        assert waiting(world, three) == [2, 3]

    def test_recent_is_also_what_the_log_never_saw(self, world: World, three: Caller) -> None:
        self.published(world, three, {1: 9 * REPLAY, 2: 8 * REPLAY, 3: SECOND})
        world.log.append(world.changes(three)[:1])
        world.outbox.replay_recent()
        assert waiting(world, three) == [2, 3]

    def test_is_published_in_order_again(self, world: World, three: Caller) -> None:
        """Whatever order it was marked in."""
        for seq in (3, 1, 2):
            world.rows("update events set published_at = null where user_id = %s and seq = %s", three.user_id, seq)
        broker = Broker()
        world.outbox.publish([three.user_id], broker.publish)
        assert broker.taken[three.user_id] == [1, 2, 3]

    def test_recent_of_nothing_is_nothing(self, world: World, three: Caller) -> None:
        world.rows("update events set published_at = null")
        world.outbox.replay_recent()
        world.rows("delete from events")
        world.outbox.replay_recent()
        assert world.outbox.pending_users(10) == []


def test_a_publisher_that_dies_leaves_its_users_to_others(world: World, ann: Caller) -> None:
    """Killed in the middle: its connection ends, and with it lock and transaction."""
    world.add(ann)
    broker = Broker()
    dying = psycopg.connect(world.url)
    dying.execute("select pg_advisory_xact_lock(hashtextextended(%s::text, 0))", (ann.user_id,))
    dying.execute("update events set published_at = now() where user_id = %s", (ann.user_id,))
    assert world.outbox.publish([ann.user_id], broker.publish) == 0
    dying.close()
    eventually(lambda: world.outbox.publish([ann.user_id], broker.publish) == 1, what="the event of its user")
    assert broker.taken == {ann.user_id: [1]}
