"""Dead letters sent again."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

from functions.store.devices import Devices
from functions.tasks.models import Task
from functions.tasks.planning import plan_completion
from tests.store.notices import NOW, Case, webhook


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
        assert case.status(task) == "sent"  # in time, in the app
        assert case.reminders.redrive(case.caller.user_id) == 0
        assert [event["reason"] for event in case.events()] == [None, "550 no such user", None]

    def test_gives_four_attempts_again(self, case: Case) -> None:
        self.failed(case)
        case.reminders.redrive(case.caller.user_id)
        rows = case.database.system.all(
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
