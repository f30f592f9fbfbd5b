"""Devices, settings, holds, digests and dead letters on a real PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from functions.store.database import Database
from functions.store.devices import Devices
from functions.store.digests import LEASE as DIGEST_LEASE
from functions.store.digests import Digests
from functions.store.reminders import LEASE, MAX_ATTEMPTS, Reminders
from functions.store.tasks import Tasks
from functions.store.users import Users
from functions.tasks.delivery import Recipient, route, sort_out
from functions.tasks.devices import LIMIT, Registration
from functions.tasks.errors import AlreadyExists, InvalidInput, NotFound
from functions.tasks.events import SEND_TOPICS, Delivery, DueReminder
from functions.tasks.models import Caller, CreateTask, Task
from functions.tasks.planning import plan_completion, plan_create
from functions.tasks.user_settings import ManageSettings, plan_settings

NOW = datetime(2026, 11, 23, 21, 0, tzinfo=UTC)


def webhook(url: str = "https://hooks.example/1", name: str = "Home") -> Registration:
    return Registration(kind="webhook", endpoint=url, name=name)


@pytest.fixture
def devices(database: Database) -> Devices:
    return Devices(database)


@pytest.fixture
def users(database: Database) -> Users:
    return Users(database)


@pytest.fixture
def reminders(database: Database) -> Reminders:
    return Reminders(database)


class TestDevices:
    def test_registered_again_keep_their_id_and_secret(self, devices: Devices, caller: Caller) -> None:
        first = devices.register(caller, webhook(), "s1", NOW)
        again = devices.register(caller, webhook(name="Office"), "s2", NOW + timedelta(days=1))
        assert (first.secret, again.secret) == ("s1", None)
        assert again == first.model_copy(update={"name": "Office", "secret": None})
        assert devices.list(caller) == [again]
        assert devices.get(caller.user_id, first.id)["secret"] == "s1"

    def test_of_a_user_have_an_endpoint_once_however_often_at_once(self, devices: Devices, caller: Caller) -> None:
        with ThreadPoolExecutor(8) as pool:
            made = list(pool.map(lambda n: devices.register(caller, webhook(), f"s{n}", NOW), range(16)))
        assert len({device.id for device in made}) == 1
        assert sum(device.secret is not None for device in made) == 1

    def test_of_two_users_may_have_the_same_endpoint_and_never_meet(self, devices: Devices, caller: Caller) -> None:
        other = Caller(user_id=uuid4(), name="ben")
        mine, theirs = (devices.register(who, webhook(), "s", NOW) for who in (caller, other))
        assert mine.id != theirs.id
        for act in (lambda: devices.remove(caller.user_id, theirs.id), lambda: devices.get(caller.user_id, theirs.id)):
            with pytest.raises(NotFound):
                act()
        assert [device.id for device in devices.list(other)] == [theirs.id]

    def test_of_another_kind_with_the_same_endpoint_are_refused(self, devices: Devices, caller: Caller) -> None:
        devices.register(caller, webhook(), "s", NOW)
        with pytest.raises(AlreadyExists):
            devices.register(caller, Registration(kind="web_push", endpoint=webhook().endpoint, name="x"), None, NOW)

    def test_are_limited_however_many_come_at_once(self, devices: Devices, caller: Caller) -> None:
        def register(number: int) -> bool:
            try:
                devices.register(caller, webhook(f"https://hooks.example/{number}"), "s", NOW)
            except InvalidInput:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(register, range(LIMIT + 10))) == LIMIT
        kept = devices.list(caller)[0]
        assert devices.register(caller, webhook(kept.endpoint, "New"), "s", NOW).id == kept.id

    def test_an_address_unsubscribed_is_no_device_and_no_address_any_more(
        self, devices: Devices, users: Users, caller: Caller
    ) -> None:
        assert caller.email is not None
        for address in (caller.email, "second@example.org"):
            devices.register(caller, Registration(kind="email", endpoint=address, name="x"), None, NOW)
        devices.unsubscribe(caller.user_id, "second@example.org")
        assert [device.endpoint for device in devices.list(caller)] == [caller.email]
        assert users.settings(caller).email_notifications
        for _ in range(2):
            devices.unsubscribe(caller.user_id, caller.email)
        assert devices.list(caller) == []
        assert not users.settings(caller).email_notifications


def change(users: Users, caller: Caller, now: datetime = NOW, **fields: Any) -> Any:
    command = ManageSettings.model_validate(fields)
    return users.change(caller, lambda settings: plan_settings(command, settings), now)


class TestSettings:
    def test_of_a_user_who_never_came_are_the_defaults_and_can_be_set(self, users: Users) -> None:
        caller = Caller(user_id=uuid4(), name="new", email="new@example.org")
        assert users.settings(caller).email == "new@example.org"
        changed = change(
            users, caller, time_zone="Asia/Tokyo", quiet_hours={"start": "22:00", "end": "07:00"}, digest_at="07:30"
        )
        assert users.settings(caller) == changed
        assert changed.model_dump(mode="json") == {
            "email": "new@example.org", "time_zone": "Asia/Tokyo", "email_notifications": True,
            "quiet_hours": {"start": "22:00", "end": "07:00"}, "digest_at": "07:30",
        }  # fmt: skip

    def test_lose_no_field_that_another_command_changes_at_once(self, users: Users, caller: Caller) -> None:
        fields = [
            {"time_zone": "Asia/Tokyo"},
            {"email_notifications": False},
            {"digest_at": "07:30"},
            {"quiet_hours": {"start": "22:00", "end": "07:00"}},
        ]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda values: change(users, caller, **values), fields))
        settings = users.settings(caller)
        assert (settings.time_zone, settings.email_notifications) == ("Asia/Tokyo", False)
        assert settings.digest_at == time(7, 30)
        assert settings.quiet_hours is not None


class Case:
    """A user's task with one reminder that is due at NOW."""

    def __init__(self, database: Database, caller: Caller) -> None:
        self.database, self.caller = database, caller
        self.reminders, self.devices = Reminders(database), Devices(database)
        self.tasks = Tasks(database)

    def task(self, due: datetime = NOW) -> Task:
        command = CreateTask.model_validate({"title": "Water", "due_date": due.isoformat(), "reminder_offset": "PT0S"})
        return self.tasks.add(plan_create(command, time_zone="UTC", now=due - timedelta(seconds=5)), self.caller)

    def claim(self, now: datetime) -> list[DueReminder]:
        """What this user's tick claims."""
        self.reminders.release_expired(now)
        return [r for r in self.reminders.claim_due(now, 10_000) if r.user_id == self.caller.user_id]

    def route(self, claimed: list[DueReminder], now: datetime) -> tuple[list[Delivery], list[Delivery]]:
        wanted = route(claimed, self.reminders.recipients(claimed), now)
        due, unwanted = sort_out(self.reminders.plan_deliveries(wanted, now), wanted, now)
        return sorted(due, key=lambda delivery: list(SEND_TOPICS).index(delivery.channel)), unwanted

    def send(self, deliveries: list[Delivery], now: datetime, status: Any = "sent", reason: str | None = None) -> int:
        return self.reminders.record(self.reminders.begin_attempts(deliveries, now), status, now, "c", reason)

    def status(self, task: Task) -> str:
        (reminder,) = self.tasks.get(self.caller, task.id).reminders
        return reminder.status

    def events(self) -> list[dict[str, Any]]:
        rows = self.database.all(
            "select data from events where user_id = %s and entity_type = 'reminder' order by seq",
            (self.caller.user_id,),
        )
        return [row["data"] for row in rows]


