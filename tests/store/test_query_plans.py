"""How much the store reads: with a large history and many users, only what was asked for.

The statements are those that the store makes, explained by PostgreSQL as they run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from functions.store.database import Database, Scope
from functions.tasks.models import Caller
from functions.tasks.query import ListActivity, ListTasks
from tests.store.conftest import NewDatabase
from tests.store.world import DAY, NOW, World

USERS = 10
TASKS = 100_000
REMINDERS = 200_000
DUE = 2_000
"""Reminders whose time has come; the others are to come."""
EVENTS = 50_000
RARE = 20
"""Tasks, two of each user, that hold the rare word."""

_FILL = f"""
set session_replication_role = replica;  -- no foreign keys are checked while this is filled
insert into users (user_id, name, seq)
select uuid(n), 'user ' || n, {EVENTS} / {USERS} from generate_series(1, {USERS}) n;
insert into tasks (user_id, task_id, title, description, status, priority, due_at, overdue_at, time_zone, version,
    created_at, updated_at, title_key, search)
select uuid(n % {USERS} + 1), uuid(n), 'task ' || n, '', case n % 3 when 0 then 'completed' else 'open' end,
    (enum_range(null::priority))[n % 4 + 1], due, due, 'UTC', 1, start + n * interval '1 minute', start, 'task ' || n,
    array_to_tsvector(array['common', 'task', n::text, 'half' || n % 2]
        || case when n <= {RARE} then array['needle'] else '{{}}' end)
from generate_series(1, {TASKS}) n,
    lateral (select timestamptz '{NOW}' - interval '1 year' as start),
    lateral (select case when n % 10 <> 9 then start + (n * 7919 % {TASKS}) * interval '5 minutes' end as due);
insert into reminders (user_id, reminder_id, task_id, at, scheduled_time, delivery_channel, status)
select uuid(n % {USERS} + 1), uuid(n), uuid((n - 1) % {TASKS} + 1), t, t, 'all', 'pending'
from generate_series(1, {REMINDERS}) n,
    lateral (select timestamptz '{NOW}' + (n - {DUE}) * interval '1 second' as t);
insert into events (user_id, seq, event_id, type, entity_type, entity_id, occurred_at, correlation_id, data,
    published_at)
