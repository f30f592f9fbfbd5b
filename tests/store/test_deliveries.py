"""Deliveries: planned once, attempted by one, recorded once, and their reminder settled by the last of them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal
from uuid import uuid4

import pytest

from functions.store.reminders import LEASE
from functions.tasks.delivery import Recipient, route
from functions.tasks.devices import Registration
from functions.tasks.events import Delivery, DueReminder
from functions.tasks.models import Caller
from functions.tasks.user_settings import UserSettings
from tests.store.world import HOUR, NOW, SECOND, World, chunks, together

LATE = timedelta(minutes=1)
"""A delivery later than this is marked late."""


@pytest.fixture
def ann(world: World) -> Caller:
    return world.user("ann@example.com")


@pytest.fixture(autouse=True)
def _no_others(world: World) -> None:
    """Claims look across users: each test has its own reminders only."""
    world.rows("delete from reminders")


@pytest.fixture
def _no_second_try(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL ends one of two that wait for each other; the store would hide that by trying again."""
    monkeypatch.setattr("functions.store.database.ATTEMPTS", 1)


def due(world: World, caller: Caller, count: int = 1, **fields: Any) -> list[DueReminder]:
    """Claimed reminders of one task, due a second apart until now."""
    asked = [{"at": (NOW - number * SECOND).isoformat()} for number in range(count)]
    world.add(caller, title="Water", reminders=asked, **fields)
    return world.reminders.claim_due(NOW, 1000)


def planned(world: World, reminders: list[DueReminder]) -> list[Delivery]:
    return world.reminders.plan_deliveries(route(reminders, world.reminders.recipients(reminders), NOW), NOW)


def by_channel(deliveries: Sequence[Delivery]) -> tuple[Delivery, Delivery]:
    """The in-app one and the one by email."""
    found = {delivery.channel: delivery for delivery in deliveries}
    return found["in_app"], found["email"]


def record(
    world: World, deliveries: Sequence[Delivery], status: Literal["sent", "failed"] = "sent", late: timedelta = SECOND
) -> int:
    return world.reminders.record(list(deliveries), status, NOW + late, "c-1", None if status == "sent" else "refused")


def statuses(world: World) -> list[str]:
    return [row["status"] for row in world.rows("select status from reminders order by scheduled_time")]


class TestRecipients:
    def test_are_those_of_pending_reminders_and_their_own_users(self, world: World, ann: Caller) -> None:
        ben = world.user()
        (mine,) = due(world, ann)
        (his,) = due(world, ben)
        world.devices.register(ann, Registration(kind="email", endpoint="a@x.org", name="x"), None, NOW)
        hook = world.devices.register(ann, Registration(kind="webhook", endpoint="https://x.org", name="x"), "s", NOW)
        found = world.reminders.recipients([mine, his])
        devices = sorted(found[ann.user_id, mine.reminder_id].devices)
        assert devices == [("email", "a@x.org"), ("webhook", str(hook.id))]
        assert found[ann.user_id, mine.reminder_id].settings == UserSettings(email="ann@example.com")
        assert found[ben.user_id, his.reminder_id] == Recipient(UserSettings(), [])
        assert len(found) == 2

    def test_leave_out_what_was_settled_meanwhile(self, world: World, ann: Caller) -> None:
        reminders = due(world, ann, 2)
        world.rows("update reminders set status = 'cancelled' where reminder_id = %s", reminders[0].reminder_id)
        assert world.reminders.recipients(reminders).keys() == {(ann.user_id, reminders[1].reminder_id)}


class TestPlan:
    def test_is_one_for_each_channel(self, world: World, ann: Caller) -> None:
        deliveries = planned(world, due(world, ann))
        assert {(delivery.channel, delivery.address) for delivery in deliveries} == {
            ("in_app", ""),
            ("email", "ann@example.com"),
        }
        assert world.value("select count(*) from deliveries where user_id = %s", ann.user_id) == 2

    def test_again_is_the_same_while_nothing_was_delivered(self, world: World, ann: Caller) -> None:
        """The message that told of it may have been lost."""
        reminders = due(world, ann)
        assert planned(world, reminders) == planned(world, reminders)
        assert world.value("select count(*) from deliveries where user_id = %s", ann.user_id) == 2

    def test_leaves_out_what_was_delivered(self, world: World, ann: Caller) -> None:
        reminders = due(world, ann)
        in_app, email = by_channel(planned(world, reminders))
        record(world, [in_app])
        assert planned(world, reminders) == [email]

    def test_takes_one_that_is_named_twice_once(self, world: World, ann: Caller) -> None:
        reminders = due(world, ann)
        planned(world, reminders * 2)
        assert world.value("select count(*) from deliveries where user_id = %s", ann.user_id) == 2

    def test_by_many_at_once_is_once(self, world: World, ann: Caller) -> None:
        reminders = due(world, ann, 20)
        together(lambda number: planned(world, reminders if number % 2 else reminders[::-1]), 8)
        assert world.value("select count(*) from deliveries where user_id = %s", ann.user_id) == 40

    def test_of_nothing_is_nothing(self, world: World) -> None:
        assert world.reminders.plan_deliveries([], NOW) == []


