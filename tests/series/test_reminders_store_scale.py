"""Reminders by the million, bursts, two hosts, and hosts that die: each is claimed once, and none is lost."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing import get_context
from typing import Any, cast
from uuid import UUID, uuid4

import psycopg
import pytest

from functions.due_reminders import due_reminders
from functions.route_reminder import route_reminder
from functions.runtime.sidecar import Sidecar
from functions.store.database import Database, Row, Scope
from functions.store.reminders import LEASE, Reminders
from functions.tasks.errors import NotFound
from functions.tasks.events import Delivery, DueReminder, Event, ReminderDue
from functions.tasks.models import Caller, Reminder, Task
from tests.series.support import Household, at_once

MILLION = 1_000_000
BURST = 20_000

FILL = """
set session_replication_role = replica;
insert into users (user_id, name) select md5(u::text)::uuid, 'u' from generate_series(0, 999) u;
insert into tasks (user_id, task_id, title, description, status, priority, time_zone, version, created_at, updated_at,
    title_key, search, due_at)
select md5((t % 1000)::text)::uuid, md5('task' || t)::uuid, 'a', '', 'open', 'medium', 'UTC', 1, now(), now(),
    'a', '', '{first}'::timestamptz + t * interval '{step}'
from generate_series(0, {reminders} / 10) t;
insert into reminders (user_id, reminder_id, task_id, scheduled_time, delivery_channel, status)
select md5((r / 10 % 1000)::text)::uuid, md5('reminder' || r)::uuid, md5('task' || r / 10)::uuid,
    '{first}'::timestamptz + r * interval '{step}', 'all', 'pending'
from generate_series(0, {reminders} - 1) r;
set session_replication_role = origin;
analyze;
"""
"""Pending reminders of 1,000 users, ten a task, one each `step` from `first` on."""


def fill(url: str, reminders: int, first: datetime, step: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(FILL.format(reminders=reminders, first=first.isoformat(), step=step).encode())


class Explaining(Database):
    """Explains each statement, by the plan that serves every value, and takes its effects back."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.nodes: list[dict[str, Any]] = []
        """The nodes of the plan of the last statement."""

    def run(self, scope: Scope, query: str, params: Row | Sequence[Any]) -> list[Row]:
        values = list(params.values() if isinstance(params, dict) else params)
        names = list(params) if isinstance(params, dict) else []
        for number, name in enumerate(names, 1):
            query = query.replace(f"%({name})s", f"${number}")
        for number in range(1, len(values) + 1):
            query = query.replace("%s", f"${number}", 1)
        types = ", ".join("timestamptz" for _ in values)
        with self.transaction(scope) as connection:
            connection.execute("set local plan_cache_mode = force_generic_plan")
            connection.execute(f"prepare explained ({types}) as {query}")
            literals = ", ".join(f"'{value.isoformat()}'" for value in values)
            explained = f"explain (analyze, buffers, format json) execute explained ({literals})"
            ((root,),) = [row.values() for row in connection.execute(explained)]
            connection.execute("deallocate explained")
            raise psycopg.Rollback
        self.nodes = list(_nodes(root[0]["Plan"]))
        return []

    @property
    def blocks(self) -> int:
        return cast(int, self.nodes[0]["Shared Hit Blocks"] + self.nodes[0]["Shared Read Blocks"])

    @property
    def kinds(self) -> set[str]:
        return {node["Node Type"] for node in self.nodes}


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)


FIRST = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def million(lasting_url: str) -> str:
    """The URL of a database with a million pending reminders, one each 30 seconds."""
    fill(lasting_url, MILLION, FIRST, "30 seconds")
    return lasting_url


class TestAMillionPending:
    @pytest.fixture
    def explaining(self, million: str) -> Iterator[Explaining]:
        database = Explaining(million)
        database.open()
        yield database
        database.close()

    @pytest.mark.parametrize(
        ("due", "blocks"),
        [(0, 10), (100, 3_000)],  # each one that is due is found, locked, written (with its indexes), and its task read
    )
    def test_a_claim_reads_only_what_is_due(self, explaining: Explaining, due: int, blocks: int) -> None:
        Reminders(explaining).claim_due(FIRST + due * timedelta(seconds=30) - timedelta(seconds=1), 1000)
        assert explaining.nodes[0]["Actual Rows"] == due
        assert "Seq Scan" not in explaining.kinds
        assert explaining.blocks <= blocks

    def test_looking_for_the_next_one_and_for_lost_claims_reads_next_to_nothing(self, explaining: Explaining) -> None:
        for look in (Reminders(explaining).next_due, Reminders(explaining).release_expired):
            look(FIRST + timedelta(seconds=1))
            assert "Seq Scan" not in explaining.kinds
            assert explaining.blocks <= 10

    def test_a_tick_takes_as_long_as_with_a_thousand(self, million: str, url: str) -> None:
        fill(url, 1_000, FIRST, "30 seconds")

        def seconds(url: str) -> float:
            """The fastest of many rounds of what a tick asks for, with one reminder due in each."""
            database = Database(url)
            database.open()
            reminders = Reminders(database)
            rounds = []
            for number in range(100):
                now = FIRST + number * timedelta(seconds=30)
                began = time.perf_counter()
                reminders.release_expired(FIRST)
                assert len(reminders.claim_due(now, 1000)) == 1
                reminders.next_due(now + timedelta(seconds=1))
                rounds.append(time.perf_counter() - began)
            database.close()
            return min(rounds)

        few, many = seconds(url), seconds(million)
        assert many < 3 * few + 0.002