select uuid(n % {USERS} + 1), (n - 1) / {USERS} + 1, uuid(n), 'task.created', 'task', uuid(n), t, '', '{{}}', t
from generate_series(1, {EVENTS}) n, lateral (select timestamptz '{NOW}' - n * interval '1 minute' as t);
insert into activity (user_id, seq, event_id, event_type, entity_type, entity_id, task_id, occurred_at, details)
select user_id, seq, event_id, type, entity_type, entity_id, entity_id, occurred_at, data from events;
"""


class Recording(Database):
    """Keeps the statements that it is given."""

    def __init__(self, url: str) -> None:
        super().__init__(url, size=2)
        self.statements: list[tuple[Scope, str, Any]] = []

    def run(self, scope: Scope, query: str, params: Any) -> list[dict[str, Any]]:
        self.statements.append((scope, query, params))
        return super().run(scope, query, params)


class Plan:
    """What PostgreSQL did for a statement: its nodes that read a table."""

    def __init__(self, explained: dict[str, Any]) -> None:
        self.nodes = list(self._walk(explained["Plan"]))

    def _walk(self, node: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield node
        for inner in node.get("Plans", []):
            yield from self._walk(inner)

    @property
    def whole_tables(self) -> set[str]:
        """The tables that were read from one end to the other."""
        return {node["Relation Name"] for node in self.nodes if node["Node Type"] == "Seq Scan"}

    @property
    def indexes(self) -> set[str]:
        return {node["Index Name"] for node in self.nodes if "Index Name" in node}

    def examined(self, table: str) -> int:
        """The rows of a table that were looked at, those that a filter then left out among them."""
        removed = ("Rows Removed by Filter", "Rows Removed by Index Recheck", "Rows Removed by Join Filter")
        return sum(
            round((node["Actual Rows"] + sum(node.get(name, 0) for name in removed)) * node["Actual Loops"])
            for node in self.nodes
            if node.get("Relation Name") == table and "Scan" in node["Node Type"]
        )


@pytest.fixture(scope="module")
def large(new_database: NewDatabase) -> Iterator[World]:
    url = new_database(migrated=True)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "create function uuid(n bigint) returns uuid language sql immutable as"
            " $$ select lpad(to_hex(n), 32, '0')::uuid $$"
        )
        connection.execute(_FILL.encode())
        connection.execute("vacuum analyze")
    with World(url, Recording(url)) as made:
        yield made


@pytest.fixture
def caller() -> Caller:
    return Caller(user_id=UUID(int=3), name="user 3")


def plans(world: World, work: Callable[[], object]) -> list[Plan]:
    """The plans of the statements that `work` makes, each run again and taken back."""
    database = world.database
    assert isinstance(database, Recording)
    database.statements.clear()
    work()
    made = []
    for scope, query, params in list(database.statements):
        with database.transaction(scope) as connection:
            explained = connection.execute(f"explain (analyze, format json) {query}".encode(), params).fetchone()
            made.append(Plan(explained["QUERY PLAN"][0]))
            raise psycopg.Rollback
    assert made
    return made


def plan(world: World, work: Callable[[], object]) -> Plan:
    (only,) = plans(world, work)
    return only


class TestTicks:
    """What runs every second, however many reminders wait."""

    def test_claim_reads_what_it_claims(self, large: World) -> None:
        made = plan(large, lambda: large.reminders.claim_due(NOW - timedelta(seconds=DUE - 100), 1000))
        assert "reminders_due" in made.indexes
        assert made.whole_tables == set()
        assert made.examined("reminders") <= 2 * 100
        assert made.examined("tasks") <= 100

    def test_claim_stops_at_its_limit(self, large: World) -> None:
        made = plan(large, lambda: large.reminders.claim_due(NOW, 100))
        assert "reminders_due" in made.indexes
        assert made.whole_tables == set()
        assert made.examined("reminders") <= 3 * 100

    def test_claim_of_nothing_reads_nothing(self, large: World) -> None:
        made = plan(large, lambda: large.reminders.claim_due(NOW - DAY, 1000))
        assert made.whole_tables == set()
        assert made.examined("reminders") == made.examined("tasks") == 0

    def test_claim_reads_little_also_once_its_plan_is_kept(self, large: World) -> None:
        """After some executions PostgreSQL may keep one plan for all parameters."""
        with World(large.url, Database(large.url, size=1)) as world:
            before = reads(world, "reminders", "tasks")
            claimed = sum(len(world.reminders.claim_due(NOW - timedelta(seconds=900), 10)) for _ in range(12))
            assert claimed == 120
            assert reads(world, "reminders", "tasks") - before <= 6 * claimed

    def test_next_due_reads_one(self, large: World) -> None:
        made = plan(large, lambda: large.reminders.next_due(NOW + timedelta(days=3)))
        assert made.whole_tables == set()
        assert made.examined("reminders") <= 5

    def test_release_reads_what_is_claimed(self, large: World) -> None:
        made = plan(large, lambda: large.reminders.release_expired(NOW + DAY))
        assert made.whole_tables == set()
        assert made.examined("reminders") <= DUE

    def test_sweeping_reads_what_is_unpublished(self, large: World) -> None:
        made = plan(large, lambda: large.outbox.pending_users(200))
        assert made.whole_tables == set()
        assert made.examined("events") == 0

    def test_replay_reads_what_was_published_lately(self, large: World) -> None:
        made = plan(large, lambda: large.outbox.replay_unseen(NOW))
        assert made.whole_tables == set()
        assert made.examined("events") <= 100


class TestLists:
    def test_by_due_date_reads_a_page_through_its_index(self, large: World, caller: Caller) -> None:
        made = plan(large, lambda: large.lists.page(caller, ListTasks(limit=50), NOW))
        assert "tasks_due" in made.indexes
        assert made.whole_tables == set()
        assert made.examined("tasks") <= 51

    def test_by_due_date_reads_a_page_wherever_it_begins(self, large: World, caller: Caller) -> None:
        cursor = None
        for _ in range(25):
            cursor = large.lists.page(caller, ListTasks(limit=200, cursor=cursor), NOW).next_cursor
        made = plan(large, lambda: large.lists.page(caller, ListTasks(limit=50, cursor=cursor), NOW))
        assert "tasks_due" in made.indexes
        assert made.whole_tables == set()
        assert made.examined("tasks") <= 60

    @pytest.mark.parametrize("order", ["asc", "desc"])
    @pytest.mark.parametrize("sort_by", ["priority", "created_at", "title"])
    def test_by_another_sort_reads_a_page_through_its_index(
        self, large: World, caller: Caller, sort_by: str, order: str
    ) -> None:
        query = ListTasks.model_validate({"sort_by": sort_by, "sort_order": order})
        made = plan(large, lambda: large.lists.page(caller, query, NOW))
        assert made.indexes & {"tasks_priority", "tasks_created", "tasks_title"}
        assert made.whole_tables == set()
        assert made.examined("tasks") <= 51

    @pytest.mark.parametrize("sort_by", ["priority", "created_at", "title"])
    def test_by_another_sort_reads_a_page_wherever_it_begins(self, large: World, caller: Caller, sort_by: str) -> None:
        cursor = None
        for _ in range(25):
            query = ListTasks.model_validate({"sort_by": sort_by, "limit": 200, "cursor": cursor})
            cursor = large.lists.page(caller, query, NOW).next_cursor
        query = ListTasks.model_validate({"sort_by": sort_by, "limit": 50, "cursor": cursor})
        made = plan(large, lambda: large.lists.page(caller, query, NOW))
        assert made.indexes & {"tasks_priority", "tasks_created", "tasks_title"}
        assert made.examined("tasks") <= 60

    def test_backwards_by_due_date_reads_the_users_tasks_at_most(self, large: World, caller: Caller) -> None:
        made = plan(large, lambda: large.lists.page(caller, ListTasks(sort_order="desc"), NOW))
        assert made.whole_tables == set()
        assert made.examined("tasks") <= TASKS // USERS

    def test_within_dates_reads_those_dates(self, large: World, caller: Caller) -> None:
        query = ListTasks(due_after=NOW - timedelta(days=2), due_before=NOW - DAY)
        made = plan(large, lambda: large.lists.page(caller, query, NOW))
        assert made.whole_tables == set()
        assert made.examined("tasks") <= 60

    @pytest.mark.parametrize(
        ("search", "most"),
        [
            ("needle", 2 * RARE),
            ("needle common", TASKS // USERS),
            ("common", TASKS // USERS),
            ("half1 com", TASKS // USERS),
        ],
    )
    def test_search_reads_through_an_index(self, large: World, caller: Caller, search: str, most: int) -> None:
        made = plan(large, lambda: large.lists.page(caller, ListTasks(search=search), NOW))
        assert made.whole_tables == set()
        assert made.indexes & {"tasks_search", "tasks_due"}
        assert made.examined("tasks") <= most

    def test_activity_reads_a_page(self, large: World, caller: Caller) -> None:
        made = plan(large, lambda: large.log.page(caller, ListActivity(limit=50)))
        assert made.whole_tables == set()
        assert made.examined("activity") <= 51

    def test_activity_of_a_task_reads_its_history(self, large: World, caller: Caller) -> None:
        task = large.value("select entity_id from events where user_id = %s limit 1", caller.user_id)
        made = plan(large, lambda: large.log.page(caller, ListActivity(task_id=task)))
        assert made.whole_tables == set()
        assert made.examined("activity") <= 5


def reads(world: World, *tables: str) -> int:
    """The rows of these tables that all finished statements have read, through indexes or not."""
    world.rows("select pg_stat_force_next_flush()")
    reading = "select sum(seq_tup_read + idx_tup_fetch) from pg_stat_user_tables where relname = any(%s)"
    return int(world.value(reading, list(tables)))


def test_writing_reads_what_it_writes(large: World, caller: Caller) -> None:
    """A change of one task among 10,000 of a user does not look at the others, nor at the 5,000 changes before it,
    however often its plan was made."""
    with World(large.url, Database(large.url, size=1)) as world:
        before = reads(world, "tasks"), reads(world, "events")
        for number in range(12):
            world.update(caller, UUID(int=number * USERS + 2), title="changed")
        assert reads(world, "tasks") - before[0] <= 12 * 10
        assert reads(world, "events") - before[1] <= 12 * 60, "the last 50, for one that is sent again"