class TestAttempt:
    def test_is_by_one_at_a_time(self, world: World, ann: Caller) -> None:
        deliveries = planned(world, due(world, ann, 10))
        shares = together(lambda _: world.reminders.begin_attempts(deliveries, NOW), 4)
        begun = [(one.reminder_id, one.channel) for share in shares for one in share]
        assert len(begun) == len(set(begun)) == 20

    def test_may_begin_at_once_after_a_failed_one(self, world: World, ann: Caller) -> None:
        _, email = by_channel(planned(world, due(world, ann)))
        assert world.reminders.begin_attempts([email], NOW) == [email]
        world.reminders.end_attempt(email, "the server said no")
        assert world.reminders.begin_attempts([email], NOW) == [email]
        assert world.rows(
            "select attempts, reason from deliveries where channel = 'email' and user_id = %s", ann.user_id
        ) == [{"attempts": 2, "reason": "the server said no"}]

    def test_may_begin_again_when_its_lease_ended(self, world: World, ann: Caller) -> None:
        """Whoever attempted it is gone."""
        _, email = by_channel(planned(world, due(world, ann)))
        world.reminders.begin_attempts([email], NOW)
        assert world.reminders.begin_attempts([email], NOW + LEASE - SECOND) == []
        assert world.reminders.begin_attempts([email], NOW + LEASE) == [email]

    def test_may_begin_again_at_a_start_with_a_broker_that_forgot(self, world: World, ann: Caller) -> None:
        _, email = by_channel(planned(world, due(world, ann)))
        world.reminders.begin_attempts([email], NOW)
        world.reminders.forget_claims()
        assert world.reminders.begin_attempts([email], NOW) == [email]

    @pytest.mark.parametrize("status", ["sent", "failed"])
    def test_does_not_begin_once_it_is_settled(
        self, world: World, ann: Caller, status: Literal["sent", "failed"]
    ) -> None:
        deliveries = planned(world, due(world, ann))
        record(world, deliveries, status)
        assert world.reminders.begin_attempts(deliveries, NOW + HOUR) == []

    def test_does_not_begin_once_the_reminder_is_cancelled(self, world: World, ann: Caller) -> None:
        reminders = due(world, ann)
        deliveries = planned(world, reminders)
        world.complete(ann, reminders[0].task_id)
        assert world.reminders.begin_attempts(deliveries, NOW) == []


