"""Whatever a user does to a recurring task, in any order, and however often its events are told."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from functions.store.database import Database
from functions.tasks.errors import InvalidInput, NotFound
from functions.tasks.models import Task
from tests.series.support import Household

HOUR = timedelta(hours=1)
RULES = st.sampled_from(
    [
        {"type": "daily"},
        {"type": "daily", "count": 6},
        {"type": "weekly", "days_of_week": [0, 3]},
        {"type": "custom", "unit": "day", "interval": 2, "anchor": "completion"},
    ]
)
SCOPES = st.sampled_from(["this", "following"])
WHICH = st.integers(0, 10)


class Series(RuleBasedStateMachine):
    """Commands of a user on any of their tasks; events of the change log, delivered late, again and out of order."""

    database: Database

    def __init__(self) -> None:
        super().__init__()
        self.household = Household(self.database)
        self.moved: set[UUID] = set()
        """Tasks whose due date the user chose: it says nothing about their series."""
        self.places: dict[UUID, tuple[UUID | None, int, Any]] = {}
        """Where each task was last: series, number, due date."""

    @initialize(recurrence=RULES)
    def begin(self, recurrence: dict[str, Any]) -> None:
        self.household.create(recurrence=recurrence)

    def pick(self, which: int) -> Task:
        tasks = self.household.live()
        return tasks[which % len(tasks)]

    @rule(hours=st.integers(1, 100))
    def wait(self, hours: int) -> None:
        self.household.now += hours * HOUR

    @precondition(lambda self: self.household.live())
    @rule(which=WHICH)
    def complete(self, which: int) -> None:
        self.household.complete(self.pick(which).id)

    @precondition(lambda self: self.household.live())
    @rule(which=WHICH)
    def reopen(self, which: int) -> None:
        self.household.reopen(self.pick(which).id)

    @precondition(lambda self: self.household.live())
    @rule(which=WHICH)
    def skip(self, which: int) -> None:
        task = self.pick(which)
        try:
            self.household.skip(task.id)
        except InvalidInput:
            assert task.recurrence is None or task.status == "completed"
        else:
            self.moved.discard(task.id)

    @precondition(lambda self: self.household.live())
    @rule(which=WHICH, hours=st.integers(-100, 200), scope=SCOPES)
    def move(self, which: int, hours: int, scope: str) -> None:
        task = self.pick(which)
        self.household.edit(task.id, due_date=self.household.now + hours * HOUR, scope=scope)
        self.moved.add(task.id)

    @precondition(lambda self: self.household.live())
    @rule(which=WHICH, recurrence=st.none() | RULES)
    def recur(self, which: int, recurrence: dict[str, Any] | None) -> None:
        self.household.edit(self.pick(which).id, recurrence=recurrence)

    @precondition(lambda self: self.household.live())
    @rule(which=WHICH, scope=SCOPES)
    def delete(self, which: int, scope: str) -> None:
        task = self.pick(which)
        self.household.delete(task.id, scope=scope)
        self.moved.discard(task.id)

    @rule()
    def deliver(self) -> None:
        """Every event that there ever was; and again, from the last to the first: the second time changes nothing."""
        self.household.deliver()
        before = self.household.rows()
        self.household.deliver(list(reversed(self.household.events())))
        assert self.household.rows() == before

    @rule(data=st.data())
    def deliver_some(self, data: st.DataObject) -> None:
        events = self.household.events("task.completed")
        if events:
            self.household.deliver(data.draw(st.lists(st.sampled_from(events), max_size=4)))

    @invariant()
    def each_occurrence_is_there_once(self) -> None:
        rows = [row for row in self.household.rows() if row["occurrence"] is not None]
        places = Counter((row["recurrence_id"], row["occurrence"]) for row in rows)
        assert all(times == 1 for times in places.values())

    @invariant()
    def each_task_is_followed_once(self) -> None:
        links = Counter(row["follows"] for row in self.household.rows() if row["follows"])
        assert all(times == 1 for times in links.values())

    @invariant()
    def a_task_goes_forward_in_its_series(self) -> None:
        for task in self.household.live():
            if task.occurrence is None:
                self.places.pop(task.id, None)
                continue
            series, number, due = self.places.get(task.id, (None, 0, None))
            if series == task.recurrence_id:
                assert task.occurrence >= number
                if task.occurrence > number and task.id not in self.moved and due is not None:
                    assert task.due_date > due
            self.places[task.id] = (
                task.recurrence_id,
                task.occurrence,
                None if task.id in self.moved else task.due_date,
            )

    @invariant()
    def dates_grow_with_the_numbers(self) -> None:
        """In a series by its rule; from completion they follow what the user did."""
        by_rule = [
            task
            for task in self.household.live()
            if task.recurrence and task.recurrence.anchor == "due_date" and task.id not in self.moved
        ]
        for one in by_rule:
            for other in by_rule:
                if one.recurrence_id == other.recurrence_id and (one.occurrence or 0) < (other.occurrence or 0):
                    assert isinstance(one.due_date, datetime)
                    assert isinstance(other.due_date, datetime)
                    assert one.due_date < other.due_date

    @invariant()
    def nothing_is_left_of_a_task_that_is_gone(self) -> None:
        for row in self.household.rows("deleted_at is not null"):
            try:
                self.household.complete(row["task_id"])
            except NotFound:
                continue
            raise AssertionError(f"{row['task_id']} was deleted")


def test_no_sequence_of_commands_doubles_an_occurrence_or_goes_back(database: Database) -> None:
    class OnThisDatabase(Series):
        pass

    OnThisDatabase.database = database
    run_state_machine_as_test(
        OnThisDatabase,
        settings=settings(
            max_examples=1200, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
