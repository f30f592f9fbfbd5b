"""Series on PostgreSQL: each occurrence is there once, whatever is done at once and however often it is told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import psycopg
import pytest

from functions.store import migrate
from functions.tasks.errors import DomainError, NotFound, StaleVersion
from functions.tasks.models import Deleted, Task
from tests.series.support import DAY, NOW, Household, at_once

MIGRATIONS = sorted((Path(migrate.__file__).parent / "migrations").glob("*.sql"))
HOUR = timedelta(hours=1)


def numbers(household: Household) -> list[int | None]:
    return [task.occurrence for task in household.live()]


class TestCompleting:
    def test_super_productivity_6398_two_devices_make_one_next_occurrence(self, household: Household) -> None:
        """Both complete the task, and both replicas of the consumer get both events, twice."""
        for _ in range(10):
            task = household.daily()
            at_once(*[partial(household.complete, task.id)] * 4)
            at_once(*[household.deliver] * 4)
            household.deliver()
            following = [one for one in household.live() if one.follows == task.id]
            assert [one.occurrence for one in following] == [2]
            household.deliver(list(reversed(household.events())))
            mine = [one.id for one in household.live() if one.recurrence_id == task.recurrence_id]
            assert mine == [task.id, following[0].id]

    @pytest.mark.parametrize(
        "what_becomes_of_it",
        [
            lambda household, task: household.skip(task.id),
            lambda household, task: household.delete(task.id),
            lambda household, task: household.delete(task.id, scope="this"),
            lambda household, task: household.edit(task.id, recurrence=None),
            lambda household, task: household.edit(task.id, recurrence={"type": "weekly"}),
            lambda household, task: household.edit(task.id, due_date=NOW + 9 * DAY, scope="following"),
            lambda household, task: household.edit(task.id, due_date=NOW + 9 * DAY),
            lambda household, task: household.complete(task.id),
        ],
        ids=["skip", "delete", "delete this", "end", "another rule", "move the rest", "move this", "complete"],
    )
    def test_is_followed_once_whatever_becomes_of_what_follows(
        self, household: Household, what_becomes_of_it: Callable[[Household, Task], object]
    ) -> None:
        """Its event is told again, and it is reopened and completed again."""
        first = household.daily()
        household.complete(first.id)
        told = household.events("task.completed")
        household.deliver()
        (second,) = household.open()
        what_becomes_of_it(household, second)
        before = household.rows()
        for hours in (0, 1, 100):
            household.now = NOW + hours * HOUR
            household.deliver(told)
        assert household.rows() == before
        household.reopen(first.id)
        household.deliver(told)
        household.complete(first.id)
        household.deliver([*told, household.events("task.completed")[-1]])
        assert [row["task_id"] for row in household.rows()] == [row["task_id"] for row in before]

    def test_again_after_reopening_makes_the_next_one_again(self, household: Household) -> None:
        """Of the task as it is now, though it is an old event that is told first."""
        first = household.daily()
        household.complete(first.id)
        old = household.events("task.completed")
        household.deliver()
        household.reopen(first.id)
        assert numbers(household) == [1]
        household.deliver()
        assert numbers(household) == [1]
        household.edit(first.id, title="b")
        household.now += HOUR
        household.complete(first.id)
        household.deliver(old)
        assert [(task.title, task.occurrence) for task in household.open()] == [("b", 2)]

    def test_is_followed_though_the_completed_one_is_deleted_before_the_consumer_runs(
        self, household: Household
    ) -> None:
        first = household.daily()
        household.complete(first.id)
        household.delete(first.id)
        household.deliver()
        assert numbers(household) == [2]

    def test_an_old_first_task_with_another_rule_starts_anew(self, household: Household) -> None:
        """The numbers of its new series are not mistaken for those of the old one."""
        first = household.daily()
        household.complete(first.id)
        household.deliver()
        (second,) = household.open()
        household.complete(second.id)
        household.deliver()
        household.reopen(first.id)
        household.edit(first.id, recurrence={"type": "weekly"})
        household.complete(first.id)
        household.deliver()
        (new,) = [task for task in household.open() if task.follows == first.id]
        assert (new.occurrence, new.due_date) == (2, NOW + HOUR + 7 * DAY)


class TestSkipping:
    def test_goes_on_in_place_and_tells_it(self, household: Household) -> None:
        task = household.daily(reminder_offset="PT10M")
        after = household.skip(task.id)
        assert isinstance(after, Task)
        assert (after.id, after.version, after.occurrence, after.due_date) == (task.id, 2, 2, NOW + HOUR + DAY)
        event = household.events()[-1]
        assert (event.type, event.entity_id) == ("task.skipped", task.id)
        assert event.data["changes"]["occurrence"] == [1, 2]
        household.deliver()
        household.now += 3 * DAY
        household.complete(task.id)
        household.deliver()
        assert numbers(household) == [2, 4]

    def test_forgets_the_reminders_of_what_was_skipped(self, household: Household) -> None:
        task = household.daily(reminders=[{"offset": "PT10M"}, {"offset": "PT5M"}])
        household.database.system.all(
            "update reminders set status = 'sent' where scheduled_time = %s", (NOW + HOUR * 11 / 12,)
        )
        household.skip(task.id)
        assert {reminder.scheduled_time > NOW + DAY for reminder in household.reminders(task.id)} == {True}

    def test_the_last_one_deletes_the_task(self, household: Household) -> None:
        task = household.daily(recurrence={"type": "daily", "count": 2})
        household.skip(task.id)
        assert household.skip(task.id) == Deleted(id=task.id)
        with pytest.raises(NotFound):
            household.skip(task.id)

    def test_where_the_next_one_is_there_already_leaves_it_that(self, household: Household) -> None:
        first = household.daily()
        household.complete(first.id)
        household.deliver()
        (second,) = household.open()
        household.edit(second.id, title="touched")
        household.reopen(first.id)
        assert household.skip(first.id) == Deleted(id=first.id)
        assert [task.id for task in household.open()] == [second.id]

    def test_at_once_on_many_devices_skips_one(self, household: Household) -> None:
        for _ in range(10):
            task = household.daily()
            answers = at_once(*[partial(household.skip, task.id, occurrence=1)] * 4)
            assert {answer.occurrence for answer in answers} == {2}
            answers = at_once(*[partial(household.skip, task.id)] * 4)
            left = household.tasks.get(household.caller, task.id)
            done = [answer for answer in answers if isinstance(answer, Task)]
            assert left.occurrence == 2 + len(done), answers

    def test_and_completing_at_once_are_of_one_occurrence(self, household: Household) -> None:
        """One of the two wins. The one that lost is refused, and is not applied to the occurrence after."""
        for _ in range(20):
            task = household.daily()
            skipped, completed = at_once(partial(household.skip, task.id), partial(household.complete, task.id))
            household.deliver()
            mine = [one for one in household.live() if one.recurrence_id == task.recurrence_id]
            assert len({one.occurrence for one in mine}) == len(mine)
            if isinstance(skipped, Task) and isinstance(completed, StaleVersion):
                assert [(one.occurrence, one.status) for one in mine] == [(2, "open")]
            elif isinstance(completed, Task) and isinstance(skipped, DomainError):
                assert [(one.occurrence, one.status) for one in mine] == [(1, "completed"), (2, "open")]
            else:  # one after the other
                assert isinstance(skipped, Task)
                assert isinstance(completed, Task)
                assert [(one.occurrence, one.status) for one in mine] == [(2, "completed"), (3, "open")]


class TestTheRest:
    def test_is_a_series_of_its_own(self, household: Household) -> None:
        first = household.daily(recurrence={"type": "daily", "count": 3})
        household.complete(first.id)
        household.deliver()
        (second,) = household.open()
        moved = household.edit(second.id, due_date=NOW + DAY + 5 * HOUR, scope="following")
        assert (moved.occurrence, moved.recurrence and moved.recurrence.count) == (1, 2)
        household.complete(second.id)
        household.deliver()
        (last,) = household.open()
        assert (last.occurrence, last.due_date) == (2, NOW + 2 * DAY + 5 * HOUR)
        household.complete(last.id)
        household.deliver()
        assert household.open() == []

    def test_keeps_its_zone_over_an_occurrence_in_another(self, household: Household) -> None:
        task = household.daily(time_zone="Europe/Berlin")
        household.edit(task.id, time_zone="America/New_York", due_date="2026-11-23T09:00:00-05:00")
        household.complete(task.id)
        household.deliver()
        (after,) = household.open()
        assert (after.time_zone, after.due_date) == ("Europe/Berlin", NOW + HOUR + DAY)

    def test_ends_when_the_task_is_deleted(self, household: Household) -> None:
        first = household.daily()
        household.complete(first.id)
        household.deliver()
        (second,) = household.open()
        assert household.delete(second.id) == Deleted(id=second.id)
        household.deliver()
        assert household.open() == []

    def test_goes_on_when_this_one_is_deleted(self, household: Household) -> None:
        task = household.daily()
        after = household.delete(task.id, scope="this", occurrence=1)
        assert household.delete(task.id, scope="this", occurrence=1) == after
        assert isinstance(after, Task)
        assert after.occurrence == 2


class TestUpgrade:
    def test_tasks_of_before_know_their_zone_and_what_they_follow(self, household: Household, url: str) -> None:
        first = household.daily(time_zone="Europe/Berlin")
        household.complete(first.id)
        household.deliver()
        (second,) = household.open()
        migration = next(path for path in MIGRATIONS if path.name.startswith("0003"))
        with psycopg.connect(url) as connection:
            connection.execute("drop index tasks_follows")
            connection.execute("alter table tasks drop series_time_zone, drop follows")
            connection.execute("alter table reminders drop snoozed_from, drop dismissed")
            connection.execute(migration.read_bytes())
        now = household.tasks.get(household.caller, second.id)
        assert (now.follows, now.series_time_zone) == (first.id, "Europe/Berlin")
        household.deliver()
        assert numbers(household) == [1, 2]
