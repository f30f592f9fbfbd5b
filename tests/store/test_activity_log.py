"""The activity log: each change once, whoever tells it how often, and pages of it."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from psycopg.types.json import Jsonb

from functions.tasks.errors import InvalidInput
from functions.tasks.models import Activity, Caller
from functions.tasks.query import ListActivity, encode_cursor
from tests.store.world import HOUR, NOW, World, together


@pytest.fixture
def ann(world: World) -> Caller:
    return world.user()


@pytest.fixture
def busy(world: World, ann: Caller) -> Caller:
    """A user whose log has ten entries of two tasks, an hour apart."""
    first, second = world.add(ann, NOW, title="first", tags=["home"]), world.add(ann, NOW + HOUR, title="second")
    for hour in range(2, 7):
        world.update(ann, first.id, NOW + hour * HOUR, title=f"first {hour}")
    world.complete(ann, second.id, NOW + 7 * HOUR)
    world.delete(ann, second.id, NOW + 8 * HOUR)
    world.log.append(world.changes(ann))
    return ann


def page(world: World, caller: Caller, **query: Any) -> list[Activity]:
    return world.log.page(caller, ListActivity.model_validate(query)).items


def seqs(world: World, caller: Caller, **query: Any) -> list[int]:
    return [entry.seq for entry in page(world, caller, **query)]


class TestAppend:
    def test_keeps_each_change_once(self, world: World, ann: Caller) -> None:
        world.add(ann, tags=["home"])
        changes = world.changes(ann)
        world.log.append(changes)
        kept = page(world, ann)
        world.log.append(changes)
        world.log.append([*changes, *changes])
        assert page(world, ann) == kept
        assert [entry.seq for entry in kept] == [2, 1]

    def test_keeps_each_change_once_when_many_tell_it_at_once(self, world: World, ann: Caller) -> None:
        for number in range(20):
            world.add(ann, title=f"task {number}")
        changes = world.changes(ann)
        together(lambda number: world.log.append(changes if number % 2 else changes[::-1]), 8)
        assert seqs(world, ann) == list(range(20, 0, -1))

    def test_keeps_what_comes_late_and_out_of_order(self, world: World, ann: Caller) -> None:
        for _ in range(3):
            world.add(ann)
        first, second, third = world.changes(ann)
        for change in (third, first, second):
            world.log.append([change])
        assert seqs(world, ann) == [3, 2, 1]

    def test_keeps_what_the_change_said(self, world: World, ann: Caller) -> None:
        task = world.add(ann, title="Water", due_date="2026-11-24")
        world.update(ann, task.id, NOW + HOUR, title="Water plants")
        world.log.append(world.changes(ann))
        entry = page(world, ann)[0]
        assert (entry.event_type, entry.entity_type, entry.entity_id) == ("task.updated", "task", task.id)
        assert (entry.id, entry.timestamp) == (world.changes(ann)[1].event_id, NOW + HOUR)
        assert entry.details["title"] == "Water plants"
        assert entry.details["changes"] == {"title": ["Water", "Water plants"]}

    def test_keeps_nothing_that_the_change_log_does_not_say(self, world: World, ann: Caller) -> None:
        world.add(ann)
        (said,) = world.changes(ann)
        world.log.append([said.model_copy(update=other) for other in ({"seq": 2}, {"event_id": uuid4()})])
        assert page(world, ann) == []

    def test_of_nothing_is_nothing(self, world: World) -> None:
        world.log.append([])

    def test_keeps_a_reminder_with_its_task(self, world: World, ann: Caller) -> None:
        task = world.add(ann, due_date="2026-11-24T09:00:00Z", reminder_offset="PT1H")
        (reminder,) = task.reminders
        world.rows(
            "select append_event(%s, %s, 'reminder.sent', 'reminder', %s, %s, '', %s)",
            *(ann.user_id, uuid4(), reminder.id, NOW, Jsonb({"task_id": str(task.id), "channel": "in_app"})),
        )
        world.log.append(world.changes(ann))
        assert [entry.event_type for entry in page(world, ann, task_id=task.id)] == ["reminder.sent", "task.created"]


class TestPage:
    def test_is_newest_first(self, world: World, busy: Caller) -> None:
        assert seqs(world, busy) == list(range(10, 0, -1))

    @pytest.mark.parametrize("limit", [1, 3, 9, 10, 200])
    def test_after_page_is_the_whole(self, world: World, busy: Caller, limit: int) -> None:
        found: list[int] = []
        cursor = None
        while True:
            answer = world.log.page(busy, ListActivity(limit=limit, cursor=cursor))
            found += [entry.seq for entry in answer.items]
            cursor = answer.next_cursor
            if cursor is None:
                break
        assert found == list(range(10, 0, -1))

    def test_neither_skips_nor_repeats_while_the_log_grows(self, world: World, busy: Caller) -> None:
        answer = world.log.page(busy, ListActivity(limit=4))
        world.add(busy)
        world.log.append(world.changes(busy))
        rest = world.log.page(busy, ListActivity(limit=200, cursor=answer.next_cursor))
        assert [entry.seq for entry in answer.items + rest.items] == list(range(10, 0, -1))

    def test_may_be_reached_by_offset(self, world: World, busy: Caller) -> None:
        assert seqs(world, busy, offset=3, limit=2) == [7, 6]
        assert seqs(world, busy, offset=50) == []

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({"from": NOW.isoformat()}, list(range(10, 0, -1))),
            ({"from": (NOW + 7 * HOUR).isoformat()}, [10, 9]),
            ({"to": (NOW + 7 * HOUR).isoformat()}, list(range(8, 0, -1))),
            ({"from": (NOW + 2 * HOUR).isoformat(), "to": (NOW + 4 * HOUR).isoformat()}, [5, 4]),
            ({"event_type": "task.created,task.deleted"}, [10, 3, 2]),
            ({"event_type": "task.exploded"}, []),
            ({"event_type": "", "entity_type": ","}, list(range(10, 0, -1))),  # as in lists of tasks
            ({"entity_type": "tag"}, [1]),
            ({"entity_type": "tag,task", "event_type": "task.completed"}, [9]),
            ({"entity_id": str(uuid4())}, []),
            ({"task_id": str(uuid4())}, []),
        ],
        ids=str,
    )
    def test_has_what_the_filters_let_through(
        self, world: World, busy: Caller, query: dict[str, str], found: list[int]
    ) -> None:
        assert seqs(world, busy, **query) == found

    def test_of_a_task_is_its_history(self, world: World, busy: Caller) -> None:
        tag, task = (world.changes(busy)[number].entity_id for number in (0, 1))
        assert seqs(world, busy, task_id=task) == [8, 7, 6, 5, 4, 2]
        assert seqs(world, busy, entity_id=tag) == [1]

    @pytest.mark.parametrize(
        "key", [["seq"], ["seq", 0], ["seq", "5"], ["seq", 2**63], ["due_date asc", 5], []], ids=repr
    )
    def test_refuses_a_cursor_that_no_page_answered(self, world: World, busy: Caller, key: list[Any]) -> None:
        with pytest.raises(InvalidInput) as error:
            world.log.page(busy, ListActivity(cursor=encode_cursor(key)))
        assert error.value.field == "cursor"