@pytest.fixture
def case(database: Database, caller: Caller) -> Case:
    return Case(database, caller)


class TestDeliveries:
    def test_are_one_a_device_and_settle_the_reminder_when_all_are_made(self, case: Case, devices: Devices) -> None:
        hook = devices.register(case.caller, webhook(), "s", NOW)
        task = case.task()
        due, unwanted = case.route(case.claim(NOW), NOW)
        assert [(d.channel, d.address) for d in due] == [
            ("in_app", ""), ("email", case.caller.email), ("webhook", str(hook.id))
        ]  # fmt: skip
        assert unwanted == []
        assert case.send(due[:2], NOW) == 2
        assert case.status(task) == "pending"
        assert case.send(due[2:], NOW) == 1
        assert case.status(task) == "sent"
        assert case.send(due, NOW) == 0

    def test_go_to_no_device_that_came_after_they_were_planned(self, case: Case, devices: Devices) -> None:
        case.task()
        first, _ = case.route(case.claim(NOW), NOW)
        devices.register(case.caller, webhook(), "s", NOW)
        later = NOW + LEASE
        again, _ = case.route(case.claim(later), later)
        assert [(d.channel, d.address) for d in again] == [(d.channel, d.address) for d in first]

    def test_to_a_device_that_was_removed_meanwhile_end(self, case: Case, devices: Devices) -> None:
        hook = devices.register(case.caller, webhook(), "s", NOW)
        task = case.task()
        due, _ = case.route(case.claim(NOW), NOW)
        case.send([d for d in due if d.channel != "webhook"], NOW)
        devices.remove(case.caller.user_id, hook.id)
        later = NOW + LEASE
        due, unwanted = case.route(case.claim(later), later)
        assert due == []
        assert [d.address for d in unwanted] == [str(hook.id)]
        case.reminders.record(unwanted, "failed", later, "c", "the address was removed, or is off")
        assert case.status(task) == "sent"  # it reached its user elsewhere
        assert case.claim(later + LEASE) == []

    def test_routed_twice_at_once_are_planned_once(self, case: Case) -> None:
        case.task()
        claimed = case.claim(NOW)
        with ThreadPoolExecutor(4) as pool:
            routed = list(pool.map(lambda _: case.route(claimed, NOW)[0], range(8)))
        sent = sum(case.send(due, NOW) for due in routed)
        assert sent == 2

    def test_a_failure_keeps_the_reason_of_its_last_attempt(self, case: Case) -> None:
        task = case.task()
        due, _ = case.route(case.claim(NOW), NOW)
        case.send([due[0]], NOW)
        for reason in ("refused", "450 busy"):
            assert case.reminders.begin_attempts([due[1]], NOW) == [due[1]]
            case.reminders.end_attempt(due[1], reason)
        case.reminders.record([due[1]], "failed", NOW, "c")  # as bury-notification does
        assert [event["reason"] for event in case.events()] == [None, "450 busy"]
        assert case.status(task) == "sent"


