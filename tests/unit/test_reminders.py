"""Which reminders a task has after each change: none is lost, doubled, or brought back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.tasks.models import Reminder, ReminderSpec, Task
from functions.tasks.reminders import GRACE, cancelled, plan_reminders

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def task(*specs: ReminderSpec, **fields: Any) -> Task:
    """A task that asks for these reminders and has none of them yet."""
    basis = {"id": uuid4(), "title": "a", "due_date": NOW + DAY, "created_at": NOW, "updated_at": NOW}
    return Task.model_validate(basis | {"reminder_specs": specs} | fields)


def planned(on: Task, now: datetime = NOW) -> Task:
    """The task with the reminders that it has from now on."""
    return moved(on, reminders=plan_reminders(on, now))


def moved(on: Task, **fields: Any) -> Task:
    return on.model_copy(update=fields)


def marked(on: Task, status: str) -> Task:
    return moved(on, reminders=[reminder.model_copy(update={"status": status}) for reminder in on.reminders])


def times(on: Task) -> list[datetime]:
    return [reminder.scheduled_time for reminder in on.reminders]


def statuses(on: Task) -> list[str]:
    return [reminder.status for reminder in on.reminders]


OFFSET = ReminderSpec(offset="PT1H")
AT = ReminderSpec(at=NOW + 2 * HOUR)


class TestOfANewTask:
    def test_are_those_asked_for_in_order_of_time(self) -> None:
        new = planned(task(ReminderSpec(offset="PT12H"), AT, reminder_offset="PT1H"))
        assert times(new) == [NOW + 2 * HOUR, NOW + DAY - 12 * HOUR, NOW + DAY - HOUR]
        assert statuses(new) == ["pending"] * 3

    def test_are_each_there_once(self) -> None:
        new = planned(task(OFFSET, OFFSET, AT, AT, reminder_offset="PT1H"))
        assert len(new.reminders) == 2

    def test_are_each_there_once_however_they_are_spelled(self) -> None:
        hours = [ReminderSpec(offset=offset) for offset in ("PT1H", "PT60M", "PT3600S", "PT59M60S")]
        weeks = [ReminderSpec(offset=offset) for offset in ("P7D", "P1W", "PT168H")]
        new = planned(task(*hours, *weeks, reminder_offset="PT60M", due_date=NOW + 30 * DAY))
        assert len(new.reminders) == 3  # PT168H is a week only where no clock is changed

    def test_keep_what_became_of_them_when_they_are_spelled_anew(self) -> None:
        sent = marked(planned(task(OFFSET)), "sent")
        again = planned(moved(sent, reminder_specs=[ReminderSpec(offset="PT60M")]))
        assert [reminder.id for reminder in again.reminders] == [reminder.id for reminder in sent.reminders]

    def test_of_one_time_on_two_channels_are_two(self) -> None:
        new = planned(task(OFFSET, ReminderSpec(offset="PT1H", delivery_channel="email")))
        assert sorted(reminder.delivery_channel for reminder in new.reminders) == ["all", "email"]

    def test_without_a_due_date_are_those_at_an_instant(self) -> None:
        assert times(planned(task(AT, due_date=None))) == [NOW + 2 * HOUR]

    def test_fire_no_storm_when_their_time_has_passed(self) -> None:
        old = planned(task(ReminderSpec(at=NOW - HOUR), due_date=NOW - 30 * DAY, reminder_offset="PT1H"))
        assert statuses(old) == ["cancelled", "cancelled"]

    def test_for_this_very_minute_still_fire(self) -> None:
        new = planned(task(ReminderSpec(at=NOW), ReminderSpec(at=NOW - GRACE + timedelta(seconds=1))))
        assert statuses(new) == ["pending", "pending"]


class TestOfAChangedTask:
    def test_keep_id_and_status_where_they_did_not_move(self) -> None:
        old = planned(task(AT, reminder_offset="PT1H"))
        assert planned(old, NOW + HOUR).reminders == old.reminders

    def test_keep_id_and_status_where_their_time_had_passed(self) -> None:
        old = planned(task(due_date=NOW, reminder_offset="PT1H"))
        assert statuses(old) == ["cancelled"]
        assert planned(old, NOW + HOUR).reminders == old.reminders

    def test_are_new_where_they_moved(self) -> None:
        old = planned(task(AT, reminder_offset="PT1H"))
        new = planned(moved(old, due_date=NOW + 2 * DAY))
        assert times(new) == [NOW + 2 * HOUR, NOW + 2 * DAY - HOUR]
        assert statuses(new) == ["pending", "pending"]
        assert new.reminders[0] == old.reminders[0]
        assert new.reminders[1].id != old.reminders[1].id

    @pytest.mark.parametrize("status", ["sent", "late", "failed"])
    def test_stay_beside_the_new_one_once_delivered(self, status: str) -> None:
        old = marked(planned(task(reminder_offset="PT1H")), status)
        new = planned(moved(old, due_date=NOW + 2 * DAY))
        assert new.reminders[0] == old.reminders[0]
        assert statuses(new) == [status, "pending"]

    @pytest.mark.parametrize("status", ["sent", "late", "failed"])
    def test_are_not_delivered_again_where_they_did_not_move(self, status: str) -> None:
        old = marked(planned(task(AT, reminder_offset="PT1H")), status)
        assert planned(old, NOW + DAY).reminders == old.reminders

    def test_that_are_due_and_not_delivered_yet_are_not_lost(self) -> None:
        """An edit during an outage must not take the late delivery away."""
        old = planned(task(reminder_offset="PT1H"))
        assert planned(old, NOW + 2 * DAY).reminders == old.reminders

    def test_fire_no_storm_when_it_moves_into_the_past(self) -> None:
        old = planned(task(OFFSET, ReminderSpec(offset="P1D"), reminder_offset="PT1H"))
        new = planned(moved(old, due_date=NOW - 7 * DAY))
        assert set(statuses(new)) == {"cancelled"}

    def test_fire_again_when_it_moves_out_of_the_past(self) -> None:
        old = planned(task(due_date=NOW - DAY, reminder_offset="PT1H"))
        new = planned(moved(old, due_date=NOW + DAY))
        assert "pending" in statuses(new)
        assert times(new)[-1] == NOW + DAY - HOUR

    def test_that_are_left_out_are_gone(self) -> None:
        old = planned(task(AT, reminder_offset="PT1H"))
        assert planned(moved(old, reminder_offset=None, reminder_specs=[])).reminders == []

    def test_that_were_sent_and_left_out_do_not_come_back(self) -> None:
        sent = marked(planned(task(OFFSET)), "sent")
        without = planned(moved(sent, reminder_specs=[]))
        later = planned(moved(without, due_date=NOW + 2 * DAY))
        assert "pending" not in statuses(later)

    def test_of_an_offset_that_was_sent_and_taken_away_do_not_come_back(self) -> None:
        sent = marked(planned(task(reminder_offset="PT1H")), "sent")
        without = planned(moved(sent, reminder_offset=None))
        later = planned(moved(without, due_date=NOW + 2 * DAY))
        assert "pending" not in statuses(later)

    def test_of_an_offset_that_was_sent_and_replaced_do_not_come_back(self) -> None:
        sent = marked(planned(task(reminder_offset="PT1H")), "sent")
        other = planned(moved(sent, reminder_offset="PT2H"))
        later = planned(moved(other, due_date=NOW + 2 * DAY))
        assert [r.scheduled_time for r in later.reminders if r.status == "pending"] == [NOW + 2 * DAY - 2 * HOUR]


class TestOfACompletedTask:
    def test_are_cancelled_with_their_ids(self) -> None:
        old = planned(task(AT, reminder_offset="PT1H"))
        done = planned(moved(old, status="completed"))
        assert statuses(done) == ["cancelled", "cancelled"]
        assert [r.id for r in done.reminders] == [r.id for r in old.reminders]

    def test_stay_sent_where_they_were(self) -> None:
        old = marked(planned(task(reminder_offset="PT1H")), "sent")
        assert statuses(planned(moved(old, status="completed"))) == ["sent"]

    def test_are_pending_again_once_it_is_reopened(self) -> None:
        old = planned(task(AT, reminder_offset="PT1H"))
        done = planned(moved(old, status="completed"))
        again = planned(moved(done, status="open"))
        assert times(again) == times(old)
        assert statuses(again) == ["pending", "pending"]

    def test_fire_no_storm_once_it_is_reopened_late(self) -> None:
        old = planned(task(AT, reminder_offset="PT1H"))
        done = planned(moved(old, status="completed"))
        again = planned(moved(done, status="open"), NOW + 7 * DAY)
        assert statuses(again) == ["cancelled", "cancelled"]

    def test_planned_on_it_are_cancelled(self) -> None:
        assert statuses(planned(task(OFFSET, status="completed"))) == ["cancelled"]


def test_cancelling_leaves_what_was_delivered() -> None:
    each = [
        Reminder(id=uuid4(), offset="PT1H", scheduled_time=NOW, status=status)
        for status in ("pending", "sent", "late", "cancelled", "failed")
    ]
    assert [r.status for r in cancelled(each)] == ["cancelled", "sent", "late", "cancelled", "failed"]
    assert [r.id for r in cancelled(each)] == [r.id for r in each]


SPECS = st.lists(
    st.builds(
        ReminderSpec,
        offset=st.sampled_from(["PT0S", "PT1H", "P1D", "P1W"]),
        delivery_channel=st.sampled_from(["all", "email", "in_app"]),
    )
    | st.builds(ReminderSpec, at=st.integers(-300, 300).map(lambda hours: NOW + hours * HOUR)),
    max_size=5,
)
TASKS = st.builds(
    lambda specs, **fields: task(*specs, **fields),
    SPECS,
    due_date=st.none() | st.integers(-300, 300).map(lambda hours: NOW + hours * HOUR),
    time_zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]),
)


class TestAlways:
    @given(TASKS)
    def test_one_is_pending_only_if_its_time_is_to_come(self, on: Task) -> None:
        for reminder in planned(on).reminders:
            assert reminder.status == ("pending" if reminder.scheduled_time > NOW - GRACE else "cancelled")
            assert reminder.scheduled_time == on.scheduled_time(reminder)

    @given(TASKS)
    def test_there_is_one_for_each_that_was_asked_for_and_has_a_time(self, on: Task) -> None:
        asked = [s for s in on.reminder_specs if on.scheduled_time(s) is not None]
        wanted = {(s.offset, s.at, s.delivery_channel) for s in asked}
        new = planned(on)
        assert {(r.offset, r.at, r.delivery_channel) for r in new.reminders} == wanted
        assert len(new.reminders) == len(wanted) == len({r.id for r in new.reminders})

    @given(TASKS)
    def test_planning_again_changes_nothing(self, on: Task) -> None:
        once = planned(on)
        assert planned(once).reminders == once.reminders

    @given(TASKS, st.integers(-300, 300))
    def test_moving_there_and_back_has_the_times_of_before(self, on: Task, hours: int) -> None:
        once = planned(on)
        if once.due_date is None:
            return
        away = planned(moved(once, due_date=NOW + hours * HOUR))
        back = planned(moved(away, due_date=once.due_date))
        assert times(back) == times(once)
        assert statuses(back) == statuses(once)