class Recorder:
    """Takes the place of the sidecar: what a host published."""

    def __init__(self) -> None:
        self.published: list[UUID] = []

    def send(self, topic: str, messages: Sequence[tuple[str, str, Event]]) -> None:
        for _, _, event in messages:
            self.published += [reminder.reminder_id for reminder in cast(ReminderDue, event).reminders]


def host(url: str, until: float) -> list[UUID]:
    """Ticks as a host does until the time (seconds since the epoch) is over or a tick found nothing to publish."""
    database, sidecar = Database(url), Recorder()
    database.open()
    while time.time() < until:
        before = len(sidecar.published)
        due_reminders(Reminders(database), cast(Sidecar, sidecar), datetime.now(UTC))
        if len(sidecar.published) == before:
            break
    database.close()
    return sidecar.published


def test_20_000_of_one_minute_are_published_within_10_seconds_by_two_hosts_each_once(url: str) -> None:
    fill(url, BURST, datetime.now(UTC) - timedelta(minutes=1), "3 milliseconds")
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        list(pool.map(time.sleep, [0.1, 0.1]))  # both processes are up
        began = time.time()
        hosts = list(pool.map(host, [url] * 2, [began + 10] * 2))
        seconds = time.time() - began
    times = Counter(reminder for published in hosts for reminder in published)
    assert len(times) == BURST
    assert set(times.values()) == {1}
    assert all(hosts), "both had a share"
    assert seconds < 10


def test_vikunja_2729_two_replicas_send_none_twice_and_a_restart_loses_none(database: Database, url: str) -> None:
    """One host claims and dies before it publishes; what it held is claimed again, once, when its lease is over."""
    now = datetime.now(UTC)
    fill(url, 300, now - timedelta(seconds=10), "1 millisecond")
    reminders = Reminders(database)
    lost = reminders.claim_due(now, 100)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: [*reminders.claim_due(now, 100), *reminders.claim_due(now, 100)], range(2))
    claimed = [one.reminder_id for one in (*lost, *first, *second)]
    assert len(claimed) == len(set(claimed)) == 300
    assert reminders.claim_due(now, 100) == []

    reminders.release_expired(now + LEASE - timedelta(seconds=1))
    assert reminders.claim_due(now + LEASE, 1000) == []
    later = now + LEASE
    reminders.release_expired(later)
    again = reminders.claim_due(later, 1000)
    assert {one.reminder_id for one in again} == set(claimed), "none of them was settled"

    reminders.forget_claims()
    assert len(reminders.claim_due(later, 1000)) == 300, "a start with a broker that forgot"


