"""Edits of a series: this occurrence, the rest, one left out; and what comes next after each."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.tasks.errors import InvalidInput, StaleVersion
from functions.tasks.models import CompleteTask, CreateTask, DeleteTask, Task, UpdateTask
from functions.tasks.planning import (
    Change,
    plan_completion,
    plan_create,
    plan_next,
    plan_removal,
    plan_skip,
    plan_update,
)
from tests.support.series import BERLIN, NEW_YORK, at

MONDAY = at("2026-11-23 09:00")
NOW = MONDAY - timedelta(hours=1)
DAY = timedelta(days=1)


def new(due: str = "2026-11-23 09:00", **fields: Any) -> Task:
    """A task that is due at this Berlin time."""
    given = {"title": "a", "due_date": at(due), "time_zone": BERLIN, "recurrence": {"type": "daily"}}
    return plan_create(CreateTask.model_validate(given | fields), time_zone="UTC", now=NOW).task


def edit(task: Task, *, now: datetime = NOW, **fields: Any) -> Task:
    change = plan_update(UpdateTask.model_validate({"task_id": task.id} | fields), task, now=now)
    return changed(change)


def rest(task: Task, due: datetime | str, **fields: Any) -> Task:
    """The task after its due date was changed for this one and those that follow."""
    return edit(task, due_date=due, scope="following", **fields)


def skip(task: Task, *, now: datetime = NOW, **fields: Any) -> Change | None:
    return plan_skip(CompleteTask(task_id=task.id, action="skip", **fields), task, now=now)


def skipped(task: Task, *, now: datetime = NOW) -> Task:
    return changed(skip(task, now=now))


def remove(task: Task, **fields: Any) -> Change | None:
    return plan_removal(DeleteTask(task_id=task.id, **fields), task, now=NOW)


def changed(change: Change | None) -> Task:
    assert change is not None
    return change.task


def done(task: Task, now: datetime = NOW) -> Task:
    return changed(plan_completion(task, completed=True, version=None, now=now))


def following(task: Task, now: datetime = NOW) -> Task | None:
    change = plan_next(done(task, now), now=now)
    return change.task if change else None


def dues(task: Task | None, limit: int = 30) -> list[str]:
    """When this occurrence and those that follow are due, in Berlin, each completed when it is due."""
    found: list[str] = []
    while task is not None and len(found) < limit:
        assert task.due_at is not None
        all_day = not isinstance(task.due_date, datetime)
        found.append(f"{task.due_at.astimezone(task.zone):{'%Y-%m-%d' if all_day else '%Y-%m-%d %H:%M'}}")
        task = following(task, task.due_at)
    return found


class TestThisOccurrence:
    """scope=this, the default: the rest of the series stays where it was."""

    def test_moves_in_time(self) -> None:
        moved = edit(new(), due_date=at("2026-11-23 17:00"))
        assert dues(moved, 3) == ["2026-11-23 17:00", "2026-11-24 09:00", "2026-11-25 09:00"]

    def test_in_another_zone_leaves_the_others_in_theirs(self) -> None:
        moved = edit(new(), due_date=at("2026-11-23 09:00", NEW_YORK), time_zone=NEW_YORK)
        after = following(moved)
        assert after is not None
        assert (after.time_zone, after.due_date) == (BERLIN, at("2026-11-24 09:00"))

    def test_in_another_zone_alone_keeps_its_instant(self) -> None:
        moved = edit(new(), time_zone=NEW_YORK)
        after = following(moved)
        assert moved.due_date == MONDAY
        assert after is not None
        assert (after.time_zone, after.due_date) == (BERLIN, at("2026-11-24 09:00"))

    def test_all_day_leaves_the_others_timed(self) -> None:
        after = following(edit(new(), due_date="2026-11-23"))
        assert after is not None
        assert (after.all_day, after.due_date) == (False, at("2026-11-24 09:00"))

    def test_keeps_the_series_and_its_number(self) -> None:
        task = new()
        moved = edit(task, due_date=at("2026-11-23 17:00"))
        assert (moved.recurrence_id, moved.occurrence) == (task.recurrence_id, 1)


class TestThisAndThoseThatFollow:
    def test_go_on_from_the_new_due_date(self) -> None:
        second = following(new())
        assert second is not None
        moved = rest(second, at("2026-11-24 18:30"))
        assert dues(moved, 3) == ["2026-11-24 18:30", "2026-11-25 18:30", "2026-11-26 18:30"]

    def test_are_a_series_of_their_own(self) -> None:
        second = following(new())
        assert second is not None
        moved = rest(second, at("2026-11-24 18:30"))
        assert moved.recurrence_id not in (None, second.recurrence_id)
        assert (moved.id, moved.occurrence, moved.series_start) == (second.id, 1, at("2026-11-24 18:30"))

    def test_take_what_the_rule_leaves_out_from_the_new_start(self) -> None:
        weekly = rest(new(recurrence={"type": "weekly"}), at("2026-11-26 09:00"))
        assert dues(weekly, 2) == ["2026-11-26 09:00", "2026-12-03 09:00"]
        monthly = rest(new(recurrence={"type": "monthly"}), at("2026-11-30 09:00"))
        assert dues(monthly, 4)[-1] == "2027-02-28 09:00"

    def test_keep_the_days_that_the_rule_names(self) -> None:
        mondays = rest(new(recurrence={"type": "weekly", "days_of_week": [0]}), at("2026-11-24 10:00"))
        assert dues(mondays, 3) == ["2026-11-24 10:00", "2026-11-30 10:00", "2026-12-07 10:00"]

    @pytest.mark.parametrize("recurrence", [{"type": "daily", "count": 5}, {"rrule": "FREQ=DAILY;COUNT=5"}])
    def test_are_as_many_as_were_left(self, recurrence: dict[str, Any]) -> None:
        third = following(following(new(recurrence=recurrence)) or new())
        assert third is not None
        moved = rest(third, at("2026-11-25 11:00"))
        assert dues(moved) == ["2026-11-25 11:00", "2026-11-26 11:00", "2026-11-27 11:00"]
        again = rest(moved, at("2026-11-25 12:00"))
        assert len(dues(again)) == 3

    def test_of_a_start_that_is_not_on_the_rule_are_as_many_as_were_left(self) -> None:
        mondays = new(recurrence={"type": "weekly", "days_of_week": [0], "count": 4})
        moved = rest(mondays, at("2026-11-24 10:00"))
        assert dues(moved) == ["2026-11-24 10:00", "2026-11-30 10:00", "2026-12-07 10:00", "2026-12-14 10:00"]

    def test_count_those_that_were_missed(self) -> None:
        late = following(new(recurrence={"type": "daily", "count": 10}), MONDAY + 5 * DAY + timedelta(hours=1))
        assert late is not None
        assert late.occurrence == 7
        assert len(dues(rest(late, at("2026-11-29 11:00")))) == 4

    @pytest.mark.parametrize(
        "recurrence",
        [
            {"type": "daily", "exdates": ["2026-11-25T09:00:00+01:00"]},
            {"type": "daily", "exdates": ["2026-11-25"]},
            {"rrule": "RRULE:FREQ=DAILY\nEXDATE:20261125T080000Z"},
            {"rrule": "RRULE:FREQ=DAILY\nEXDATE;TZID=Europe/Berlin:20261125T090000"},
        ],
    )
    def test_leave_out_the_days_that_were_excluded(self, recurrence: dict[str, Any]) -> None:
        moved = rest(new(recurrence=recurrence), at("2026-11-23 18:00"))
        assert dues(moved, 3) == ["2026-11-23 18:00", "2026-11-24 18:00", "2026-11-26 18:00"]
        assert Task.model_validate(moved.model_dump(mode="json")).recurrence == moved.recurrence

    def test_in_another_zone_are_at_its_wall_time(self) -> None:
        moved = edit(new(), due_date=at("2026-11-23 09:00", NEW_YORK), time_zone=NEW_YORK, scope="following")
        after = following(moved)
        assert after is not None
        assert (after.time_zone, after.due_date) == (NEW_YORK, at("2026-11-24 09:00", NEW_YORK))

    @pytest.mark.parametrize("recurrence", [{"type": "monthly"}, {"type": "custom", "unit": "month"}])
    def test_vikunja_3436_of_the_31st_come_back_to_it_from_february(self, recurrence: dict[str, Any]) -> None:
        """Its time is another one from 28 February on, and the 31st is still its day."""
        february = following(new("2027-01-31 09:00", recurrence=recurrence), at("2027-01-31 09:00"))
        assert february is not None
        moved = rest(february, at("2027-02-28 10:00"))
        assert dues(moved, 4) == ["2027-02-28 10:00", "2027-03-31 10:00", "2027-04-30 10:00", "2027-05-31 10:00"]
        april = following(following(moved, at("2027-02-28 10:00")) or moved, at("2027-03-31 10:00"))
        assert dues(rest(april or moved, "2027-04-30"), 2) == ["2027-04-30", "2027-05-31"]

    def test_vikunja_3436_of_the_31st_stay_so_when_their_end_is_set_in_february(self) -> None:
        february = following(new("2027-01-31 09:00", recurrence={"type": "monthly"}), at("2027-01-31 09:00"))
        assert february is not None
        ending = {"type": "monthly", "end_date": "2027-04-30"}
        ended = edit(february, recurrence=ending)
        assert dues(ended) == ["2027-02-28 09:00", "2027-03-31 09:00", "2027-04-30 09:00"]
        again = UpdateTask.model_validate({"task_id": ended.id, "recurrence": ending})
        assert plan_update(again, ended, now=NOW) is None
        named = edit(february, recurrence={"type": "monthly", "day_of_month": 28})
        assert dues(named, 2) == ["2027-02-28 09:00", "2027-03-28 09:00"]
        weekly = edit(february, recurrence={"type": "weekly"})
        assert dues(weekly, 2) == ["2027-02-28 09:00", "2027-03-07 09:00"]

    def test_of_29_february_come_back_to_it(self) -> None:
        after = following(new("2024-02-29 09:00", recurrence={"type": "yearly"}), at("2026-12-01 09:00"))
        assert dues(rest(after or new(), at("2027-02-28 10:00")), 2) == ["2027-02-28 10:00", "2028-02-29 10:00"]

    def test_that_moved_to_the_28th_stay_there(self) -> None:
        february = following(new("2027-01-30 09:00", recurrence={"type": "monthly"}), at("2027-01-31 09:00"))
        assert dues(rest(february or new(), at("2027-02-27 09:00")), 2) == ["2027-02-27 09:00", "2027-03-27 09:00"]
        march = following(february or new(), at("2027-02-28 09:00"))
        assert dues(rest(march or new(), at("2027-02-28 09:00")), 2) == ["2027-02-28 09:00", "2027-03-28 09:00"]

    def test_become_all_day_and_timed_again(self) -> None:
        days = rest(new(), "2026-11-24")
        assert dues(days, 2) == ["2026-11-24", "2026-11-25"]
        assert dues(rest(days, at("2026-11-24 07:00")), 2) == ["2026-11-24 07:00", "2026-11-25 07:00"]

    def test_that_would_all_be_after_the_end_are_refused(self) -> None:
        ending = new(recurrence={"type": "daily", "end_date": "2026-11-30"})
        with pytest.raises(InvalidInput, match="no occurrence"):
            rest(ending, at("2026-12-01 09:00"))

    def test_without_a_due_date_are_refused(self) -> None:
        with pytest.raises(InvalidInput, match="needs a due_date"):
            edit(new(), due_date=None, scope="following")

    def test_stay_one_series_where_nothing_moved(self) -> None:
        task = new()
        assert edit(task, title="b", due_date=MONDAY, scope="following").recurrence_id == task.recurrence_id

    def test_of_a_task_that_does_not_recur_is_the_task(self) -> None:
        moved = rest(new(recurrence=None), at("2026-11-25 09:00"))
        assert (moved.due_date, moved.recurrence_id, moved.occurrence) == (at("2026-11-25 09:00"), None, None)

    @given(st.integers(1, 12), st.integers(0, 11), st.integers(0, 47))
    def test_never_are_more_or_fewer_than_the_count(self, count: int, finished: int, hours: int) -> None:
        """The occurrences before an edit and those after it are `count` together."""
        task: Task | None = new(recurrence={"type": "daily", "count": count})
        seen = 0
        while task is not None and seen < finished:
            assert task.due_at is not None
            task, seen = following(task, task.due_at), seen + 1
        if task is None:
            assert seen == count
            return
        assert task.due_at is not None
        moved = rest(task, task.due_at + timedelta(hours=hours, minutes=1))
        assert seen + len(dues(moved)) == count


class TestSkip:
    def test_moves_the_task_on_to_the_next_occurrence(self) -> None:
        task = new(reminder_offset="PT1H", reminders=[{"offset": "PT10M"}, {"at": MONDAY}])
        change = skip(task)
        assert change is not None
        after = change.task
        assert (change.event_type, change.expected_version) == ("task.skipped", 1)
        assert (after.id, after.version, after.status) == (task.id, 2, "open")
        assert (after.recurrence_id, after.occurrence) == (task.recurrence_id, 2)
        assert after.due_date == at("2026-11-24 09:00")
        assert change.changed["occurrence"] == [1, 2]
        assert [(r.offset, r.scheduled_time, r.status) for r in after.reminders] == [
            ("PT1H", at("2026-11-24 08:00"), "pending"),
            ("PT10M", at("2026-11-24 08:50"), "pending"),
        ]

    def test_leaves_the_occurrences_after_it_where_they_were(self) -> None:
        assert dues(skipped(new()), 2) == ["2026-11-24 09:00", "2026-11-25 09:00"]

    def test_of_one_that_was_moved_goes_back_to_the_series(self) -> None:
        moved = edit(new(), due_date="2026-11-23", time_zone=NEW_YORK)
        after = skipped(moved)
        assert (after.due_date, after.all_day, after.time_zone) == (at("2026-11-24 09:00"), False, BERLIN)

    def test_is_done_already_the_second_time(self) -> None:
        """A repeat that names the occurrence skips no other one."""
        after = skipped(new())
        assert skip(after, occurrence=1) is None
        assert skip(after, occurrence=1, version=1) is None

    def test_is_refused_for_another_occurrence_or_version(self) -> None:
        with pytest.raises(StaleVersion, match="occurrence 2"):
            skip(new(), occurrence=2)
        with pytest.raises(StaleVersion, match="version 2"):
            skip(new(), version=2)

    def test_is_refused_for_what_does_not_recur_or_is_completed(self) -> None:
        with pytest.raises(InvalidInput, match="does not recur"):
            skip(new(recurrence=None))
        with pytest.raises(InvalidInput, match="is completed"):
            skip(done(new()))

    def test_of_the_last_one_ends_the_series(self) -> None:
        change = skip(new(recurrence={"type": "daily", "count": 1}))
        assert change is not None
        assert (change.event_type, change.task.deleted) == ("task.deleted", True)

    def test_of_one_that_another_follows_already_leaves_it_to_that(self) -> None:
        change = skip(new().model_copy(update={"followed_by": uuid4()}))
        assert change is not None
        assert change.event_type == "task.deleted"

    def test_anchored_at_completion_counts_from_the_due_date(self) -> None:
        every = {"type": "custom", "unit": "day", "interval": 3, "anchor": "completion"}
        early = skipped(new(recurrence=every), now=NOW - 2 * DAY)
        assert (early.occurrence, early.due_date) == (2, at("2026-11-26 09:00"))
        days = new(recurrence=every).model_copy(update={"due_date": date(2026, 11, 23), "all_day": True})
        assert skipped(days, now=NOW - 2 * DAY).due_date == at("2026-11-26 09:00")

    def test_anchored_at_completion_counts_towards_the_total(self) -> None:
        task = new(recurrence={"type": "daily", "count": 2, "anchor": "completion"})
        last = skipped(task)
        assert last.occurrence == 2
        assert changed(skip(last)).deleted

    def test_donetick_834_the_next_date_is_not_in_the_past_after_missed_cycles(self) -> None:
        """Skipped or completed, a task that was forgotten for five days goes on in the future, and says where."""
        now = MONDAY + 5 * DAY + timedelta(minutes=1)
        for anchor, number in (("due_date", 7), ("completion", 2)):
            task = new(recurrence={"type": "daily", "anchor": anchor})
            for after in (skipped(task, now=now), following(task, now)):
                assert after is not None
                assert (after.occurrence, after.due_date) == (number, at("2026-11-29 09:00")), anchor


class TestDeletion:
    def test_ends_the_series_by_default(self) -> None:
        change = remove(new())
        assert change is not None
        assert (change.event_type, change.task.deleted) == ("task.deleted", True)

    def test_of_this_one_skips_it(self) -> None:
        change = remove(new(), scope="this")
        assert change is not None
        assert (change.event_type, change.task.occurrence, change.task.deleted) == ("task.skipped", 2, False)

    def test_of_this_one_is_done_already_the_second_time(self) -> None:
        assert remove(skipped(new()), scope="this", occurrence=1) is None

    @pytest.mark.parametrize("task", [new(recurrence=None), done(new())], ids=["alone", "completed"])
    def test_of_this_one_deletes_what_has_no_next_one_to_move_on_to(self, task: Task) -> None:
        assert changed(remove(task, scope="this")).deleted

    def test_of_another_occurrence_or_version_is_refused(self) -> None:
        for stale in ({"occurrence": 2}, {"version": 2}):
            with pytest.raises(StaleVersion):
                remove(new(), **stale)


def test_completing_another_occurrence_than_the_one_meant_is_refused() -> None:
    """It was skipped on another device meanwhile: the next one is not done."""
    with pytest.raises(StaleVersion, match="occurrence 1"):
        plan_completion(skipped(new()), completed=True, version=None, now=NOW, occurrence=1)


RULES = st.sampled_from(
    [
        {"type": "daily"},
        {"type": "weekly", "interval": 2, "days_of_week": [0, 3]},
        {"type": "monthly", "day_of_month": 31},
        {"type": "custom", "unit": "day", "interval": 3, "anchor": "completion"},
        {"rrule": "FREQ=MONTHLY;BYDAY=-1FR"},
    ]
)


@given(RULES, st.sampled_from([BERLIN, "Australia/Lord_Howe", "Africa/Casablanca"]), st.data())
def test_skipping_and_completing_always_go_on_later(recurrence: dict[str, Any], zone: str, data: st.DataObject) -> None:
    """Whatever a user does, and whenever: the next occurrence has a higher number, is due later than the one
    before and than now, and is at the time of day of the series."""
    task = new(time_zone=zone, recurrence=recurrence)
    now = NOW
    for _ in range(data.draw(st.integers(1, 8))):
        now += timedelta(hours=data.draw(st.integers(0, 900)))
        after = skipped(task, now=now) if data.draw(st.booleans()) else following(task, now)
        assert after is not None
        assert after.occurrence is not None
        assert task.occurrence is not None
        assert after.occurrence > task.occurrence
        assert isinstance(after.due_date, datetime)
        assert isinstance(task.due_date, datetime)
        if recurrence.get("anchor") != "completion":
            assert after.due_date > task.due_date
        assert after.due_date > now
        assert after.due_date.astimezone(after.zone).time() == MONDAY.astimezone(after.zone).time()
        assert after.due_date.tzinfo == UTC
        task = after