class TestQuietHours:
    @pytest.fixture(autouse=True)
    def quiet(self, users: Users, caller: Caller) -> None:
        change(users, caller, quiet_hours={"start": "20:00", "end": "23:00"})

    END = NOW.replace(hour=23)

    def test_hold_email_until_they_end_and_in_app_is_at_once(self, case: Case) -> None:
        task = case.task()
        due, _ = case.route(case.claim(NOW), NOW)
        assert [d.channel for d in due] == ["in_app"]
        case.send(due, NOW)
        assert case.claim(NOW + timedelta(seconds=1)) == []
        once = NOW + LEASE  # routed once more, for all that the claim knows the in-app one was lost
        assert case.route(case.claim(once), once) == ([], [])
        moments = [once + LEASE * n for n in range(1, 200)]
        assert all(case.claim(moment) == [] for moment in moments if moment < self.END)  # not at every lease
        due, _ = case.route(case.claim(self.END), self.END)
        assert [d.channel for d in due] == ["email"]
        case.send(due, self.END + timedelta(seconds=1))
        assert case.status(task) == "sent"  # in time: a minute after the quiet hours is what late means
        event = case.events()[-1]
        assert datetime.fromisoformat(event["held_until"]) == self.END
        assert event["lateness_seconds"] == 1

    def test_hold_a_message_that_comes_all_the_same(self, case: Case) -> None:
        case.task()
        claimed = case.claim(NOW)
        wanted = route(claimed, case.reminders.recipients(claimed), NOW)
        planned = case.reminders.plan_deliveries(wanted, NOW)
        (email,) = [delivery for delivery in planned if delivery.channel == "email"]
        assert case.reminders.begin_attempts([email], NOW) == []
        assert case.reminders.begin_attempts([email], self.END) == [email]

    def test_that_end_early_let_go_what_they_held(self, case: Case, users: Users) -> None:
        case.task()
        case.send(case.route(case.claim(NOW), NOW)[0], NOW)
        case.route(case.claim(NOW + LEASE), NOW + LEASE)
        later = NOW + LEASE + timedelta(seconds=1)
        change(users, case.caller, quiet_hours=None)
        due, _ = case.route(case.claim(later), later)
        assert [(d.channel, d.not_before) for d in due] == [("email", None)]

    def test_end_after_an_unsubscription_and_send_nothing(self, case: Case, devices: Devices) -> None:
        case.task()
        case.send(case.route(case.claim(NOW), NOW)[0], NOW)
        assert case.caller.email is not None
        devices.unsubscribe(case.caller.user_id, case.caller.email)
        due, unwanted = case.route(case.claim(self.END), self.END)
        assert due == []
        assert [d.channel for d in unwanted] == ["email"]