class TestInFlight:
    """A reminder was claimed, and its message is on the way, while its user does something."""

    @pytest.fixture
    def late(self, household: Household) -> Household:
        """Its `now` is the real one: reminders fall due while the test runs."""
        household.now = datetime.now(UTC)
        return household

    def claim(self, late: Household, **fields: Any) -> tuple[UUID, DueReminder]:
        task = late.create(due_date=late.now, reminder_offset="PT0S", **fields)
        (claimed,) = Reminders(late.database).claim_due(late.now, 10)
        return task.id, claimed

    def deliveries(self, late: Household, claimed: DueReminder) -> int:
        """How many deliveries come of the message about this reminder, which arrives twice."""
        for _ in range(2):
            route_reminder(
                ReminderDue(reminders=[claimed]), Reminders(late.database), cast(Sidecar, Recorder()), late.now
            )
        (row,) = late.database.system.all(
            "select count(*) as deliveries from deliveries where reminder_id = %s", (claimed.reminder_id,)
        )
        return cast(int, row["deliveries"])

    @pytest.mark.parametrize(
        "what",
        [
            lambda late, task, claimed: late.complete(task),
            lambda late, task, claimed: late.delete(task),
            lambda late, task, claimed: late.edit(task, due_date=late.now + timedelta(days=1)),
            lambda late, task, claimed: late.edit(task, reminder_offset=None),
            lambda late, task, claimed: late.edit(task, reminder_offset=None, reminders=[{"offset": "PT5M"}]),
            lambda late, task, claimed: late.reminder("snooze", claimed.reminder_id, minutes=5),
            lambda late, task, claimed: late.reminder("cancel", claimed.reminder_id),
        ],
        ids=["complete", "delete", "move", "take away", "replace", "snooze", "cancel"],
    )
    def test_it_is_not_sent_once_it_is_off(
        self, late: Household, what: Callable[[Household, UUID, DueReminder], object]
    ) -> None:
        task, claimed = self.claim(late)
        what(late, task, claimed)
        assert self.deliveries(late, claimed) == 0

    @pytest.mark.parametrize("end", ["complete", "delete"])
    def test_it_is_not_told_in_the_app_once_its_task_has_ended(self, late: Household, end: str) -> None:
        """Though it was routed before."""
        task, claimed = self.claim(late)
        reminders = Reminders(late.database)
        delivery = Delivery(**dict(claimed), channel="in_app")
        reminders.plan_deliveries([delivery], late.now)
        getattr(late, end)(task)
        assert reminders.record([delivery], "sent", late.now, "") == 0
        assert late.events("reminder.%") == []

    @pytest.mark.parametrize(
        "fields",
        [{"title": "b"}, {"time_zone": "Asia/Tokyo"}, {"reminders": [{"offset": "PT5M"}]}, {"priority": "low"}],
    )
    def test_it_is_sent_once_after_other_edits(self, late: Household, fields: dict[str, Any]) -> None:
        task, claimed = self.claim(late)
        late.edit(task, **fields)
        assert self.deliveries(late, claimed) == 1
        assert Reminders(late.database).claim_due(late.now, 10) == []

    def test_a_snoozed_one_is_claimed_at_its_time_and_has_deliveries_of_its_own(self, late: Household) -> None:
        task, claimed = self.claim(late)
        snoozed = late.reminder("snooze", claimed.reminder_id, minutes=5)
        reminders = Reminders(late.database)
        assert reminders.claim_due(late.now + timedelta(minutes=4), 10) == []
        (again,) = reminders.claim_due(late.now + timedelta(minutes=5), 10)
        assert again.reminder_id == snoozed.id != claimed.reminder_id
        assert again.task_id == task
        assert again.scheduled_time == late.now + timedelta(minutes=5)


class TestSnoozing:
    def test_is_told_and_answered(self, household: Household) -> None:
        task = household.create(reminder_offset="PT10M")
        snoozed = household.reminder("snooze", task.reminders[0].id, minutes=30)
        assert (snoozed.status, snoozed.scheduled_time) == ("pending", household.now + timedelta(minutes=30))
        assert [r.status for r in household.reminders(task.id)] == ["pending", "cancelled"]
        event = household.events()[-1]
        assert (event.type, event.entity_type, event.entity_id) == ("reminder.snoozed", "reminder", snoozed.id)
        assert event.data["task_id"] == str(task.id)
        assert event.data["task"]["version"] == 2
        cancelled = household.reminder("cancel", snoozed.id)
        assert cancelled.status == "cancelled"
        assert household.events()[-1].type == "reminder.cancelled"
        told = len(household.events())
        assert household.reminder("cancel", snoozed.id) == cancelled
        assert len(household.events()) == told, "a repeat changes nothing"

    def test_at_once_on_many_devices_is_pending_once(self, household: Household) -> None:
        task = household.create(reminder_offset="PT10M")
        snooze = partial(household.reminder, "snooze", task.reminders[0].id)
        answers = at_once(*(partial(snooze, minutes=minutes) for minutes in (5, 10, 15, 20)))
        assert all(isinstance(answer, Reminder) for answer in answers)
        assert [r.status for r in household.reminders(task.id)].count("pending") == 1

    def test_and_settling_at_once_keeps_what_was_sent(
        self, household: Household, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It was read as pending, and is sent when the change is written."""
        task = household.create(reminder_offset="PT10M")
        first = task.reminders[0].id
        get = household.tasks.get

        def read_too_early(caller: Caller, task_id: UUID) -> Task:
            read = get(caller, task_id)
            household.database.system.all("update reminders set status = 'sent' where reminder_id = %s", (first,))
            return read

        monkeypatch.setattr(household.tasks, "get", read_too_early)
        household.reminder("snooze", first, minutes=30)
        assert sorted(r.status for r in get(household.caller, task.id).reminders) == ["pending", "sent"]

    def test_is_refused_to_others(self, household: Household) -> None:
        task = household.create(reminder_offset="PT10M")
        other = Household(household.database)
        other.create()
        for action, fields in (("snooze", {"minutes": 5}), ("cancel", {})):
            with pytest.raises(NotFound):
                other.reminder(action, task.reminders[0].id, **fields)
            with pytest.raises(NotFound):
                household.reminder(action, uuid4(), **fields)
        with pytest.raises(NotFound):
            other.reminders(task.id)
        household.delete(task.id)
        with pytest.raises(NotFound):
            household.reminder("snooze", task.reminders[0].id, minutes=5)
