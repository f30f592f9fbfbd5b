"""Deliveries that wait: for quiet hours to end, for a receiver that asked; and those that nobody wants any more."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest

from functions.store.devices import Devices
from functions.store.reminders import LEASE, MAX_ATTEMPTS
from functions.store.users import Users
from functions.tasks.delivery import route
from functions.tasks.models import Caller
from tests.store.notices import NOW, Case, change, webhook


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
        task = case.task("email")
        (email,) = case.route(case.claim(NOW), NOW)[0]
        case.reminders.begin_attempts([email], NOW)
        case.reminders.postpone(email, NOW + timedelta(minutes=5), "429")
        later = NOW + timedelta(minutes=5)
        due, _ = case.route(case.claim(later), later)
        assert case.send(due, later) == 1
        assert case.status(task) == "late"