class TestRecord:
    def test_is_once_with_one_event(self, world: World, ann: Caller) -> None:
        in_app, _ = by_channel(planned(world, due(world, ann)))
        assert [record(world, [in_app]) for _ in range(3)] == [1, 0, 0]
        (event,) = [event for event in world.changes(ann) if event.entity_type == "reminder"]
        assert (event.type, event.entity_id, event.correlation_id) == ("reminder.sent", in_app.reminder_id, "c-1")
        assert event.occurred_at == NOW + SECOND
        assert event.data["task_id"] == str(in_app.task_id)
        assert (event.data["title"], event.data["channel"]) == ("Water", "in_app")
        assert event.data["lateness_seconds"] == 1.0
        assert event.data["delivered_at"] is not None

    def test_wakes_the_publisher(self, world: World, ann: Caller) -> None:
        deliveries = planned(world, due(world, ann))
        woken: list[Any] = []
        world.database.on_change = woken.extend
        record(world, deliveries)
        world.database.on_change = lambda users: None
        assert woken == [ann.user_id]

    def test_settles_the_reminder_with_the_last_delivery(self, world: World, ann: Caller) -> None:
        in_app, email = by_channel(planned(world, due(world, ann)))
        record(world, [in_app])
        assert statuses(world) == ["pending"]
        record(world, [email])
        assert statuses(world) == ["sent"]

    @pytest.mark.parametrize(
        ("outcomes", "late", "status"),
        [
            (("sent", "sent"), LATE, "sent"),
            (("sent", "sent"), LATE + SECOND, "late"),
            (("sent", "failed"), SECOND, "sent"),
            (("failed", "sent"), SECOND, "sent"),
            (("failed", "failed"), SECOND, "failed"),
            (("failed", "failed"), LATE + SECOND, "failed"),
        ],
    )
    def test_settles_it_by_what_became_of_all(
        self,
        world: World,
        ann: Caller,
        outcomes: tuple[Literal["sent", "failed"], Literal["sent", "failed"]],
        late: timedelta,
        status: str,
    ) -> None:
        for delivery, outcome in zip(by_channel(planned(world, due(world, ann))), outcomes, strict=True):
            record(world, [delivery], outcome, late)
        assert statuses(world) == [status]

    def test_says_that_one_was_on_time_though_another_channel_failed_late(self, world: World, ann: Caller) -> None:
        in_app, email = by_channel(planned(world, due(world, ann)))
        record(world, [in_app], "sent", SECOND)
        record(world, [email], "failed", LATE + HOUR)
        assert statuses(world) == ["sent"]

    def test_keeps_why_it_failed(self, world: World, ann: Caller) -> None:
        _, email = by_channel(planned(world, due(world, ann)))
        record(world, [email], "failed")
        event = world.changes(ann)[-1]
        assert (event.type, event.data["reason"], event.data["delivered_at"]) == ("reminder.failed", "refused", None)
        row = world.rows(
            "select status, reason, delivered_at from deliveries where channel = 'email' and user_id = %s", ann.user_id
        )
        assert row == [{"status": "failed", "reason": "refused", "delivered_at": None}]

    def test_of_what_was_sent_is_not_undone_by_a_failure(self, world: World, ann: Caller) -> None:
        deliveries = planned(world, due(world, ann))
        record(world, deliveries)
        assert record(world, deliveries, "failed") == 0
        assert statuses(world) == ["sent"]

    def test_leaves_a_cancelled_reminder_cancelled(self, world: World, ann: Caller) -> None:
        reminders = due(world, ann)
        deliveries = planned(world, reminders)
        world.complete(ann, reminders[0].task_id)
        record(world, deliveries)
        assert statuses(world) == ["cancelled"]

    def test_of_what_was_never_planned_is_nothing(self, world: World, ann: Caller) -> None:
        (reminder,) = due(world, ann)
        stranger = Delivery(**dict(reminder), channel="email", address="eve@example.com")
        assert record(world, [stranger]) == 0
        assert record(world, [stranger.model_copy(update={"reminder_id": uuid4()})]) == 0
        assert world.types(ann) == ["task.created"]

    @pytest.mark.usefixtures("_no_second_try")
    def test_in_overlapping_batches_at_once_is_once_and_never_a_deadlock(self, world: World) -> None:
        callers = [world.user("ann@example.com") for _ in range(12)]
        reminders = [reminder for caller in callers for reminder in due(world, caller, 10)]
        deliveries = planned(world, reminders)
        assert len(deliveries) == 240

        def shuffled(number: int) -> int:
            mine = list(deliveries)
            random.Random(number).shuffle(mine)
            return sum(record(world, batch) for batch in chunks(mine, 40))

        assert sum(together(shuffled, 8)) == 240
        assert set(statuses(world)) == {"sent"}
        for caller in callers:
            changes = world.changes(caller)
            assert [event.seq for event in changes] == list(range(1, 22))
            assert [event.type for event in changes[1:]] == ["reminder.sent"] * 20

    @pytest.mark.usefixtures("_no_second_try")
    def test_while_tasks_are_changed_is_never_a_deadlock(self, world: World) -> None:
        callers = [world.user("ann@example.com") for _ in range(4)]
        reminders = [reminder for caller in callers for reminder in due(world, caller, 15)]
        deliveries = planned(world, reminders)
        tasks = {reminder.user_id: reminder.task_id for reminder in reminders}

        def work(number: int) -> None:
            if number % 2:
                for batch in chunks(deliveries if number % 4 == 1 else deliveries[::-1], 10):
                    record(world, batch)
            else:
                for turn in range(10):
                    caller = callers[(number // 2 + turn) % 4]
                    world.update(caller, tasks[caller.user_id], title=f"{number}/{turn}", reminders=[])

        together(work, 8)
        for caller in callers:
            changes = world.changes(caller)
            assert [event.seq for event in changes] == list(range(1, len(changes) + 1))
            told = [(event.entity_id, event.data["channel"]) for event in changes if event.type == "reminder.sent"]
            assert len(told) == len(set(told))


def test_a_reminder_that_is_claimed_again_is_delivered_once(world: World, ann: Caller) -> None:
    """The whole way twice, as after a kill at any point."""
    reminders = due(world, ann)
    record(world, planned(world, reminders))
    world.reminders.release_expired(NOW + 2 * LEASE)
    assert world.reminders.claim_due(NOW + 2 * LEASE, 10) == []
    assert planned(world, reminders) == []
    assert world.types(ann).count("reminder.sent") == 2  # one a channel
