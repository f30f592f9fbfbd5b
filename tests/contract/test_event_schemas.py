"""The committed schemas: one for each message and type of event, valid, and open where we publish."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from jsonschema import Draft202012Validator

from functions.runtime.event_schemas import DIALECT, LIMITS, accepted, event_schemas, messages
from functions.runtime.inputs import read_event
from functions.runtime.triggers import Function, Topic, load
from functions.tasks.errors import InvalidInput
from functions.tasks.event_data import EVENT_DATA
from functions.tasks.events import TASK_CREATE, Changes, Event, NotificationSend, ReminderDue
from tests.contract.life import Life
from tests.contract.schemas import SCHEMAS, Json, errors, wire

CATALOGUE = load()
COMMANDS = {messages(CATALOGUE)[topic].__name__ for topic in accepted(CATALOGUE)}


def nodes(schema: Any) -> Iterator[Json]:
    """Every object within a schema."""
    if isinstance(schema, dict):
        yield schema
        for each in schema.values():
            yield from nodes(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from nodes(each)


def test_there_is_one_for_each_message_and_each_type_of_event() -> None:
    named = {"Changes", "CreateTaskCommand", "ReminderDue", "NotificationSend"}
    assert named | EVENT_DATA.keys() == SCHEMAS.keys() == event_schemas(CATALOGUE).keys()


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_is_a_schema_that_stands_alone(name: str) -> None:
    schema = SCHEMAS[name]
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == DIALECT
    references = {node["$ref"] for node in nodes(schema) if isinstance(node.get("$ref"), str)}
    assert references <= {f"#/$defs/{definition}" for definition in schema.get("$defs", {})}


@pytest.mark.parametrize("name", sorted(SCHEMAS.keys() - COMMANDS))
def test_what_we_publish_is_open_and_has_no_limits(name: str) -> None:
    """A consumer that validates what it reads is not to refuse a field that came later."""
    for node in nodes(SCHEMAS[name]):
        assert node.get("additionalProperties") is not False
        if node.get("type") in ("string", "integer", "number", "array"):
            assert not LIMITS & node.keys()


@pytest.mark.parametrize("name", EVENT_DATA)
def test_the_schema_of_an_event_is_of_that_type_only(name: str) -> None:
    properties = SCHEMAS[name]["properties"]
    assert properties["type"]["const"] == name
    assert properties["entity_type"]["const"] == name.partition(".")[0]
    assert {"type", "entity_type", "data"} <= set(SCHEMAS[name]["required"])


@pytest.mark.parametrize(
    ("field", "spoil"),
    [
        ("type", lambda change: change | {"type": "task.exploded"}),
        ("occurred_at", lambda change: change | {"occurred_at": "yesterday"}),
        ("user_id", lambda change: change | {"user_id": "ann"}),
        ("seq", lambda change: change | {"seq": "1"}),
        ("data", lambda change: change | {"data": {}}),
        ("data", lambda change: {name: value for name, value in change.items() if name != "data"}),
    ],
)
def test_an_event_that_is_not_as_its_type_says_is_refused(
    life: Life, field: str, spoil: Callable[[Json], Json]
) -> None:
    for change in map(wire, life.sidecar.changes):
        found = errors(change["type"], spoil(change))
        assert found
        assert all(field in error for error in found), found


def test_a_date_and_a_duration_are_told_from_any_text(life: Life) -> None:
    change = next(wire(each) for each in life.sidecar.changes if each.type == "task.created")
    assert errors("task.created", change) == []
    change["data"]["task"] |= {"created_at": "2030-02-30T00:00:00Z", "due_date": "31.1.2030", "reminder_offset": "1 h"}
    told = " ".join(errors("task.created", change))
    assert all(name in told for name in ("created_at", "due_date", "reminder_offset"))


class TestCommands:
    """What others publish is refused by the schema where the function refuses it, and taken where it takes it."""

    create_task = next(function for function in CATALOGUE if function.name == "create-task")

    def read(self, message: Json) -> None:
        read_event(self.create_task, json.dumps(message).encode(), "event-1")

    @pytest.mark.parametrize(
        ("envelope", "command"),
        [
            ({}, {"title": "a"}),
            ({"name": "Ann", "email": None, "correlation_id": "c"}, {"title": "a", "id": str(uuid4())}),
            ({"new_in_2030": {"a": 1}}, {"title": "a", "due_date": "2030-01-31", "recurrence": {"type": "daily"}}),
            ({}, {"title": "a", "due_date": "2030-01-31T09:00:00Z", "reminders": [{"offset": "PT1H"}], "tags": ["x"]}),
        ],
    )
    def test_are_taken(self, envelope: Json, command: Json) -> None:
        message = {"user_id": str(uuid4()), "command": command} | envelope
        assert errors("CreateTaskCommand", message) == []
        self.read(message)

    @pytest.mark.parametrize(
        ("envelope", "command"),
        [
            ({}, {}),
            ({}, {"title": "a", "new_in_2030": 1}),
            ({}, {"title": "a" * 501}),
            ({}, {"title": "a", "priority": "highest"}),
            ({}, {"title": "a", "due_date": "31.1.2030"}),
            ({"user_id": "ann"}, {"title": "a"}),
        ],
    )
    def test_are_refused(self, envelope: Json, command: Json) -> None:
        message = {"user_id": str(uuid4()), "command": command} | envelope
        assert errors("CreateTaskCommand", message) != []
        with pytest.raises((ValueError, InvalidInput)):
            self.read(message)


def test_the_message_of_a_topic_is_what_its_functions_take() -> None:
    found = messages(CATALOGUE)
    assert found["task.events"] is found["reminder.events"] is Changes
    assert found["reminder.due"] is ReminderDue
    assert found["notification.send"] is found["notification.dlq"] is NotificationSend
    assert accepted(CATALOGUE) == {TASK_CREATE}


def test_two_functions_that_take_different_messages_of_a_topic_are_told() -> None:
    def hear(message: Changes) -> None: ...
    def mishear(message: Event) -> None: ...

    functions = [Function(each.__name__, each, (Topic("thing.events"),)) for each in (hear, mishear)]
    with pytest.raises(ValueError, match=r"thing\.events: mishear takes Event"):
        messages(functions)
