"""Snoozing and cancelling one reminder: what fires, when, and what later changes of the task make of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from functions.tasks.errors import InvalidInput, NotFound
from functions.tasks.events import ChangeEvent, details_of, topic_of
from functions.tasks.models import CompleteTask, CreateTask, Reminder, Task, UpdateTask
from functions.tasks.planning import Change, plan_completion, plan_create, plan_next, plan_skip, plan_update
from functions.tasks.reminders import GRACE
from functions.tasks.snooze import ManageReminders, check, latest, plan_cancel, plan_snooze

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def new(**fields: Any) -> Task:
    """Due tomorrow at nine, with a reminder an hour before."""
    given = {"title": "a", "due_date": NOW + DAY, "reminder_offset": "PT1H"}
    return plan_create(CreateTask.model_validate(given | fields), time_zone="UTC", now=NOW).task


def edit(task: Task, *, now: datetime = NOW, **fields: Any) -> Task:
    return changed(plan_update(UpdateTask.model_validate({"task_id": task.id} | fields), task, now=now))


def marked(task: Task, status: str) -> Task:
    """The task once its pending reminders were settled so."""
    reminders = [r.model_copy(update={"status": status}) if r.status == "pending" else r for r in task.reminders]
    return task.model_copy(update={"reminders": reminders})


def snooze(task: Task, until: datetime, *, reminder: UUID | None = None, now: datetime = NOW) -> Change | None:
    return plan_snooze(task, reminder or task.reminders[0].id, until=until, now=now)


def cancel(task: Task, *, reminder: UUID | None = None, now: datetime = NOW) -> Change | None:
    return plan_cancel(task, reminder or task.reminders[0].id, now=now)


def changed(change: Change | None) -> Task:
    assert change is not None
    return change.task


def completed(task: Task, now: datetime = NOW) -> Task:
    return changed(plan_completion(task, completed=True, version=None, now=now))


def reopened(task: Task, now: datetime = NOW) -> Task:
    return changed(plan_completion(task, completed=False, version=None, now=now))


def pending(task: Task) -> list[datetime]:
    return [reminder.scheduled_time for reminder in task.reminders if reminder.status == "pending"]


SOON = NOW + 10 * MINUTE
LATER = NOW + 2 * HOUR


class TestSnooze:
    def test_of_a_pending_one_moves_it(self) -> None:
        task = new()
        change = snooze(task, LATER)
        assert change is not None
        assert (change.event_type, change.expected_version, change.task.version) == ("reminder.snoozed", 1, 2)
        assert pending(change.task) == [LATER]
        assert change.reminder is not None
        assert change.reminder.snoozed_from == task.reminders[0].id

    @pytest.mark.parametrize("status", ["sent", "late", "failed"])
    def test_of_a_settled_one_fires_again(self, status: str) -> None:
        task = marked(new(), status)
        after = changed(snooze(task, LATER))
        assert {(r.scheduled_time, r.status) for r in after.reminders} == {
            (NOW + DAY - HOUR, status),
            (LATER, "pending"),
        }

    def test_is_another_reminder_so_that_it_is_delivered_on_every_channel_again(self) -> None:
        task = new()
        after = changed(snooze(task, LATER))
        assert latest(after, task.reminders[0].id).id != task.reminders[0].id

    def test_of_one_that_was_cancelled_fires_after_all(self) -> None:
        past = new(due_date=NOW - DAY)
        assert pending(past) == []
        assert pending(changed(snooze(past, LATER))) == [LATER]
        assert pending(changed(snooze(changed(cancel(new())), LATER))) == [LATER]

    @pytest.mark.parametrize("again", ["first", "copy"])
    def test_twice_is_pending_once(self, again: str) -> None:
        """By the id of the reminder that fired, or of its snoozed copy: as two devices would name it."""
        task = new()
        once = changed(snooze(task, SOON))
        names = {"first": task.reminders[0].id, "copy": latest(once, task.reminders[0].id).id}
        twice = changed(snooze(once, LATER, reminder=names[again]))
        assert pending(twice) == [LATER]
        assert pending(edit(twice, title="b")) == [LATER]
        assert pending(reopened(completed(twice))) == [LATER]

    def test_to_the_same_time_is_done_already(self) -> None:
        task = new()
        once = changed(snooze(task, LATER))
        assert snooze(once, LATER, reminder=task.reminders[0].id) is None

    def test_of_a_snoozed_one_that_fired_fires_again(self) -> None:
        task = new()
        fired = marked(changed(snooze(task, SOON)), "sent")
        after = changed(snooze(fired, LATER, reminder=latest(fired, task.reminders[0].id).id, now=SOON))
        assert pending(after) == [LATER]
        assert [r.status for r in after.reminders].count("sent") == 1

    def test_is_refused_for_a_completed_task_and_an_unknown_reminder(self) -> None:
        with pytest.raises(InvalidInput, match="completed"):
            snooze(completed(new()), LATER)
        with pytest.raises(NotFound):
            snooze(new(), LATER, reminder=uuid4())


class TestASnoozedOne:
    @pytest.mark.parametrize(
        "fields",
        [
            {"title": "b"},
            {"priority": "high", "tags": ["home"]},
            {"due_date": NOW + 5 * DAY},
            {"due_date": NOW - DAY},
            {"time_zone": "Europe/Berlin"},
            {"reminders": [{"offset": "PT5M"}]},
        ],
    )
    def test_outlives_edits_of_the_task(self, fields: dict[str, Any]) -> None:
        task = changed(snooze(new(), LATER))
        copy = latest(task, task.reminders[0].id)
        assert copy in edit(task, **fields).reminders

    def test_stays_away_from_its_first_time(self) -> None:
        """However often its task is edited, the reminder that was put off does not fire as well."""
        task = changed(snooze(new(), LATER))
        for number in range(3):
            task = edit(task, title=f"b{number}")
        assert pending(task) == [LATER]

    def test_leaves_room_for_the_one_of_another_due_date(self) -> None:
        task = changed(snooze(new(), LATER))
        assert pending(edit(task, due_date=NOW + 5 * DAY)) == [LATER, NOW + 5 * DAY - HOUR]

    def test_goes_with_what_it_repeats(self) -> None:
        task = changed(snooze(new(), LATER))
        assert pending(edit(task, reminder_offset=None)) == []
        assert pending(edit(task, reminder_offset="PT2H")) == [NOW + DAY - 2 * HOUR]

    def test_of_an_instant_is_kept_too(self) -> None:
        task = new(reminder_offset=None, reminders=[{"at": SOON}])
        after = edit(changed(snooze(task, LATER)), title="b")
        assert pending(after) == [LATER]

    def test_is_cancelled_on_completion_and_back_on_reopening(self) -> None:
        task = changed(snooze(new(), LATER))
        assert pending(completed(task)) == []
        assert pending(reopened(completed(task))) == [LATER]

    def test_fires_no_storm_once_reopened_late(self) -> None:
        task = completed(changed(snooze(new(), LATER)))
        again = reopened(task, NOW + 30 * DAY)
        assert pending(again) == []
        assert pending(edit(again, title="b", now=NOW + 30 * DAY)) == []

    def test_is_of_its_occurrence_only(self) -> None:
        task = changed(snooze(new(recurrence={"type": "daily"}), LATER))
        skipped = changed(plan_skip(CompleteTask(task_id=task.id, action="skip"), task, now=NOW))
        following = changed(plan_next(completed(task), now=NOW))
        for after in (skipped, following):
            assert pending(after) == [NOW + 2 * DAY - HOUR]
            assert [reminder.snoozed_from for reminder in after.reminders] == [None]


class TestCancel:
    def test_cancels_it(self) -> None:
        change = cancel(new())
        assert change is not None
        assert (change.event_type, change.task.version) == ("reminder.cancelled", 2)
        assert [r.status for r in change.task.reminders] == ["cancelled"]

    def test_is_done_already_the_second_time(self) -> None:
        assert cancel(changed(cancel(new()))) is None

    @pytest.mark.parametrize(
        "fields",
        [
            {"due_date": NOW + 5 * DAY},
            {"due_date": NOW + 5 * DAY, "title": "b", "reminders": [{"offset": "PT5M"}]},
            {"due_date": "2026-12-01"},
            {"time_zone": "Asia/Tokyo", "due_date": "2026-12-01"},
        ],
    )
    def test_holds_wherever_the_task_moves(self, fields: dict[str, Any]) -> None:
        task = edit(changed(cancel(new())), **fields)
        assert [r.status for r in task.reminders if r.offset == "PT1H"] == ["cancelled"]
        back = edit(task, due_date=NOW + 2 * DAY)
        assert [r.status for r in back.reminders if r.offset == "PT1H"] == ["cancelled"]

    def test_holds_when_the_task_is_reopened(self) -> None:
        assert pending(reopened(completed(changed(cancel(new()))))) == []

    def test_of_one_leaves_the_others(self) -> None:
        task = new(reminders=[{"offset": "PT10M"}])
        after = edit(changed(cancel(task)), due_date=NOW + 5 * DAY)
        assert pending(after) == [NOW + 5 * DAY - 10 * MINUTE]

    def test_ends_when_it_is_taken_away_and_asked_for_again(self) -> None:
        without = edit(changed(cancel(new())), reminder_offset=None)
        assert pending(edit(without, reminder_offset="PT1H")) == [NOW + DAY - HOUR]

    def test_is_of_its_occurrence_only(self) -> None:
        task = changed(cancel(new(recurrence={"type": "daily"})))
        skipped = changed(plan_skip(CompleteTask(task_id=task.id, action="skip"), task, now=NOW))
        following = changed(plan_next(completed(task), now=NOW))
        assert pending(skipped) == pending(following) == [NOW + 2 * DAY - HOUR]

    def test_of_a_snoozed_one_before_it_fired_holds_as_well(self) -> None:
        task = new()
        after = changed(cancel(changed(snooze(task, LATER)), reminder=task.reminders[0].id))
        assert pending(after) == []
        assert pending(edit(after, due_date=NOW + 5 * DAY)) == []

    def test_of_a_snoozed_one_that_had_fired_is_of_that_time_only(self) -> None:
        task = marked(new(), "sent")
        after = changed(cancel(changed(snooze(task, LATER)), reminder=task.reminders[0].id))
        assert [r.status for r in after.reminders] == ["cancelled", "sent"]
        assert pending(edit(after, due_date=NOW + 5 * DAY)) == [NOW + 5 * DAY - HOUR]

    def test_is_refused_for_one_that_was_sent(self) -> None:
        with pytest.raises(InvalidInput, match="sent already"):
            cancel(marked(new(), "sent"))

    def test_of_one_whose_time_passed_keeps_it_from_coming_back(self) -> None:
        past = new(due_date=NOW - DAY)
        assert pending(edit(past, due_date=NOW + 5 * DAY)) == [NOW + 5 * DAY - HOUR]
        assert pending(edit(changed(cancel(past)), due_date=NOW + 5 * DAY)) == []


class TestWhatIsAsked:
    def test_is_checked(self) -> None:
        some = uuid4()
        assert check(ManageReminders(task_id=some), NOW) == ("list", some, NOW)
        assert check(ManageReminders(action="cancel", reminder_id=some), NOW) == ("cancel", some, NOW)
        assert check(ManageReminders(action="snooze", reminder_id=some, minutes=5), NOW)[2] == NOW + 5 * MINUTE
        assert check(ManageReminders(action="snooze", reminder_id=some, until=LATER), NOW)[2] == LATER

    @pytest.mark.parametrize(
        ("inputs", "field"),
        [
            ({}, "task_id"),
            ({"task_id": uuid4(), "reminder_id": uuid4()}, "reminder_id"),
            ({"task_id": uuid4(), "minutes": 5}, "minutes"),
            ({"action": "cancel"}, "reminder_id"),
            ({"action": "cancel", "reminder_id": uuid4(), "until": LATER}, "until"),
            ({"action": "snooze", "reminder_id": uuid4()}, "minutes"),
            ({"action": "snooze", "reminder_id": uuid4(), "minutes": 5, "until": LATER}, "minutes"),
            ({"action": "snooze", "reminder_id": uuid4(), "until": NOW}, "until"),
            ({"action": "snooze", "task_id": uuid4(), "minutes": 5}, "task_id"),
        ],
    )
    def test_is_refused_where_it_does_not_fit(self, inputs: dict[str, Any], field: str) -> None:
        with pytest.raises(InvalidInput) as error:
            check(ManageReminders.model_validate(inputs), NOW)
        assert error.value.field == field

    @pytest.mark.parametrize("inputs", [{"minutes": 0}, {"minutes": 10_081}, {"minutes": "5"}, {"until": "tomorrow"}])
    def test_is_refused_out_of_range(self, inputs: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            ManageReminders.model_validate({"action": "snooze", "reminder_id": uuid4()} | inputs)


def test_the_event_is_a_reminders_and_the_log_keeps_it_without_the_task() -> None:
    event = ChangeEvent(
        event_id=uuid4(),
        type="reminder.snoozed",
        user_id=uuid4(),
        seq=1,
        occurred_at=NOW,
        entity_type="reminder",
        entity_id=uuid4(),
        data={"task_id": "t", "title": "a", "reminder": {}, "task": {"title": "a"}},
    )
    assert topic_of(event.type) == "reminder.events"
    assert details_of(event) == {"task_id": "t", "title": "a", "reminder": {}}


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["snooze", "cancel", "move", "title", "complete", "reopen", "fire"]),
        st.integers(0, 20),
        st.integers(-200, 200),
    ),
    max_size=12,
)


@given(STEPS)
def test_whatever_a_user_does_no_reminder_is_pending_twice_or_in_the_past(steps: list[tuple[str, int, int]]) -> None:
    """One pending at most of each reminder at its own time, and one snoozed copy; none of a completed task; none
    long past that was planned then; what was sent stays sent."""
    task = new(reminders=[{"offset": "PT10M"}, {"at": NOW + 3 * HOUR}])
    now, sent = NOW, set[UUID]()
    for action, which, hours in steps:
        now += MINUTE
        reminder = task.reminders[which % len(task.reminders)].id
        try:
            match action:
                case "snooze":
                    change = snooze(task, now + abs(hours) * HOUR + MINUTE, reminder=reminder, now=now)
                case "cancel":
                    change = cancel(task, reminder=reminder, now=now)
                case "move":
                    command = UpdateTask(task_id=task.id, due_date=now + hours * HOUR)
                    change = plan_update(command, task, now=now)
                case "title":
                    change = plan_update(UpdateTask(task_id=task.id, title=f"b{which}"), task, now=now)
                case "complete" | "reopen":
                    change = plan_completion(task, completed=action == "complete", version=None, now=now)
                case _:
                    change = None
                    first = next((r for r in task.reminders if r.status == "pending"), None)
                    now = max(now, first.scheduled_time) if first else now
                    fired = [r for r in task.reminders if r.status == "pending" and r.scheduled_time <= now]
                    sent |= {r.id for r in fired}
                    reminders = [_sent(r) if r in fired else r for r in task.reminders]
                    task = task.model_copy(update={"reminders": reminders})
        except InvalidInput:
            continue
        before = {reminder.id for reminder in task.reminders}
        task = change.task if change else task
        live = [r for r in task.reminders if r.status == "pending"]
        keys = [(r.offset, r.at, r.snoozed_from) for r in live]
        assert len(keys) == len(set(keys))
        assert all(r.scheduled_time > now - GRACE for r in live if r.id not in before)
        assert not (live and task.status == "completed")
        assert {r.id for r in task.reminders if r.status == "sent"} == sent
        assert len({r.id for r in task.reminders}) == len(task.reminders)


def _sent(reminder: Reminder) -> Reminder:
    return reminder.model_copy(update={"status": "sent"})