class TestPostponement:
    def test_holds_a_delivery_until_then_and_not_for_ever(self, case: Case) -> None:
        case.task()
        email = case.route(case.claim(NOW), NOW)[0][1]
        now = NOW
        for _ in range(MAX_ATTEMPTS - 1):
            assert case.reminders.begin_attempts([email], now) == [email]
            assert case.reminders.postpone(email, now + timedelta(minutes=5), "429")
            assert case.reminders.begin_attempts([email], now + timedelta(minutes=4)) == []
            now += timedelta(minutes=5)
        assert case.reminders.begin_attempts([email], now) == [email]
        assert not case.reminders.postpone(email, now + timedelta(minutes=5), "429")

    def test_does_not_make_a_late_delivery_one_in_time(self, case: Case) -> None:
        task = case.task()
        in_app, email = case.route(case.claim(NOW), NOW)[0]
        case.send([in_app], NOW)
        case.reminders.begin_attempts([email], NOW)
        case.reminders.postpone(email, NOW + timedelta(minutes=5), "429")
        later = NOW + timedelta(minutes=5)
        due, _ = case.route(case.claim(later), later)
        assert case.send(due, later) == 1
        assert case.status(task) == "late"


class TestRedrive:
    def failed(self, case: Case) -> Task:
        task = case.task()
        in_app, email = case.route(case.claim(NOW), NOW)[0]
        case.send([in_app], NOW)
        case.send([email], NOW, "failed", "550 no such user")
        assert case.status(task) == "sent"
        return task

    def test_sends_again_what_failed_and_that_only_and_once(self, case: Case) -> None:
        task = self.failed(case)
        later = NOW + timedelta(hours=1)
        assert [case.reminders.redrive(case.caller.user_id) for _ in range(2)] == [1, 0]
        due, _ = case.route(case.claim(later), later)
        assert [d.channel for d in due] == ["email"]
        assert case.send(due, later) == 1
        assert case.status(task) == "late"
        assert case.reminders.redrive(case.caller.user_id) == 0
        assert [event["reason"] for event in case.events()] == [None, "550 no such user", None]

    def test_gives_four_attempts_again(self, case: Case) -> None:
        self.failed(case)
        case.reminders.redrive(case.caller.user_id)
        rows = case.database.all(
            "select attempts, attempted_at, reason from deliveries where user_id = %s and channel = 'email'",
            (case.caller.user_id,),
        )
        assert rows == [{"attempts": 0, "attempted_at": None, "reason": None}]

    def test_touches_nobody_elses_and_no_other_reminder(self, case: Case) -> None:
        task = self.failed(case)
        (reminder,) = case.tasks.get(case.caller, task.id).reminders
        assert case.reminders.redrive(uuid4()) == 0
        assert case.reminders.redrive(uuid4(), reminder.id) == 0
        assert case.reminders.redrive(case.caller.user_id, uuid4()) == 0
        assert case.reminders.redrive(case.caller.user_id, reminder.id) == 1

    def test_of_all_is_for_the_operator(self, case: Case) -> None:
        self.failed(case)
        assert case.reminders.redrive() >= 1
        assert case.reminders.redrive() == 0

    def test_leaves_what_nobody_waits_for(self, case: Case, devices: Devices) -> None:
        task = self.failed(case)
        case.tasks.change(
            case.caller, task.id, lambda task: plan_completion(task, completed=True, version=None, now=NOW)
        )
        assert case.reminders.redrive(case.caller.user_id) == 0

    def test_leaves_a_device_that_is_gone(self, case: Case, devices: Devices) -> None:
        hook = devices.register(case.caller, webhook(), "s", NOW)
        case.task()
        due, _ = case.route(case.claim(NOW), NOW)
        case.send(due[:2], NOW)
        case.send(due[2:], NOW, "failed", "410")
        devices.remove(case.caller.user_id, hook.id)
        assert case.reminders.redrive(case.caller.user_id) == 0


class TestDigests:
    @pytest.fixture
    def digests(self, database: Database) -> Digests:
        database.all("delete from digests")
        database.all("update users set digest_at = null, next_digest_at = null")
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
        row = database.one("select next_digest_at from users where user_id = %s", (caller.user_id,))
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
        assert database.one("select status, reason from digests where user_id = %s", (caller.user_id,)) == {
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


def test_the_tick_finds_users_whose_digest_is_due_by_the_partial_index(database: Database) -> None:
    with database.connection() as connection, connection.transaction():
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


def test_recipients_of_many_are_one_query_away(database: Database, caller: Caller, devices: Devices) -> None:
    case = Case(database, caller)
    for _ in range(3):
        case.task()
    devices.register(caller, webhook(), "s", NOW)
    claimed = case.claim(NOW)
    found = case.reminders.recipients(claimed)
    assert len(found) == 3
    assert {type(recipient) for recipient in found.values()} == {Recipient}
    assert all([channel for channel, _ in recipient.devices] == ["webhook"] for recipient in found.values())
    assert all(isinstance(user, UUID) for user, _ in found)
