"""The database as its callers see it: there, away for a moment, or away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from functions.store import database as module
from functions.store.database import Database, json_time
from functions.store.reminders import LEASE
from functions.tasks.delivery import route
from functions.tasks.devices import Registration
from functions.tasks.errors import InvalidInput, NotFound, Outage, Unavailable
from functions.tasks.events import Delivery, DueReminder
from functions.tasks.models import Caller, UpdateTask
from functions.tasks.planning import plan_next, plan_update
from tests.store.world import DAY, NOW, SECOND, World, together


@pytest.fixture
def ann(world: World) -> Caller:
    return world.user("ann@example.com")


def break_connections(url: str) -> int:
    """Ends the idle connections of the pool under test, as a restarted server does; answers how many."""
    with psycopg.connect(url, autocommit=True) as connection:
        ended = connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and query like '%pg_sleep(0.2)%' and pid <> pg_backend_pid()"
        )
        return len(ended.fetchall())


class TestStatements:
    def test_answer_rows_by_name(self, world: World) -> None:
        assert world.database.system.all("select %(a)s as a", {"a": 1}) == [{"a": 1}]
        assert world.database.system.all("select %s as a, 2 as b", (1,)) == [{"a": 1, "b": 2}]
        assert world.database.system.one("select 1 as a union all select 2 order by a") == {"a": 1}

    def test_answer_nothing_where_there_is_nothing(self, world: World) -> None:
        assert world.database.system.one("select 1 where false") is None
        assert world.database.system.all("select 1 where false") == []
        assert world.database.system.all("delete from dead_messages") == []

    def test_see_instants_in_utc(self, world: World) -> None:
        assert world.value("show timezone") == "UTC"
        assert world.value("select %s::timestamptz", NOW).utcoffset().total_seconds() == 0

    def test_commit_by_themselves(self, world: World) -> None:
        world.database.system.all("insert into users (user_id, name) values (gen_random_uuid(), 'kept')")
        with psycopg.connect(world.url) as other:
            assert other.execute("select count(*) from users where name = 'kept'").fetchone() == (1,)


class TestAway:
    def test_at_the_start_is_no_reason_not_to_start(self, tmp_path: Any) -> None:
        absent = Database(f"postgresql://postgres@/none?host={tmp_path}", timeout=0.2)
        absent.open()
        try:
            with pytest.raises(Outage) as error:
                absent.system.one("select 1")
        finally:
            absent.close()
        assert str(tmp_path) not in str(error.value)

    def test_with_every_connection_busy_is_said_too(self, world: World) -> None:
        busy = Database(world.url, size=1, timeout=0.2)
        busy.open()
        try:
            with busy.system.transaction(), pytest.raises(Outage):
                busy.system.one("select 1")
            assert busy.system.one("select 1 as a") == {"a": 1}
        finally:
            busy.close()

    def test_comes_back_by_itself(self, world: World) -> None:
        """All connections of the pool broke at once: the server was restarted."""
        pooled = Database(world.url, size=12)
        pooled.open()
        try:
            together(lambda _: pooled.system.all("select pg_sleep(0.2)"), 12)
            assert break_connections(world.url) > module.ATTEMPTS
            assert pooled.system.one("select 1 as a") == {"a": 1}
        finally:
            pooled.close()

    def test_with_a_statement_that_never_ends_is_said(self, world: World) -> None:
        impatient = Database(world.url, size=1)
        impatient.open()
        try:
            impatient.system.all("set statement_timeout = '20ms'")  # of the one connection
            with pytest.raises(Unavailable) as error:
                impatient.system.one("select pg_sleep(60)")
            assert not isinstance(error.value, Outage), "the database answers, and this statement is too slow"
        finally:
            impatient.close()

    @pytest.mark.parametrize(
        ("sqlstate", "out"),
        [
            *(("08006", True), ("53100", True), ("53300", True), ("57P01", True), ("57P03", True), ("58030", True)),
            *(("40001", False), ("40P01", False), ("54000", False), ("55P03", False), ("57014", False)),
        ],
    )  # fmt: skip
    def test_is_told_from_what_one_statement_does(
        self, world: World, monkeypatch: pytest.MonkeyPatch, sqlstate: str, out: bool
    ) -> None:
        monkeypatch.setattr(module, "BACK_OFF", 0.001)
        raising = f"do $$ begin raise exception 'no' using errcode = '{sqlstate}'; end $$"
        with pytest.raises(Unavailable) as error:
            world.rows(raising)
        assert isinstance(error.value, Outage) == out

    def test_is_what_a_lost_connection_means(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "BACK_OFF", 0.001)
        with pytest.raises(Outage):
            world.rows("select set_config('role', 'none', true), pg_terminate_backend(pg_backend_pid())")
        assert world.value("select 1") == 1

    def test_is_not_what_a_value_that_cannot_be_stored_means(self, world: World) -> None:
        for value in ("a\x00b", "\ud800", '{"a": "\\u0000"}'):
            with pytest.raises(InvalidInput) as error:
                world.rows("select %s::jsonb", value)
            assert value not in str(error.value)

    def test_is_not_what_a_wrong_statement_means(self, world: World) -> None:
        with pytest.raises(psycopg.errors.UndefinedTable):
            world.rows("select * from no_such_table")


def routed(world: World, due: DueReminder) -> list[Delivery]:
    return route([due], world.reminders.recipients([due]), NOW)


@pytest.fixture
def lose(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """`lose(part)`: the next statement with this part is committed, and its answer lost with the connection."""
    monkeypatch.setattr(module, "BACK_OFF", 0.001)
    execute, waiting = psycopg.Connection.execute, list[str]()

    def losing(self: psycopg.Connection[Any], query: Any, *args: Any, **named: Any) -> Any:
        cursor = execute(self, query, *args, **named)
        if waiting and waiting[0] in query.decode():
            waiting.clear()
            raise psycopg.OperationalError("the connection is lost")
        return cursor

    monkeypatch.setattr(psycopg.Connection, "execute", losing)
    yield waiting.append
    assert waiting == [], "no such statement was made"


class TestLostAnswer:
    """A write whose answer was lost is sent again: the caller is told what was done, and it is done once."""

    @pytest.fixture
    def woken(self, world: World) -> Iterator[list[Any]]:
        users: list[Any] = []
        world.database.on_change = users.extend
        yield users
        world.database.on_change = lambda users: None

    def test_of_a_new_task(self, world: World, ann: Caller, lose: Callable[[str], None], woken: list[Any]) -> None:
        woken.clear()
        lose("save_task")
        task = world.add(ann, title="once", tags=["home"])
        assert task.title == "once"
        assert world.types(ann) == ["tag.created", "task.created"]
        assert woken == [ann.user_id]

    def test_of_a_change(self, world: World, ann: Caller, lose: Callable[[str], None], woken: list[Any]) -> None:
        task = world.add(ann)
        woken.clear()
        lose("save_task")
        assert world.update(ann, task.id, title="b").version == 2
        assert world.types(ann) == ["task.created", "task.updated"]
        assert woken == [ann.user_id]

    def test_of_a_change_that_names_its_version(self, world: World, ann: Caller, lose: Callable[[str], None]) -> None:
        """It is written: that must not be answered as stale."""
        task = world.add(ann)
        lose("save_task")
        command = UpdateTask(task_id=task.id, title="b", version=1)
        saved = world.tasks.change(ann, task.id, lambda current: plan_update(command, current, now=NOW))
        assert (saved.title, saved.version) == ("b", 2)
        assert world.types(ann) == ["task.created", "task.updated"]

    def test_of_a_deletion(self, world: World, ann: Caller, lose: Callable[[str], None]) -> None:
        """It is deleted: that must not be answered as not found."""
        task = world.add(ann)
        lose("save_task")
        world.delete(ann, task.id)
        with pytest.raises(NotFound):
            world.tasks.get(ann, task.id)
        assert world.types(ann) == ["task.created", "task.deleted"]

    def test_of_the_next_occurrence(
        self, world: World, ann: Caller, lose: Callable[[str], None], woken: list[Any]
    ) -> None:
        task = world.add(ann, due_date="2026-11-24T09:00:00Z", recurrence={"type": "daily"})
        change = plan_next(world.complete(ann, task.id), now=NOW)
        assert change is not None
        woken.clear()
        lose("save_task")
        world.tasks.follow(change, ann)
        assert world.types(ann) == ["task.created", "task.completed", "task.created"]
        assert woken == [ann.user_id]

    def test_of_a_new_tag(self, world: World, ann: Caller, lose: Callable[[str], None]) -> None:
        lose("save_tag")
        assert world.tags.create(ann, "Home", None, NOW).name == "Home"
        assert world.types(ann) == ["tag.created"]

    def test_of_a_changed_tag(self, world: World, ann: Caller, lose: Callable[[str], None]) -> None:
        tag = world.tags.create(ann, "Home", None, NOW)
        lose("save_tag")
        assert world.tags.update(ann, tag.id, {"name": "House"}, NOW).name == "House"
        assert world.types(ann) == ["tag.created", "tag.updated"]

    def test_of_a_deleted_tag(self, world: World, ann: Caller, lose: Callable[[str], None]) -> None:
        tag = world.tags.create(ann, "Home", None, NOW)
        lose("save_tag")
        assert world.tags.delete(ann, tag.id, NOW).id == tag.id
        assert world.types(ann) == ["tag.created", "tag.deleted"]

    def test_of_a_device_still_tells_its_secret(self, world: World, ann: Caller, lose: Callable[[str], None]) -> None:
        lose("save_device")
        webhook = Registration(kind="webhook", endpoint="https://hooks.example/", name="x")
        assert world.devices.register(ann, webhook, "s", NOW).secret == "s"
        assert world.devices.register(ann, webhook, "t", NOW).secret is None

    def test_of_a_record(self, world: World, ann: Caller, lose: Callable[[str], None], woken: list[Any]) -> None:
        world.rows("delete from reminders")
        world.add(ann, reminders=[{"at": NOW.isoformat()}])
        (due,) = world.reminders.claim_due(NOW, 10)
        deliveries = world.reminders.plan_deliveries(
            [one for one in routed(world, due) if one.channel == "in_app"], NOW
        )
        woken.clear()
        lose("record_deliveries")
        world.reminders.record(deliveries, "sent", NOW + SECOND, "")
        assert world.types(ann) == ["task.created", "reminder.sent"]
        assert woken == [ann.user_id]

    def test_of_an_attempt_ends_with_its_lease(self, world: World, ann: Caller, lose: Callable[[str], None]) -> None:
        world.rows("delete from reminders")
        world.add(ann, reminders=[{"at": NOW.isoformat()}])
        (due,) = world.reminders.claim_due(NOW, 10)
        deliveries = world.reminders.plan_deliveries(routed(world, due), NOW)
        lose("update deliveries x")
        world.reminders.begin_attempts(deliveries, NOW)
        assert world.reminders.begin_attempts(deliveries, NOW + LEASE) == deliveries

    def test_of_a_claim_ends_with_its_lease(self, world: World, ann: Caller, lose: Callable[[str], None]) -> None:
        world.rows("delete from reminders")
        world.add(ann, reminders=[{"at": NOW.isoformat()}])
        lose("skip locked")
        world.reminders.claim_due(NOW, 10)
        world.reminders.release_expired(NOW + DAY)
        assert len(world.reminders.claim_due(NOW + DAY, 10)) == 1


def test_an_instant_is_said_in_json_as_it_is() -> None:
    assert json_time(NOW) == "2026-11-23T09:00:00+00:00"
    assert json_time(None) is None
