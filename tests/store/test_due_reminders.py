"""Claiming reminders: each that is due by one claim, and again only when whoever had it is gone."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

import pytest

from functions.due_reminders import due_reminders
from functions.runtime.sidecar import Sidecar
from functions.store.reminders import LEASE
from functions.tasks.errors import Unavailable
from functions.tasks.models import Caller
from tests.store.world import DAY, HOUR, NOW, SECOND, World, together


@pytest.fixture(autouse=True)
def _no_others(world: World) -> None:
    """Claims look across users: each test has its own reminders only."""
    world.rows("delete from reminders")


def at(world: World, caller: Caller, *moments: datetime, channel: str = "all") -> list[UUID]:
    """A task with a reminder at each of these moments; their ids in this order."""
    asked = [{"at": moment.isoformat(), "delivery_channel": channel} for moment in moments]
    task = world.add(caller, min(moments), title="Water", reminders=asked)
    ids = {reminder.scheduled_time: reminder.id for reminder in task.reminders}
    return [ids[moment] for moment in moments]


def many(world: World, count: int) -> None:
    """So many reminders of ten users, one each second up to now."""
    for _ in range(10):
        caller = world.user()
        task = world.add(caller)
        world.rows(
            "insert into reminders (user_id, reminder_id, task_id, at, scheduled_time, delivery_channel, status)"
            " select %s, gen_random_uuid(), %s, t, t, 'all', 'pending'"
            " from generate_series(1, %s) as n, lateral (select %s - n * interval '1 second' as t)",
            caller.user_id,
            task.id,
            count // 10,
            NOW,
        )


def claimed(world: World, now: datetime, limit: int = 1000) -> list[UUID]:
    return [reminder.reminder_id for reminder in world.reminders.claim_due(now, limit)]


class TestClaim:
    def test_takes_what_is_due_and_nothing_else(self, world: World) -> None:
        caller = world.user()
        past, now, _soon = at(world, caller, NOW - DAY, NOW, NOW + timedelta(milliseconds=1))
        assert set(claimed(world, NOW)) == {past, now}

    def test_is_once(self, world: World) -> None:
        (one,) = at(world, world.user(), NOW)
        assert claimed(world, NOW) == [one]
        assert claimed(world, NOW + SECOND) == []

    def test_says_what_a_notification_needs(self, world: World) -> None:
        caller = world.user()
        task = world.add(
            caller,
            title="Water",
            due_date="2026-11-23T12:00:00+01:00",
            time_zone="Europe/Berlin",
            reminder_offset="PT2H",
        )
        (due,) = world.reminders.claim_due(NOW, 10)
        assert (due.user_id, due.task_id, due.reminder_id) == (caller.user_id, task.id, task.reminders[0].id)
        assert (due.title, due.time_zone, due.scheduled_time) == ("Water", "Europe/Berlin", NOW)
        assert due.due_date is not None
        assert datetime.fromisoformat(due.due_date) == task.due_date
        assert due.delivery_channel == "all"

    def test_says_the_day_of_an_all_day_task_and_the_channel(self, world: World) -> None:
        world.add(
            world.user(),
            due_date="2026-11-24",
            reminders=[{"offset": "PT15H", "delivery_channel": "email"}],
        )
        (due,) = world.reminders.claim_due(NOW, 10)
        assert (due.due_date, due.delivery_channel) == ("2026-11-24", "email")

    def test_takes_the_earliest_first(self, world: World) -> None:
        first, second, third = at(world, world.user(), NOW - 3 * HOUR, NOW - 2 * HOUR, NOW - HOUR)
        assert set(claimed(world, NOW, limit=2)) == {first, second}
        assert claimed(world, NOW, limit=2) == [third]

    @pytest.mark.parametrize("status", ["sent", "late", "failed", "cancelled"])
    def test_leaves_what_is_settled(self, world: World, status: str) -> None:
        at(world, world.user(), NOW)
        world.rows("update reminders set status = %s", status)
        assert claimed(world, NOW) == []

    @pytest.mark.parametrize("end", ["complete", "delete"])
    def test_leaves_those_of_a_task_that_ended(self, world: World, end: str) -> None:
        caller = world.user()
        task = world.add(caller, reminders=[{"at": (NOW + HOUR).isoformat()}])
        getattr(world, end)(caller, task.id)
        assert claimed(world, NOW + DAY) == []

    def test_by_four_at_once_is_once_for_each_of_5000(self, world: World) -> None:
        many(world, 5000)

        def drain(_: int) -> list[UUID]:
            found: list[UUID] = []
            while batch := claimed(world, NOW, limit=250):
                found += batch
            return found

        shares = together(drain, 4)
        counts = Counter(one for share in shares for one in share)
        assert len(counts) == 5000
        assert set(counts.values()) == {1}
        assert sum(1 for share in shares if share) > 1, "they did work at once"


class TestLease:
    def test_keeps_a_claim_until_it_ends(self, world: World) -> None:
        at(world, world.user(), NOW)
        claimed(world, NOW)
        world.reminders.release_expired(NOW + LEASE - SECOND)
        assert claimed(world, NOW + LEASE - SECOND) == []

    def test_gives_what_was_not_delivered_to_another_claim(self, world: World) -> None:
        (one,) = at(world, world.user(), NOW)
        claimed(world, NOW)
        later = NOW + LEASE + SECOND
        world.reminders.release_expired(later)
        assert claimed(world, later) == [one]
        assert claimed(world, later) == []

    def test_does_not_give_what_was_delivered(self, world: World) -> None:
        at(world, world.user(), NOW)
        claimed(world, NOW)
        world.rows("update reminders set status = 'sent'")
        world.reminders.release_expired(NOW + DAY)
        assert claimed(world, NOW + DAY) == []

    def test_by_four_at_once_that_release_too_is_once(self, world: World) -> None:
        many(world, 1000)
        together(lambda _: claimed(world, NOW, limit=500), 2)
        later = NOW + 2 * LEASE

        def release_and_drain(_: int) -> list[UUID]:
            found: list[UUID] = []
            world.reminders.release_expired(later)
            while batch := claimed(world, later, limit=100):
                found += batch
            return found

        counts = Counter(one for share in together(release_and_drain, 4) for one in share)
        assert len(counts) == 1000
        assert set(counts.values()) == {1}

    def test_is_given_up_where_it_could_not_be_published(self, world: World) -> None:
        one, _ = at(world, world.user(), NOW, NOW - SECOND)
        both = world.reminders.claim_due(NOW, 10)
        world.reminders.release([reminder for reminder in both if reminder.reminder_id == one])
        assert claimed(world, NOW + SECOND) == [one]

    def test_of_what_was_delivered_is_not_given_up(self, world: World) -> None:
        at(world, world.user(), NOW)
        claims = world.reminders.claim_due(NOW, 10)
        world.rows("update reminders set status = 'sent'")
        world.reminders.release(claims)
        assert claimed(world, NOW + SECOND) == []

    def test_is_given_up_by_a_start_with_a_broker_that_forgot(self, world: World) -> None:
        (one,) = at(world, world.user(), NOW)
        claimed(world, NOW)
        world.reminders.forget_claims()
        assert claimed(world, NOW + SECOND) == [one]


def test_a_tick_that_cannot_publish_leaves_its_reminders_to_the_next(world: World) -> None:
    """Not to the end of the lease, a minute later."""

    class Broken:
        def send(self, topic: str, events: object) -> None:
            raise Unavailable("the broker does not answer")

    (one,) = at(world, world.user(), NOW)
    with pytest.raises(Unavailable):
        due_reminders(world.reminders, cast(Sidecar, Broken()), NOW + SECOND)
    assert claimed(world, NOW + SECOND) == [one]


class TestNextDue:
    def test_is_the_earliest_that_is_to_come(self, world: World) -> None:
        at(world, world.user(), NOW + 300 * SECOND / 1000, NOW + 900 * SECOND / 1000)
        assert world.reminders.next_due(NOW + SECOND) == NOW + 300 * SECOND / 1000

    def test_is_none_before_the_time_asked_for(self, world: World) -> None:
        at(world, world.user(), NOW + 2 * SECOND)
        assert world.reminders.next_due(NOW + 2 * SECOND) is None

    def test_is_none_of_what_is_claimed_or_settled(self, world: World) -> None:
        at(world, world.user(), NOW)
        claimed(world, NOW)
        at(world, world.user(), NOW)
        world.rows("update reminders set status = 'cancelled' where claimed_at is null")
        assert world.reminders.next_due(NOW + DAY) is None
