"""Commands with keys: each once, however often and by however many it comes, and whatever breaks in between."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from functions.store.commands import CommandLog, Key, Outcome
from functions.tasks.errors import InvalidInput, NotFound, Unavailable
from functions.tasks.models import Caller
from tests.store.world import DAY, NOW, World, together


def key_of(caller: Caller, text: str = "k", fingerprint: bytes = b"f") -> Key:
    return Key(caller.user_id, text, fingerprint, "Idempotency-Key")


@pytest.fixture
def log(world: World) -> CommandLog:
    return CommandLog(world.database)


def adding(world: World, caller: Caller, title: str = "a") -> Outcome:
    return Outcome(0, world.add(caller, title=title).model_dump_json())


def tasks_of(world: World, caller: Caller) -> int:
    return int(world.value("select count(*) from tasks where user_id = %s", caller.user_id))


@contextmanager
def lost_commits(world: World, times: int) -> Iterator[None]:
    """The connection breaks after the commit, before its answer is read, so many times."""
    left = [times]
    execute = psycopg.Connection.execute

    def broken(self: psycopg.Connection[object], query: object, *rest: object, **named: object) -> object:
        if query != b"commit" or left[0] == 0:
            return execute(self, query, *rest, **named)  # type: ignore[call-overload]
        left[0] -= 1
        assert self._pipeline is not None
        execute(self, query)
        self._pipeline.sync()
        self.close()
        raise psycopg.OperationalError("the connection is lost")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(psycopg.Connection, "execute", broken)
        yield


class TestOnce:
    def test_a_repeat_is_answered_as_the_first_was(self, world: World, log: CommandLog, caller: Caller) -> None:
        first = log.once(key_of(caller), NOW, lambda: adding(world, caller))
        again = log.once(key_of(caller), NOW + DAY, lambda: pytest.fail("it was carried out again"))
        assert again == first
        assert tasks_of(world, caller) == 1
        assert world.types(caller) == ["task.created"]

    def test_another_key_and_another_users_are_other_commands(
        self, world: World, log: CommandLog, caller: Caller
    ) -> None:
        other = world.user()
        log.once(key_of(caller), NOW, lambda: adding(world, caller))
        log.once(key_of(caller, "other"), NOW, lambda: adding(world, caller))
        log.once(key_of(other), NOW, lambda: adding(world, other))
        assert (tasks_of(world, caller), tasks_of(world, other)) == (2, 1)

    def test_the_key_of_another_command_is_refused(self, world: World, log: CommandLog, caller: Caller) -> None:
        log.once(key_of(caller), NOW, lambda: adding(world, caller))
        with pytest.raises(InvalidInput) as error:
            log.once(key_of(caller, fingerprint=b"other"), NOW, lambda: adding(world, caller))
        assert error.value.field == "Idempotency-Key"
        assert tasks_of(world, caller) == 1

    def test_of_many_at_once_one_is_carried_out(self, world: World, log: CommandLog, caller: Caller) -> None:
        outcomes = together(lambda _: log.once(key_of(caller), NOW, lambda: adding(world, caller)), 16)
        assert len(set(outcomes)) == 1
        assert tasks_of(world, caller) == 1

    def test_of_many_at_once_of_a_new_user_too(self, world: World, log: CommandLog) -> None:
        caller = world.user()
        outcomes = together(lambda _: log.once(key_of(caller), NOW, lambda: adding(world, caller)), 16)
        assert len(set(outcomes)) == 1
        assert tasks_of(world, caller) == 1

    def test_other_commands_of_the_user_wait_for_no_more_than_this_one(
        self, world: World, log: CommandLog, caller: Caller
    ) -> None:
        """Keyed and not, of one task: each is carried out, and the log has no gap."""
        task = world.add(caller)

        def work(number: int) -> None:
            if number % 2:
                world.update(caller, task.id, title=f"t{number}")
            else:
                log.once(
                    key_of(caller, str(number)),
                    NOW,
                    lambda: Outcome(0, world.update(caller, task.id, title=f"t{number}").model_dump_json()),
                )

        together(work, 12)
        assert [event.seq for event in world.changes(caller)] == list(range(1, 14))
        assert world.tasks.get(caller, task.id).version == 13

    def test_what_raises_changes_nothing_and_keeps_nothing(self, world: World, log: CommandLog, caller: Caller) -> None:
        def half() -> Outcome:
            adding(world, caller)
            raise NotFound("task")

        with pytest.raises(NotFound):
            log.once(key_of(caller), NOW, half)
        assert tasks_of(world, caller) == 0
        assert world.types(caller) == []
        log.once(key_of(caller), NOW, lambda: adding(world, caller))
        assert tasks_of(world, caller) == 1

    def test_a_refusal_can_be_kept(self, world: World, log: CommandLog, caller: Caller) -> None:
        refusal = Outcome(5, '{"code":5}')
        assert log.once(key_of(caller), NOW, lambda: refusal) == refusal
        assert log.once(key_of(caller), NOW, lambda: adding(world, caller)) == refusal

    def test_nothing_is_kept_of_who_is_no_user(self, world: World, log: CommandLog) -> None:
        caller = world.user()
        log.once(key_of(caller), NOW, lambda: Outcome(5, "{}"))
        assert world.rows("select 1 from users where user_id = %s", caller.user_id) == []

    def test_a_commit_whose_answer_was_lost_is_found(self, world: World, log: CommandLog, caller: Caller) -> None:
        runs: list[UUID] = []

        def work() -> Outcome:
            runs.append(uuid4())
            return adding(world, caller)

        with lost_commits(world, 1):
            log.once(key_of(caller), NOW, work)
        assert len(runs) == 1
        assert tasks_of(world, caller) == 1

    def test_what_was_not_committed_when_the_server_broke_off_is_done_again(
        self, world: World, log: CommandLog, caller: Caller
    ) -> None:
        broken = threading.Event()

        def work() -> Outcome:
            outcome = adding(world, caller)
            if not broken.is_set():
                broken.set()
                world.rows(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where state = 'idle in transaction' and datname = current_database()"
                )
            return outcome

        log.once(key_of(caller), NOW, work)
        assert tasks_of(world, caller) == 1

    def test_its_changes_are_told_of_after_the_commit(self, world: World, log: CommandLog, caller: Caller) -> None:
        told: list[tuple[UUID, int]] = []
        world.database.on_change = lambda users: told.extend((user, tasks_of(world, caller)) for user in users)
        try:
            log.once(key_of(caller), NOW, lambda: adding(world, caller))
        finally:
            world.database.on_change = lambda users: None
        assert told == [(caller.user_id, 1)]


class TestEach:
    """Several in one transaction."""

    @staticmethod
    def refusal(error: Exception) -> Outcome | None:
        return Outcome(5, str(error)) if isinstance(error, NotFound) else None

    def test_is_undone_where_it_is_refused_and_only_there(self, world: World, log: CommandLog, caller: Caller) -> None:
        broken = RuntimeError("a fault of ours")

        def work(number: int) -> Outcome:
            outcome = adding(world, caller, f"t{number}")
            if number == 1:
                raise NotFound("task")
            if number == 2:
                raise broken
            if number == 3:
                world.database.of(caller.user_id).all("select %s::timestamptz", ("no time",))
            return outcome

        keys = [key_of(caller, str(number)) for number in range(5)]
        outcomes = log.each(keys, NOW, work, self.refusal)
        assert [getattr(outcome, "code", None) for outcome in outcomes] == [0, 5, None, None, 0]
        assert outcomes[2] is broken
        assert isinstance(outcomes[3], InvalidInput)
        titles = [row["title"] for row in world.rows("select title from tasks where user_id = %s", caller.user_id)]
        assert sorted(titles) == ["t0", "t4"]
        assert [event.seq for event in world.changes(caller)] == [1, 2]
        assert keys_of(world, caller) == ["0", "1", "4"], "what may pass another time is not kept"

    def test_is_answered_again_by_itself_or_with_others(self, world: World, log: CommandLog, caller: Caller) -> None:
        keys = [key_of(caller, text) for text in ("a", "b", "a")]
        first, second, third = log.each(keys, NOW, lambda number: adding(world, caller, f"t{number}"), self.refusal)
        assert (first, tasks_of(world, caller)) == (third, 2)
        again = log.each(list(reversed(keys)), NOW, lambda _: pytest.fail("carried out again"), self.refusal)
        assert again == [third, second, first]
        assert log.once(keys[0], NOW, lambda: pytest.fail("carried out again")) == first
        (other,) = log.each([key_of(caller, "a", b"other")], NOW, lambda _: adding(world, caller), self.refusal)
        assert isinstance(other, InvalidInput)

    def test_ends_before_one_that_cannot_be_carried_out_now(
        self, world: World, log: CommandLog, caller: Caller
    ) -> None:
        def work(number: int) -> Outcome:
            outcome = adding(world, caller)
            if number == 1:
                raise Unavailable("later")
            return outcome

        keys = [key_of(caller, text) for text in "abc"]
        assert len(log.each(keys, NOW, work, self.refusal)) == 1
        assert tasks_of(world, caller) == 1
        with pytest.raises(Unavailable):
            log.each(keys[1:], NOW, lambda _: work(1), self.refusal)
        assert keys_of(world, caller) == ["a"]

    def test_of_many_at_once_each_is_carried_out_once(self, world: World, log: CommandLog) -> None:
        caller = world.user()
        keys = [key_of(caller, str(number)) for number in range(10)]

        def work(thread: int) -> list[Outcome | Exception]:
            mine = keys if thread % 2 else list(reversed(keys))
            found = log.each(mine, NOW, lambda _: adding(world, caller), self.refusal)
            return found if thread % 2 else list(reversed(found))

        outcomes = together(work, 8)
        assert all(other == outcomes[0] for other in outcomes)
        assert tasks_of(world, caller) == 10


class TestKept:
    def test_for_90_days(self, world: World, log: CommandLog, caller: Caller) -> None:
        log.once(key_of(caller, "old"), NOW, lambda: adding(world, caller))
        log.once(key_of(caller, "new"), NOW + 90 * DAY, lambda: adding(world, caller))
        assert keys_of(world, caller) == ["new", "old"]
        log.once(key_of(caller, "newer"), NOW + 90 * DAY + timedelta(seconds=1), lambda: adding(world, caller))
        assert keys_of(world, caller) == ["new", "newer"]

    def test_no_longer_than_the_user(self, world: World, log: CommandLog, caller: Caller) -> None:
        log.once(key_of(caller), NOW, lambda: adding(world, caller))
        world.users.delete(caller.user_id)
        assert keys_of(world, caller) == []


def keys_of(world: World, caller: Caller) -> list[str]:
    return [
        row["key"] for row in world.rows("select key from commands where user_id = %s order by key", caller.user_id)
    ]
