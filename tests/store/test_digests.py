"""Digests: one a user and local day, whoever plans and sends them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest

from functions.store.database import Database
from functions.store.digests import LEASE as DIGEST_LEASE
from functions.store.digests import Digests
from functions.store.users import Users
from functions.tasks.models import Caller, CreateTask
from functions.tasks.planning import plan_create
from tests.store.notices import Case, change
from tests.store.world import World


@pytest.fixture
def database(world: World) -> Database:
    return world.database


class TestDigests:
    @pytest.fixture
    def digests(self, database: Database) -> Digests:
        database.system.all("delete from digests")
        database.system.all("update users set digest_at = null, next_digest_at = null")
        return Digests(database)

    MORNING = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)  # 07:30 in Berlin
    TODAY = date(2026, 11, 23)

    def wants(self, users: Users, caller: Caller) -> None:
        change(users, caller, self.MORNING - timedelta(hours=1), time_zone="Europe/Berlin", digest_at="07:30")

    def test_are_one_a_user_and_day_however_many_plan_and_send(
        self, digests: Digests, users: Users, caller: Caller, database: Database
    ) -> None:
        self.wants(users, caller)
        assert digests.plan(self.MORNING - timedelta(seconds=1), 10) == 0
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: digests.plan(self.MORNING, 10), range(8)))
            claimed = [digest for digest in pool.map(lambda _: digests.claim(self.MORNING), range(8)) if digest]
        assert [(digest.user_id, digest.day) for digest in claimed] == [(str(caller.user_id), self.TODAY)]
        digests.record(claimed[0], "sent", self.MORNING)
        assert digests.claim(self.MORNING + timedelta(hours=1)) is None
        row = database.system.one("select next_digest_at from users where user_id = %s", (caller.user_id,))
        assert row is not None
        assert row["next_digest_at"] == self.MORNING + timedelta(days=1)

    def test_of_a_host_that_died_are_claimed_again(self, digests: Digests, users: Users, caller: Caller) -> None:
        self.wants(users, caller)
        digests.plan(self.MORNING, 10)
        assert digests.claim(self.MORNING) is not None
        assert digests.claim(self.MORNING + DIGEST_LEASE - timedelta(seconds=1)) is None
        assert digests.claim(self.MORNING + DIGEST_LEASE) is not None

    def test_that_could_not_be_sent_are_tried_again_the_same_day_and_not_the_next(
        self, digests: Digests, users: Users, caller: Caller, database: Database
    ) -> None:
        self.wants(users, caller)
        digests.plan(self.MORNING, 10)
        now = self.MORNING
        for _ in range(3):
            digest = digests.claim(now)
            assert digest is not None
            digests.record(digest, "pending", now, "the mail server does not answer")
            assert digests.claim(now) is None
            now += timedelta(minutes=1)
        assert digests.claim(self.MORNING + timedelta(days=1)) is None
        assert database.system.one("select status, reason from digests where user_id = %s", (caller.user_id,)) == {
            "status": "failed", "reason": "its day is over"
        }  # fmt: skip

    def test_of_who_wants_none_any_more_are_not_sent(self, digests: Digests, users: Users, caller: Caller) -> None:
        self.wants(users, caller)
        digests.plan(self.MORNING, 10)
        users.end_digest(caller.user_id)
        assert digests.claim(self.MORNING) is None
        assert digests.plan(self.MORNING + timedelta(days=1), 10) == 0

    def test_late_are_planned_the_same_day_and_not_after_it(
        self, digests: Digests, users: Users, caller: Caller, database: Database
    ) -> None:
        self.wants(users, caller)
        assert digests.plan(self.MORNING + timedelta(hours=20), 10) == 1  # 03:30 of the next day
        assert digests.claim(self.MORNING + timedelta(hours=20)) is None
        assert digests.plan(self.MORNING + timedelta(hours=25), 10) == 1
        digest = digests.claim(self.MORNING + timedelta(hours=25))
        assert digest is not None
        assert digest.day == self.TODAY + timedelta(days=1)

    def test_read_the_open_tasks_of_today_and_tomorrow(self, digests: Digests, users: Users, case: Case) -> None:
        self.wants(users, case.caller)
        digests.plan(self.MORNING, 10)
        digest = digests.claim(self.MORNING)
        assert digest is not None
        for due in ("2026-11-20", "2026-11-24", "2026-11-23T12:00:00Z", "2026-11-29"):
            command = CreateTask.model_validate({"title": due, "due_date": due})
            case.tasks.add(plan_create(command, time_zone="Europe/Berlin", now=self.MORNING), case.caller)
        assert [task.title for task in digests.tasks(digest)] == ["2026-11-20", "2026-11-23T12:00:00Z", "2026-11-24"]


def test_the_tick_finds_users_whose_digest_is_due_by_the_partial_index(world: World) -> None:
    with psycopg.connect(world.url) as connection:
        connection.execute(
            "insert into users (user_id, name) select gen_random_uuid(), 'x' from generate_series(1, 2000)"
        )
        connection.execute("analyze users")
        connection.execute("set local enable_seqscan = off")
        plan = connection.execute(
            "explain select user_id from users where next_digest_at <= now() order by next_digest_at limit 200"
        ).fetchall()
        assert "users_digest" in str(plan)
        connection.execute("delete from users where name = 'x'")
