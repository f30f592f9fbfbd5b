"""Consumers ignore what they do not know: fields at every level, and types of events."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg.types.json import Jsonb

from functions.runtime.inputs import read_event
from functions.runtime.triggers import Function, load
from functions.tasks.events import ChangeEvent, Changes, Event, NotificationSend, ReminderDue
from functions.tasks.models import Activity, Caller
from functions.tasks.query import ListActivity
from tests.contract.life import Life
from tests.contract.schemas import SCHEMAS, Json, errors, wire
from tests.store.world import HOUR, NOW, World

CONSUMERS = {function.name: function for function in load() if function.topics}
LATER = {"said": ["in 2030", {"by": "a later version"}]}


@pytest.fixture
def ann(world: World) -> Caller:
    return world.user()


def later(value: Any) -> Any:
    """The same with a field more in every object (`changes` is none: it has the names of fields)."""
    if isinstance(value, list):
        return [later(each) for each in value]
    if isinstance(value, dict):
        known = {name: each if name == "changes" else later(each) for name, each in value.items()}
        return known | {"new_in_2030": LATER}
    return value


def heard(function: Function, message: Json) -> Any:
    return read_event(function, json.dumps(message).encode(), "event-1")[0]


def unknown_event(caller: Caller, seq: int, entity_type: str, data: Json) -> Json:
    return {
        "event_id": str(uuid4()),
        "type": f"{entity_type}.exploded",
        "user_id": str(caller.user_id),
        "seq": seq,
        "occurred_at": NOW.isoformat(),
        "entity_type": entity_type,
        "entity_id": str(uuid4()),
        "data": data,
    }


def entries(world: World, caller: Caller) -> dict[str, Activity]:
    return {entry.event_type: entry for entry in world.log.page(caller, ListActivity(limit=200)).items}


@pytest.mark.parametrize("name", sorted(SCHEMAS.keys() - {"CreateTaskCommand"}))
def test_the_schemas_let_a_later_version_say_more(life: Life, name: str) -> None:
    published: list[tuple[str, Event]] = [(change.type, change) for change in life.sidecar.changes]
    published += [(type(message).__name__, message) for message in life.sidecar.messages]
    published += [("Changes", Changes(events=life.sidecar.changes))]
    said = [wire(message) for kind, message in published if kind == name]
    assert said
    assert [error for message in said for error in errors(name, later(message))] == []


@pytest.mark.parametrize("name", [name for name in CONSUMERS if name not in ("create-task", "bury-message")])
def test_each_consumer_reads_the_same_where_more_is_said(life: Life, name: str) -> None:
    function = CONSUMERS[name]
    messages = [*life.sidecar.messages, Changes(events=life.sidecar.changes)]
    mine = [message for message in messages if isinstance(message, function.input or Event)]
    assert mine
    for message in mine:
        read = heard(function, later(wire(message)))
        if isinstance(message, ReminderDue | NotificationSend):
            assert read == message
        else:
            assert [change.type for change in read.events] == [change.type for change in life.sidecar.changes]


class TestLogActivity:
    log_activity = CONSUMERS["log-activity"]

    def hear(self, world: World, *events: Json) -> None:
        self.log_activity.handler(heard(self.log_activity, {"events": list(events)}), world.log)

    def test_keeps_the_same_of_an_event_that_says_more(self, world: World, ann: Caller) -> None:
        task = world.add(ann, due_date="2030-01-31")
        world.update(ann, task.id, NOW + HOUR, title="b")
        self.hear(world, *(later(wire(change)) for change in world.changes(ann)))
        kept = entries(world, ann)["task.updated"].details
        plain = world.user()
        again = world.add(plain, due_date="2030-01-31")
        world.update(plain, again.id, NOW + HOUR, title="b")
        self.hear(world, *map(wire, world.changes(plain)))
        assert kept == entries(world, plain)["task.updated"].details

    @pytest.mark.parametrize(
        "data",
        [{}, {"moon": "full"}, {"task": None}, {"task": "gone"}, {"moon": {"phase": 1}, "task_id": None}],
        ids=str,
    )
    @pytest.mark.parametrize("entity_type", ["task", "tag", "reminder", "comment"])
    def test_keeps_an_event_of_an_unknown_type_and_those_around_it(
        self, world: World, ann: Caller, entity_type: str, data: Json
    ) -> None:
        task = world.add(ann)
        strange = unknown_event(ann, 2, entity_type, data)
        world.rows(
            "select append_event(%s, %s, %s, %s, %s, %s, '', %s)",
            *(strange[name] for name in ("user_id", "event_id", "type", "entity_type", "entity_id", "occurred_at")),
            Jsonb(data),
        )
        world.complete(ann, task.id)
        created, _, completed = map(wire, world.changes(ann))
        self.hear(world, created, strange, completed)
        kept = entries(world, ann)
        assert kept.keys() == {"task.created", f"{entity_type}.exploded", "task.completed"}
        entry = kept[f"{entity_type}.exploded"]
        assert (entry.entity_type, entry.entity_id) == (entity_type, UUID(strange["entity_id"]))
        assert entry.details == {name: value for name, value in data.items() if name != "task"}


class TestSpawnRecurrence:
    spawn_recurrence = CONSUMERS["spawn-recurrence"]

    def hear(self, world: World, *events: Json) -> None:
        self.spawn_recurrence.handler(heard(self.spawn_recurrence, {"events": list(events)}), world.tasks, NOW)

    @pytest.fixture
    def completed(self, world: World, ann: Caller) -> ChangeEvent:
        task = world.add(ann, due_date="2030-01-31T09:00:00Z", recurrence={"type": "daily"})
        world.complete(ann, task.id)
        return world.changes(ann)[-1]

    def test_makes_the_next_occurrence_where_more_is_said(
        self, world: World, ann: Caller, completed: ChangeEvent
    ) -> None:
        self.hear(world, later(wire(completed)))
        assert world.types(ann) == ["task.created", "task.completed", "task.created"]

    def test_ignores_an_event_of_an_unknown_type_and_hears_those_around_it(
        self, world: World, ann: Caller, completed: ChangeEvent
    ) -> None:
        strange = unknown_event(ann, 3, "task", {}) | {"entity_id": str(completed.entity_id)}
        self.hear(world, strange)
        assert world.types(ann) == ["task.created", "task.completed"]
        self.hear(world, strange, wire(completed), strange)
        assert world.types(ann) == ["task.created", "task.completed", "task.created"]
