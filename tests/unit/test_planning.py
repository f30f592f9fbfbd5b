"""What each command plans: versions, series, reminders, tags, and the event that tells of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.tasks.errors import InvalidInput, StaleVersion
from functions.tasks.field_changes import FieldChange
from functions.tasks.models import CreateTask, Tag, Task, UpdateTask
from functions.tasks.planning import (
    Change,
    check_version,
    plan_completion,
    plan_create,
    plan_deletion,
    plan_next,
    plan_update,
    plan_withdrawal,
)

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)  # a Monday
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
TOMORROW = "2026-11-24T09:00:00Z"
BASIS: dict[str, Any] = {"due_date": TOMORROW, "reminder_offset": "PT1H", "tags": ["home", "work"], "priority": "high"}
WEEKLY: dict[str, Any] = {"due_date": TOMORROW, "recurrence": {"type": "weekly"}}


def create(now: datetime = NOW, zone: str = "UTC", **fields: Any) -> Change:
    return plan_create(CreateTask.model_validate({"title": "a"} | fields), time_zone=zone, now=now)


def task(**fields: Any) -> Task:
    """A new task as the store answers it, with its tags."""
    change = create(**fields)
    tags = [Tag(id=uuid4(), name=name, color="#000000") for name in sorted(change.tag_names or [], key=str.casefold)]
    return change.task.model_copy(update={"tags": tags})


def update(on: Task, now: datetime = NOW, **fields: Any) -> Change | None:
    return plan_update(UpdateTask.model_validate({"task_id": on.id} | fields), on, now=now)


def updated(on: Task, now: datetime = NOW, **fields: Any) -> Task:
    return done_by(update(on, now, **fields))


def completed(on: Task, now: datetime = NOW) -> Task:
    return done_by(plan_completion(on, completed=True, version=None, now=now))


def done_by(change: Change | None) -> Task:
    assert change is not None
    return change.task


def following(on: Task, now: datetime = NOW) -> Task:
    """The occurrence after this one, when it is completed `now`."""
    return done_by(plan_next(completed(on, now), now=now))


def series(on: Task, limit: int = 10) -> list[tuple[int | None, date | None]]:
    """Number and due date of this occurrence and those that follow, each completed when it is due."""
    found: list[tuple[int | None, date | None]] = []
    while len(found) < limit:
        found.append((on.occurrence, on.due_date))
        assert on.due_at is not None
        change = plan_next(completed(on, on.due_at), now=on.due_at)
        if change is None:
            break
        on = change.task
    return found


def refused(plan: Callable[[], object]) -> str:
    with pytest.raises(InvalidInput) as error:
        plan()
    return error.value.field


class TestCreate:
    def test_makes_the_first_version(self) -> None:
        change = create(title="Buy milk", description="oat", priority="high", due_date=TOMORROW, tags=["home"])
        assert (change.event_type, change.expected_version, change.after) == ("task.created", 0, None)
        assert change.tag_names == ["home"]
        made = change.task
        assert (made.title, made.description, made.priority, made.status) == ("Buy milk", "oat", "high", "open")
        assert (made.version, made.created_at, made.updated_at, made.completed_at) == (1, NOW, NOW, None)
        assert made.due_date == datetime(2026, 11, 24, 9, tzinfo=UTC)

    def test_makes_an_id_of_the_time_or_takes_the_callers(self) -> None:
        assert create().task.id.version == 7
        own = uuid4()
        assert create(id=str(own)).task.id == own

    def test_has_the_users_zone_unless_the_command_names_one(self) -> None:
        assert create(zone="Asia/Tokyo").task.time_zone == "Asia/Tokyo"
        assert create(zone="Asia/Tokyo", time_zone="Europe/Berlin").task.time_zone == "Europe/Berlin"

    def test_is_all_day_when_due_on_a_date(self) -> None:
        assert create(due_date="2026-11-24").task.all_day
        assert not create(due_date=TOMORROW).task.all_day
        assert not create().task.all_day

    def test_has_each_tag_once_as_first_written(self) -> None:
        assert create(tags=["Work", "home", "work", "HOME", "Straße", "STRASSE"]).tag_names == [
            "Work",
            "home",
            "Straße",
        ]

    def test_has_no_tags_where_none_are_named(self) -> None:
        assert create().tag_names == []

    @pytest.mark.parametrize(
        ("fields", "field"),
        [
            ({"recurrence": {"type": "daily"}}, "recurrence"),
            ({"reminder_offset": "PT1H"}, "reminder_offset"),
            ({"reminders": [{"at": TOMORROW}, {"offset": "PT1H"}]}, "reminders.1.offset"),
            ({"due_date": "2026-11-24", "all_day": False}, "due_date"),
            ({"due_date": TOMORROW, "all_day": True}, "due_date"),
            ({"due_date": TOMORROW, "recurrence": {"type": "daily", "end_date": "2026-11-01"}}, "recurrence"),
        ],
    )
    def test_is_refused_naming_the_field(self, fields: dict[str, Any], field: str) -> None:
        assert refused(lambda: create(**fields)) == field

    def test_begins_a_series_at_occurrence_1(self) -> None:
        made = create(due_date=TOMORROW, recurrence={"type": "daily"}).task
        assert made.recurrence_id is not None
        assert made.occurrence == 1
        assert made.series_start == made.due_date

    def test_of_a_single_task_begins_none(self) -> None:
        made = create(due_date=TOMORROW).task
        assert [made.recurrence_id, made.occurrence, made.series_start] == [None] * 3


class TestUpdate:
    def test_changes_what_is_named(self) -> None:
        old = task(**BASIS)
        change = update(old, NOW + HOUR, title="b")
        assert change is not None
        assert (change.event_type, change.expected_version) == ("task.updated", 1)
        assert change.changed == {"title": ["a", "b"]}
        assert change.tag_names is None
        noted = {"title": FieldChange(version=2, at=NOW + HOUR)}
        assert change.task == old.model_copy(
            update={"title": "b", "version": 2, "updated_at": NOW + HOUR, "field_changes": noted}
        )

    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {"title": "a"},
            {"priority": "high"},
            {"status": "open"},
            {"due_date": TOMORROW},
            {"due_date": "2026-11-24T10:00:00+01:00"},
            {"all_day": False},
            {"time_zone": "UTC"},
            {"time_zone": None},
            {"reminder_offset": "PT1H"},
            {"reminders": []},
            {"recurrence": None},
            {"tags": ["home", "work"]},
            {"tags": ["work", "home"]},
            {"tags": ["Home", "WORK", "home"]},
            {"version": 1},
        ],
        ids=str,
    )
    def test_that_changes_nothing_is_none(self, fields: dict[str, Any]) -> None:
        assert update(task(**BASIS), NOW + HOUR, **fields) is None

    def test_that_changes_nothing_is_none_when_a_reminder_has_passed(self) -> None:
        old = task(due_date=TOMORROW, reminder_offset="P7D")
        assert [reminder.status for reminder in old.reminders] == ["cancelled"]
        assert update(old, NOW + HOUR, title="a") is None

    def test_that_names_the_same_reminders_is_none(self) -> None:
        first, second = {"offset": "PT2H"}, {"at": "2026-11-24T08:00:00Z", "delivery_channel": "email"}
        old = task(due_date=TOMORROW, reminders=[first, second])
        for same in ([first, second], [second, first], [first, second, first]):
            assert update(old, reminders=same) is None, same

    def test_tells_the_tags_that_change(self) -> None:
        change = update(task(**BASIS), tags=["garden", "work"])
        assert change is not None
        assert change.tag_names == ["garden", "work"]
        assert change.changed == {"tags": [["home", "work"], ["garden", "work"]]}

    def test_of_a_stale_version_is_refused(self) -> None:
        with pytest.raises(StaleVersion):
            update(task(), title="b", version=2)

    def test_that_replaces_sets_the_rest_to_its_default(self) -> None:
        new = update(task(**BASIS, description="x"), replace=True, title="b")
        assert new is not None
        assert (new.task.title, new.task.description, new.task.priority) == ("b", "", "medium")
        assert [new.task.due_date, new.task.reminder_offset, new.task.recurrence] == [None] * 3
        assert new.task.reminders == []
        assert new.tag_names == []

    def test_that_replaces_keeps_status_and_zone_unless_it_names_them(self) -> None:
        done = completed(task(due_date=TOMORROW, time_zone="Asia/Tokyo"))
        new = updated(done, replace=True, title="b")
        assert (new.status, new.completed_at, new.time_zone) == ("completed", NOW, "Asia/Tokyo")
        assert updated(done, replace=True, title="b", time_zone="UTC", status="open").time_zone == "UTC"

    def test_that_replaces_keeps_what_is_not_the_callers_to_set(self) -> None:
        old = task(**BASIS)
        new = updated(old, NOW + HOUR, replace=True, title="b")
        assert (new.id, new.created_at, new.version) == (old.id, NOW, 2)

    def test_completes_and_reopens(self) -> None:
        done = update(task(**BASIS), NOW + HOUR, status="completed")
        assert done is not None
        assert (done.event_type, done.task.completed_at) == ("task.completed", NOW + HOUR)
        assert [reminder.status for reminder in done.task.reminders] == ["cancelled"]
        again = update(done.task, NOW + 2 * HOUR, status="open")
        assert again is not None
        assert (again.event_type, again.task.completed_at) == ("task.reopened", None)
        assert [reminder.status for reminder in again.task.reminders] == ["pending"]

    def test_without_a_due_date_drops_the_reminders_before_it(self) -> None:
        at = "2026-11-23T18:00:00Z"
        new = updated(task(**BASIS, reminders=[{"offset": "P1D"}, {"at": at}]), due_date=None)
        assert [new.due_date, new.reminder_offset] == [None, None]
        assert [reminder.at for reminder in new.reminders] == [datetime.fromisoformat(at)]

    def test_without_a_due_date_refuses_reminders_before_it(self) -> None:
        old = task(**BASIS)
        assert refused(lambda: update(old, due_date=None, reminder_offset="PT2H")) == "reminder_offset"
        assert refused(lambda: update(old, due_date=None, reminders=[{"offset": "PT2H"}])) == "reminders.0.offset"

    def test_without_a_due_date_refuses_to_recur(self) -> None:
        recurring = task(due_date=TOMORROW, recurrence={"type": "daily"})
        assert refused(lambda: update(recurring, due_date=None)) == "recurrence"
        assert updated(recurring, due_date=None, recurrence=None).recurrence_id is None

    def test_of_the_due_date_moves_the_reminders(self) -> None:
        new = updated(task(**BASIS), due_date="2026-11-25T09:00:00Z")
        assert [reminder.scheduled_time for reminder in new.reminders] == [datetime(2026, 11, 25, 8, tzinfo=UTC)]

    @pytest.mark.parametrize(
        "fields", [{"reminder_offset": "PT1H"}, {"reminders": [{"offset": "PT1H"}]}], ids=["own", "further"]
    )
    def test_that_takes_a_sent_reminder_away_keeps_it_away(self, fields: dict[str, Any]) -> None:
        asked = task(due_date=TOMORROW, **fields)
        sent = [reminder.model_copy(update={"status": "sent"}) for reminder in asked.reminders]
        without = updated(asked.model_copy(update={"reminders": sent}), reminder_offset=None, reminders=[])
        later = updated(without, due_date="2026-11-27T09:00:00Z")
        assert "pending" not in [reminder.status for reminder in later.reminders]

    def test_asks_for_a_further_reminder_though_its_time_has_one(self) -> None:
        """It is still there when the other one goes."""
        both = updated(task(due_date=TOMORROW, reminder_offset="PT1H"), reminders=[{"offset": "PT1H"}])
        left = updated(both, reminder_offset=None)
        assert [reminder.status for reminder in left.reminders] == ["pending"]

    def test_makes_a_task_all_day_and_timed_again(self) -> None:
        day = updated(task(due_date=TOMORROW), due_date="2026-11-24")
        assert (day.all_day, day.due_date) == (True, date(2026, 11, 24))
        assert not updated(day, due_date=TOMORROW).all_day

    @pytest.mark.parametrize(
        "fields",
        [{"all_day": True}, {"all_day": False, "due_date": "2026-11-24"}, {"all_day": True, "due_date": TOMORROW}],
    )
    def test_refuses_a_contradiction_of_day_and_time(self, fields: dict[str, Any]) -> None:
        assert refused(lambda: update(task(due_date=TOMORROW), **fields)) == "due_date"


class TestUpdateOfASeries:
    def test_with_another_recurrence_begins_a_new_series(self) -> None:
        third = following(following(task(**WEEKLY)))
        assert third.occurrence == 3
        new = updated(third, recurrence={"type": "daily"})
        assert (new.occurrence, new.series_start) == (1, third.due_date)
        assert new.recurrence_id not in (None, third.recurrence_id)

    def test_of_its_first_task_is_not_mistaken_for_the_old_series(self) -> None:
        """The next occurrence of the new series must not have the key (series, number) of one of the old."""
        first = task(**WEEKLY)
        second = following(first)
        again = done_by(plan_completion(completed(first), completed=False, version=None, now=NOW))
        changed = updated(again, recurrence={"type": "daily"})
        new_second = following(changed)
        assert (new_second.recurrence_id, new_second.occurrence) != (second.recurrence_id, second.occurrence)

    def test_with_the_same_recurrence_keeps_it(self) -> None:
        second = following(task(**WEEKLY))
        same = updated(second, title="b", recurrence={"type": "weekly", "interval": 1})
        assert (same.recurrence_id, same.occurrence) == (second.recurrence_id, 2)

    def test_with_another_due_date_moves_this_occurrence_only(self) -> None:
        first = task(**WEEKLY)
        moved = updated(first, due_date="2026-11-26T15:00:00Z")
        assert (moved.recurrence_id, moved.occurrence, moved.series_start) == (first.id, 1, first.due_date)
        assert following(moved).due_date == datetime(2026, 12, 1, 9, tzinfo=UTC)

    def test_with_a_day_for_this_occurrence_keeps_the_time_of_the_others(self) -> None:
        moved = updated(task(**WEEKLY), due_date="2026-11-24")
        new = following(moved)
        assert (new.all_day, new.due_date) == (False, datetime(2026, 12, 1, 9, tzinfo=UTC))

    def test_with_a_time_for_this_occurrence_keeps_the_others_all_day(self) -> None:
        moved = updated(task(due_date="2026-11-24", recurrence={"type": "weekly"}), due_date=TOMORROW)
        new = following(moved)
        assert (new.all_day, new.due_date) == (True, date(2026, 12, 1))

    def test_without_recurrence_ends_it(self) -> None:
        alone = updated(task(**WEEKLY), recurrence=None)
        assert [alone.recurrence, alone.recurrence_id, alone.occurrence, alone.series_start] == [None] * 4
        assert plan_next(completed(alone), now=NOW) is None

    def test_with_a_first_recurrence_begins_one(self) -> None:
        begun = updated(task(due_date=TOMORROW), recurrence={"type": "daily"})
        assert begun.recurrence_id is not None
        assert (begun.occurrence, begun.series_start) == (1, begun.due_date)


class TestCompletion:
    def test_completes(self) -> None:
        old = task(due_date=TOMORROW, reminder_offset="PT1H", tags=["home"])
        change = plan_completion(old, completed=True, version=1, now=NOW + HOUR)
        assert change is not None
        assert (change.event_type, change.expected_version, change.tag_names) == ("task.completed", 1, None)
        new = change.task
        assert (new.status, new.completed_at, new.updated_at, new.version) == ("completed", NOW + HOUR, NOW + HOUR, 2)
        assert [reminder.status for reminder in new.reminders] == ["cancelled"]

    def test_reopens(self) -> None:
        done = completed(task(due_date=TOMORROW, reminder_offset="PT1H"))
        change = plan_completion(done, completed=False, version=None, now=NOW + HOUR)
        assert change is not None
        assert (change.event_type, change.expected_version) == ("task.reopened", 2)
        assert (change.task.status, change.task.completed_at, change.task.version) == ("open", None, 3)
        assert [reminder.status for reminder in change.task.reminders] == ["pending"]

    def test_twice_is_none(self) -> None:
        done = completed(task())
        assert plan_completion(done, completed=True, version=None, now=NOW) is None
        assert plan_completion(task(), completed=False, version=None, now=NOW) is None

    @pytest.mark.parametrize("state", [True, False])
    def test_of_a_stale_version_is_refused(self, state: bool) -> None:
        with pytest.raises(StaleVersion):
            plan_completion(task(), completed=state, version=7, now=NOW)


class TestDeletion:
    def test_cancels_the_reminders(self) -> None:
        change = plan_deletion(task(due_date=TOMORROW, reminder_offset="PT1H"), version=1, now=NOW + HOUR)
        assert (change.event_type, change.expected_version, change.task.version) == ("task.deleted", 1, 2)
        assert change.task.updated_at == NOW + HOUR
        assert [reminder.status for reminder in change.task.reminders] == ["cancelled"]

    def test_of_a_stale_version_is_refused(self) -> None:
        with pytest.raises(StaleVersion):
            plan_deletion(task(), version=2, now=NOW)


def test_a_version_is_checked_only_where_one_is_given() -> None:
    check_version(None, task())
    check_version(1, task())
    with pytest.raises(StaleVersion):
        check_version(2, task())


class TestNext:
    def test_follows_a_completed_one(self) -> None:
        first = completed(
            task(
                title="Water",
                description="x",
                priority="low",
                tags=["Home"],
                due_date=TOMORROW,
                time_zone="Europe/Berlin",
                recurrence={"type": "daily"},
            )
        )
        change = plan_next(first, now=NOW)
        assert change is not None
        assert (change.event_type, change.expected_version, change.after) == ("task.created", 0, first.id)
        assert change.tag_names == ["Home"]
        new = change.task
        assert (new.title, new.description, new.priority, new.time_zone) == ("Water", "x", "low", "Europe/Berlin")
        assert (new.status, new.version, new.completed_at) == ("open", 1, None)
        assert (new.recurrence_id, new.occurrence, new.recurrence) == (first.id, 2, first.recurrence)
        assert new.due_date == datetime(2026, 11, 25, 9, tzinfo=UTC)
        assert new.id != first.id

    def test_has_the_same_number_whenever_it_is_planned(self) -> None:
        """What makes spawning idempotent: the key is (series, occurrence)."""
        first = completed(task(due_date=TOMORROW, recurrence={"type": "daily"}))
        once, twice = (done_by(plan_next(first, now=NOW + wait)) for wait in (HOUR, 2 * HOUR))
        assert (once.recurrence_id, once.occurrence) == (twice.recurrence_id, twice.occurrence)

    def test_of_a_single_task_is_none(self) -> None:
        assert plan_next(completed(task(due_date=TOMORROW)), now=NOW) is None

    def test_keeps_the_wall_time_across_a_change_of_clocks(self) -> None:
        first = task(due_date="2027-03-27T09:00:00+01:00", time_zone="Europe/Berlin", recurrence={"type": "daily"})
        assert following(first).due_date == datetime(2027, 3, 28, 7, tzinfo=UTC)

    def test_of_an_all_day_task_is_all_day(self) -> None:
        new = following(task(due_date="2026-11-24", recurrence={"type": "daily"}))
        assert (new.all_day, new.due_date) == (True, date(2026, 11, 25))

    def test_has_the_reminders_before_its_own_due_date(self) -> None:
        first = task(
            due_date=TOMORROW,
            recurrence={"type": "weekly"},
            reminder_offset="PT1H",
            reminders=[{"offset": "P1D", "delivery_channel": "email"}, {"at": "2026-11-23T18:00:00Z"}],
        )
        new = following(first)
        assert [(r.scheduled_time, r.status, r.delivery_channel) for r in new.reminders] == [
            (datetime(2026, 11, 30, 9, tzinfo=UTC), "pending", "email"),
            (datetime(2026, 12, 1, 8, tzinfo=UTC), "pending", "all"),
        ]
        assert not {r.id for r in new.reminders} & {r.id for r in first.reminders}

    def test_has_no_reminder_that_was_sent_and_taken_away(self) -> None:
        first = task(due_date=TOMORROW, recurrence={"type": "weekly"}, reminder_offset="PT1H")
        sent = [reminder.model_copy(update={"status": "sent"}) for reminder in first.reminders]
        without = updated(first.model_copy(update={"reminders": sent}), reminder_offset=None)
        assert following(without).reminders == []

    def test_skips_the_cycles_that_were_missed(self) -> None:
        first = task(due_date=TOMORROW, recurrence={"type": "daily"})
        new = following(first, NOW + 10 * DAY)
        assert (new.occurrence, new.due_date) == (11, datetime(2026, 12, 4, 9, tzinfo=UTC))

    def test_of_one_completed_early_is_the_very_next(self) -> None:
        new = following(task(due_date="2027-01-04T09:00:00Z", recurrence={"type": "weekly"}))
        assert (new.occurrence, new.due_date) == (2, datetime(2027, 1, 11, 9, tzinfo=UTC))

    def test_ends_with_the_count(self) -> None:
        numbers = series(task(due_date=TOMORROW, recurrence={"type": "daily", "count": 3}))
        assert [number for number, _ in numbers] == [1, 2, 3]

    def test_ends_with_the_end_date(self) -> None:
        days = series(task(due_date="2026-11-24", recurrence={"type": "daily", "end_date": "2026-11-26"}))
        assert days == [(n, date(2026, 11, 23 + n)) for n in (1, 2, 3)]

    @pytest.mark.parametrize(
        "recurrence", [{"type": "weekly", "days_of_week": [0], "count": 3}, {"rrule": "FREQ=WEEKLY;BYDAY=MO;COUNT=3"}]
    )
    def test_counts_a_start_that_is_not_on_the_rule_as_occurrence_1(self, recurrence: dict[str, Any]) -> None:
        """A Tuesday, then Mondays."""
        assert series(task(due_date="2026-11-24", recurrence=recurrence)) == [
            (1, date(2026, 11, 24)),
            (2, date(2026, 11, 30)),
            (3, date(2026, 12, 7)),
        ]

    def test_leaves_out_an_excluded_one_without_renumbering(self) -> None:
        recurrence = {"type": "daily", "exdates": ["2026-11-25"], "count": 4}
        assert series(task(due_date="2026-11-24", recurrence=recurrence)) == [
            (1, date(2026, 11, 24)),
            (3, date(2026, 11, 26)),
            (4, date(2026, 11, 27)),
        ]

    def test_of_an_excluded_start_goes_on_from_2(self) -> None:
        first = task(due_date="2026-11-24", recurrence={"type": "daily", "exdates": ["2026-11-24"]})
        new = following(first)
        assert (new.occurrence, new.due_date) == (2, date(2026, 11, 25))

    def test_counted_from_completion_falls_after_that_day(self) -> None:
        recurrence = {"type": "daily", "interval": 3, "anchor": "completion"}
        new = following(task(due_date=TOMORROW, recurrence=recurrence), datetime(2026, 12, 1, 20, tzinfo=UTC))
        assert (new.occurrence, new.due_date) == (2, datetime(2026, 12, 4, 9, tzinfo=UTC))

    def test_counted_from_completion_is_not_the_day_just_done_early(self) -> None:
        """Due on Monday the 30th, done on the Friday before: the next Monday is the one after."""
        recurrence = {"type": "weekly", "days_of_week": [0], "anchor": "completion"}
        new = following(task(due_date="2026-11-30T09:00:00Z", recurrence=recurrence), NOW + 4 * DAY)
        assert (new.occurrence, new.due_date) == (2, datetime(2026, 12, 7, 9, tzinfo=UTC))

    def test_can_be_completed_to_the_end_of_the_calendar(self) -> None:
        last = task(due_date="9998-12-31", recurrence={"type": "yearly"})
        change = plan_next(completed(last), now=NOW)
        assert change is None or change.task.overdue_at is not None


class TestWithdrawal:
    def test_takes_back_an_occurrence_that_nobody_touched(self) -> None:
        new = following(task(due_date=TOMORROW, reminder_offset="PT1H", recurrence={"type": "daily"}))
        change = plan_withdrawal(new, now=NOW + HOUR)
        assert change is not None
        assert (change.event_type, change.expected_version, change.task.id) == ("task.deleted", 1, new.id)
        assert {reminder.status for reminder in change.task.reminders} == {"cancelled"}

    def test_leaves_its_place_in_the_series_free(self) -> None:
        new = following(task(due_date=TOMORROW, recurrence={"type": "daily"}))
        gone = done_by(plan_withdrawal(new, now=NOW))
        assert [gone.recurrence_id, gone.occurrence] == [None, None]

    def test_is_none_once_it_was_changed_or_completed(self) -> None:
        new = following(task(due_date=TOMORROW, recurrence={"type": "daily"}))
        assert plan_withdrawal(updated(new, title="b"), now=NOW) is None
        assert plan_withdrawal(completed(new), now=NOW) is None


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=20).filter(str.strip)
FIELDS = st.fixed_dictionaries(
    {"title": TEXTS},
    optional={
        "description": TEXTS,
        "priority": st.sampled_from(["low", "medium", "high", "urgent"]),
        "time_zone": st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu"]),
        "tags": st.lists(st.sampled_from(["a", "A", "b", "c"]), max_size=4),
        "reminders": st.lists(
            st.integers(-100, 100).map(lambda hours: {"at": (NOW + hours * HOUR).isoformat()}), max_size=3
        ),
    },
)
DUE = st.fixed_dictionaries(
    {
        "due_date": st.integers(-400, 400).map(lambda hours: (NOW + hours * HOUR).isoformat())
        | st.integers(-40, 40).map(lambda days: (NOW + days * DAY).date().isoformat())
    },
    optional={
        "reminder_offset": st.sampled_from(["PT0S", "PT1H", "P1D"]),
        "recurrence": st.sampled_from([{"type": "daily"}, {"type": "weekly"}, {"rrule": "FREQ=MONTHLY;BYMONTHDAY=31"}]),
    },
)
COMMANDS = st.one_of(FIELDS, st.tuples(FIELDS, DUE).map(lambda both: both[0] | both[1]))


class TestAlways:
    @given(COMMANDS)
    def test_what_a_task_has_already_changes_nothing(self, fields: dict[str, Any]) -> None:
        """Neither as PATCH nor, in full, as PUT."""
        made = task(**fields)
        further = fields.get("reminders", [])
        assert update(made, NOW + HOUR, **fields) is None
        assert update(made, NOW + HOUR, replace=True, **{**fields, "reminders": further}) is None

    @given(COMMANDS, COMMANDS)
    def test_a_change_has_the_next_version_and_tells_what_changed(
        self, fields: dict[str, Any], others: dict[str, Any]
    ) -> None:
        made = task(**fields)
        change = update(made, NOW + HOUR, **others)
        if change is None:
            return
        assert change.expected_version == made.version
        assert change.task.version == made.version + 1
        assert change.task.updated_at == NOW + HOUR
        assert (change.task.id, change.task.created_at) == (made.id, made.created_at)
        assert change.changed
        assert change.changed.keys() <= others.keys() | {
            *("reminders", "all_day", "recurrence_id", "occurrence", "reminder_offset")
        }
        for name, (old, new) in change.changed.items():
            assert old != new or name == "reminders", name  # one that was sent already shows no difference

    @given(COMMANDS, COMMANDS)
    def test_a_series_is_whole_or_not_there(self, fields: dict[str, Any], others: dict[str, Any]) -> None:
        made = task(**fields)
        change = update(made, NOW + HOUR, **others)
        for one in (made, made if change is None else change.task):
            parts = [one.recurrence, one.recurrence_id, one.occurrence, one.series_start]
            assert all(part is None for part in parts) or all(part is not None for part in parts)
            assert one.all_day == (isinstance(one.due_date, date) and not isinstance(one.due_date, datetime))

    @given(COMMANDS)
    def test_completing_and_reopening_gives_the_task_back(self, fields: dict[str, Any]) -> None:
        made = task(**fields)
        again = done_by(plan_completion(completed(made), completed=False, version=2, now=NOW))
        same = {"version", "reminders"}
        assert again.model_dump(exclude=same) == made.model_dump(exclude=same)
        assert again.version == 3
        assert [(r.scheduled_time, r.status) for r in again.reminders] == [
            (r.scheduled_time, r.status) for r in made.reminders
        ]
