"""The change log as devices read it: windows, snapshots, and what is forgotten."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from functions.store.database import Database
from functions.store.listening import listen
from functions.tasks.errors import InvalidInput, Outage
from functions.tasks.models import Caller
from tests.store.world import DAY, HOUR, NOW, World
from tests.support.waiting import eventually

LATER = NOW + 91 * DAY


class Heard:
    """Listens in a thread."""

    def __init__(self, url: str) -> None:
        self.all: list[tuple[UUID, int]] = []
        self.ended = False
        self._url = url
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()
        assert self._ready.wait(10)

    async def _run(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        with contextlib.suppress(asyncio.CancelledError):
            try:
                await listen(self._url, self._ready.set, lambda user_id, seq: self.all.append((user_id, seq)))
            except Outage:
                self.ended = True

    def stop(self) -> None:
        if not self.ended:
            assert self._task is not None
            self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join()


def published(world: World, caller: Caller, *, logged: bool = True) -> None:
    world.rows("update events set published_at = occurred_at where user_id = %s", caller.user_id)
    if logged:
        world.log.append(world.changes(caller))


def prune(world: World, before: Any = LATER - timedelta(days=90), *, entries: int = 100) -> int:
    """All users, to the end; how many entries went."""
    after: UUID | None = None
    total = 0
    while True:
        last, deleted = world.change_log.prune(before, after, 3, entries)
        if last is None:
            return total
        total += deleted
        after = last if deleted == 0 else after


def seqs(world: World, caller: Caller, after: int = 0, **limits: int) -> list[int]:
    return [event.seq for event in world.change_log.after(caller.user_id, after, **{"limit": 100, **limits}).events]


class TestAWindow:
    def test_is_what_comes_after_a_seq_bounded_by_count(self, world: World) -> None:
        caller = world.user()
        for _ in range(5):
            world.add(caller)
        assert seqs(world, caller) == [1, 2, 3, 4, 5]
        assert seqs(world, caller, 3) == [4, 5]
        assert seqs(world, caller, 1, limit=2) == [2, 3]
        window = world.change_log.after(caller.user_id, 1, 2)
        assert (window.seq, window.current, window.kept_from, window.reset) == (3, 5, 1, False)

    def test_is_bounded_by_bytes_and_never_empty_for_that(self, world: World) -> None:
        caller = world.user()
        for _ in range(4):
            world.add(caller, description="x" * 10_000)
        assert seqs(world, caller, max_bytes=1) == [1]
        assert seqs(world, caller, max_bytes=15_000) == [1, 2]

    def test_of_several_users_is_of_each_after_their_own_seq(self, world: World) -> None:
        ann, ben, nobody = (world.user() for _ in range(3))
        for caller in (ann, ben, ann, ben, ann):
            world.add(caller)
        windows = world.change_log.of_several({ann.user_id: 1, ben.user_id: 2, nobody.user_id: 0}, 100, 100_000)
        assert {user: [event.seq for event in window.events] for user, window in windows.items()} == {
            ann.user_id: [2, 3], ben.user_id: [], nobody.user_id: [],
        }  # fmt: skip
        assert all(event.user_id == ann.user_id for event in windows[ann.user_id].events)
        assert [windows[each.user_id].current for each in (ann, ben, nobody)] == [3, 2, 0]

    def test_of_a_user_whom_nobody_knows_is_empty(self, world: World) -> None:
        window = world.change_log.after(world.user().user_id, 0, 10)
        assert (window.events, window.current, window.reset) == ([], 0, False)

    def test_beyond_the_log_is_a_reset(self, world: World) -> None:
        caller = world.user()
        world.add(caller)
        assert world.change_log.after(caller.user_id, 2, 10).reset


class TestASnapshot:
    def test_is_all_tasks_and_tags_once_in_pages_of_one_seq(self, world: World) -> None:
        caller = world.user()
        made = {world.add(caller, title=f"{n}", tags=[f"t{n}"]).id for n in range(7)}
        gone = world.add(caller)
        world.delete(caller, gone.id)
        first = world.change_log.snapshot(caller, None, 3)
        pages = [first]
        late = world.add(caller, title="meanwhile")
        while pages[-1].next_cursor:
            pages.append(world.change_log.snapshot(caller, pages[-1].next_cursor, 3))
        tasks = [task.id for page in pages for task in page.tasks]
        assert len(tasks) == len(set(tasks))
        assert set(tasks) - {late.id} == made
        assert sorted(tag.name for page in pages for tag in page.tags) == [f"t{n}" for n in range(7)]
        assert {page.seq for page in pages} == {first.seq}
        assert late.id in {event.entity_id for event in world.change_log.after(caller.user_id, first.seq, 9).events}

    def test_is_bounded_by_bytes(self, world: World) -> None:
        caller = world.user()
        for _ in range(60):
            world.add(caller, description="é" * 20_000)
        page = world.change_log.snapshot(caller, None, 1000)
        assert 10 < len(page.tasks) < 60
        assert page.next_cursor is not None
        assert len(page.model_dump_json()) < 3_000_000

    def test_of_nobody_is_empty(self, world: World) -> None:
        page = world.change_log.snapshot(world.user(), None, 10)
        assert (page.tasks, page.tags, page.seq, page.next_cursor) == ([], [], 0, None)

    def test_takes_no_other_cursor(self, world: World) -> None:
        with pytest.raises(InvalidInput, match="cursor"):
            world.change_log.snapshot(world.user(), "bm90aGluZw", 10)


class TestPruning:
    def test_forgets_what_is_old_published_and_logged(self, world: World) -> None:
        old, new = world.user(), world.user()
        for _ in range(3):
            world.add(old)
        world.add(old, LATER)
        world.add(new, LATER)
        published(world, old)
        published(world, new)
        assert prune(world) == 3
        assert seqs(world, old, 3) == [4]
        assert world.change_log.after(old.user_id, 2, 10).reset
        assert not world.change_log.after(old.user_id, 3, 10).reset
        assert seqs(world, new) == [1]

    def test_of_everything_leaves_a_log_that_goes_on(self, world: World) -> None:
        caller = world.user()
        world.add(caller)
        published(world, caller)
        assert prune(world) == 1
        window = world.change_log.after(caller.user_id, 1, 10)
        assert (window.current, window.kept_from, window.reset) == (1, 2, False)
        assert world.change_log.after(caller.user_id, 0, 10).reset
        world.add(caller, LATER)
        assert seqs(world, caller, 1) == [2]

    @pytest.mark.parametrize("missing", ["published", "logged"])
    def test_leaves_no_hole(self, world: World, missing: str) -> None:
        """What is not published or not logged stays, and all that comes after it."""
        caller = world.user()
        for _ in range(4):
            world.add(caller)
        published(world, caller)
        if missing == "logged":
            world.rows("delete from activity where user_id = %s and seq = 3", caller.user_id)
        else:
            world.rows("update events set published_at = null where user_id = %s and seq = 3", caller.user_id)
        assert prune(world) == 2
        assert seqs(world, caller, 2) == [3, 4]

    def test_goes_in_bounded_steps(self, world: World) -> None:
        caller = world.user()
        for _ in range(7):
            world.add(caller)
        published(world, caller)
        before = LATER - timedelta(days=90)
        assert world.change_log.prune(before, None, 1000, 3)[1] == 3
        assert prune(world, entries=3) == 4

    def test_keeps_what_is_younger_whatever_its_neighbours(self, world: World) -> None:
        caller = world.user()
        world.add(caller)
        published(world, caller)
        assert prune(world, NOW - HOUR) == 0
        assert seqs(world, caller) == [1]


class TestListening:
    """What a hub hears from PostgreSQL itself."""

    @pytest.fixture
    def heard(self, world: World) -> Iterator[Heard]:
        made = Heard(world.url)
        yield made
        made.stop()

    def test_hears_what_is_told(self, world: World, heard: Heard) -> None:
        caller = world.user()
        world.change_log.notify(caller.user_id, 7)
        eventually(lambda: heard.all == [(caller.user_id, 7)], what="the notification")

    @pytest.mark.parametrize("notifies", [True, False])
    def test_hears_of_a_commit_where_that_is_wanted(self, world: World, heard: Heard, notifies: bool) -> None:
        caller = world.user()
        with World(world.url, Database(world.url, size=2, notifies=notifies)) as other:
            other.add(caller, tags=["home"])
        world.change_log.notify(caller.user_id, 99)
        eventually(lambda: (caller.user_id, 99) in heard.all, what="the last notification")
        assert heard.all == [(caller.user_id, seq) for seq in ([1, 2, 99] if notifies else [99])]

    def test_says_when_the_connection_is_gone(self, world: World, heard: Heard) -> None:
        with psycopg.connect(world.url) as administrator:
            administrator.execute("select pg_terminate_backend(pid) from pg_stat_activity where query like 'listen %'")
        eventually(lambda: heard.ended, what="the end of the connection")
