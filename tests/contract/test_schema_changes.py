"""What is a break: of what we publish, and of what others publish to us."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.contract.schemas import SCHEMAS
from tools.schema_changes import MEND, breaks

Node = dict[str, Any]

STRING = {"type": "string"}
TIME = {"type": "string", "format": "date-time"}
DAY = {"type": "string", "format": "date"}
NULL = {"type": "null"}
INTEGER = {"type": "integer"}
NUMBER = {"type": "number"}
OPEN: Node = {"type": "object"}
CLOSED = {"type": "object", "additionalProperties": False}


def field(schema: Any, *, required: bool = True) -> Node:
    """An object with one field, `a`."""
    return {"type": "object", "properties": {"a": schema}, "required": ["a"] if required else []}


def fields(*names: str, required: tuple[str, ...] = ()) -> Node:
    return {"type": "object", "properties": dict.fromkeys(names, STRING), "required": list(required)}


def either(*schemas: Node) -> Node:
    return {"anyOf": list(schemas)}


def one_of(*values: Any) -> Node:
    return {"enum": list(values)}


def what(old: Any, new: Any, *, accepted: bool = False) -> list[str]:
    """The breaks without how to mend them, which every one of them says."""
    found = breaks(old, new, accepted=accepted)
    assert all(line.endswith(f": {MEND}") and "\n" not in line for line in found)
    return [line.removesuffix(f": {MEND}") for line in found]


# old, new, what is told
BROKEN_EITHER_WAY: dict[str, tuple[Any, Any, str]] = {
    "a removed field": (fields("a", "b"), fields("a"), "$.b is removed"),
    "a removed required field": (fields("a", required=("a",)), fields(), "$.a is removed"),
    "a newly required field": (fields("a"), fields("a", required=("a",)), "$.a is newly required"),
    "a new field that is required": (fields(), fields("a", required=("a",)), "$.a is newly required"),
    "another type": (field(STRING), field(INTEGER), "$.a was string and is integer"),
    "a narrower type": (field(NUMBER), field(INTEGER), "$.a was number and is integer"),
    "an object for a list": (field({"type": "array"}), field(OPEN), "$.a was array and is object"),
    "another format": (field(TIME), field(DAY), "$.a was string (date-time) and is string (date)"),
    "a format": (field(STRING), field(TIME), "$.a was string and is string (date-time)"),
    "no null any more": (field(either(STRING, NULL)), field(STRING), "$.a was string or null and is string"),
    "one format of two": (
        field(either(TIME, DAY)), field(TIME), "$.a was string (date-time) or string (date) and is string (date-time)"
    ),
    "a type where anything went": (field({}), field(STRING), "$.a was anything and is string"),
    "nothing where anything went": (field(True), field(False), "$.a was anything and is nothing"),
    "a value less": (field(one_of("x", "y")), field(one_of("x")), '$.a does not allow "y" any more'),
    "a value of another type": (field(one_of(1)), field(one_of(True)), "$.a does not allow 1 any more"),
    "values where any went": (
        field(STRING), field(STRING | one_of("x")), "$.a does not allow any other value any more"
    ),
    "another constant": (field({"const": "x"}), field({"const": "y"}), '$.a does not allow "x" any more'),
    "within a list": (
        field({"type": "array", "items": STRING}), field({"type": "array", "items": INTEGER}),
        "$.a[] was string and is integer",
    ),
    "a type of items where anything went": (
        {"type": "array"}, {"type": "array", "items": STRING}, "$[] was anything and is string"
    ),
    "within a map": (
        {"type": "object", "additionalProperties": STRING}, {"type": "object", "additionalProperties": INTEGER},
        "$.* was string and is integer",
    ),
    "a field of another type in a map": (
        {"type": "object", "additionalProperties": STRING},
        {"type": "object", "additionalProperties": STRING, "properties": {"a": INTEGER}},
        "$.a was string and is integer",
    ),
    "a closed object": (OPEN, CLOSED, "$.* was anything and is nothing"),
    "a shorter maximum": (field({"type": "string", "maxLength": 9}), field({"type": "string", "maxLength": 8}),
                          "$.a has maxLength 8, not 9"),
    "a new maximum": (field(INTEGER), field(INTEGER | {"maximum": 8}), "$.a has maximum 8, not None"),
    "a higher minimum": (field(INTEGER | {"minimum": 0}), field(INTEGER | {"minimum": 1}), "$.a has minimum 1, not 0"),
    "a pattern": (field(STRING), field(STRING | {"pattern": "x"}), "$.a has another 'pattern'"),
    "another pattern": (
        field(STRING | {"pattern": "x"}), field(STRING | {"pattern": "y"}), "$.a has another 'pattern'"
    ),
    "a pair for a list": (
        field({"type": "array", "prefixItems": [STRING, STRING]}), field({"type": "array", "prefixItems": [STRING]}),
        "$.a has another 'prefixItems'",
    ),
    "a value less beside alternatives": (
        field(either(STRING, NULL) | one_of("x", None)), field(either(STRING, NULL) | one_of(None)),
        '$.a does not allow "x" any more',
    ),
    "a limit beside a definition": (
        {"$defs": {"A": STRING | {"maxLength": 9}}, **field({"$ref": "#/$defs/A", "maxLength": 8})},
        {"$defs": {"A": STRING | {"maxLength": 7}}, **field({"$ref": "#/$defs/A", "maxLength": 8})},
        "$.a has another 'allOf'",
    ),
    "deep inside": (field(field(field(STRING))), field(field(field(INTEGER))), "$.a.a.a was string and is integer"),
    "inside one of two": (field(either(field(STRING), NULL)), field(either(field(TIME), NULL)),
                          "$.a.a was string and is string (date-time)"),
}  # fmt: skip

WIDER: dict[str, tuple[Any, Any, str]] = {
    "null": (field(STRING), field(either(STRING, NULL)), "$.a was string and is string or null"),
    "null, as a list of types": (
        field(STRING), field({"type": ["string", "null"]}), "$.a was string and is string or null"
    ),
    "a wider type": (field(INTEGER), field(NUMBER), "$.a was integer and is number"),
    "no format any more": (field(TIME), field(STRING), "$.a was string (date-time) and is string"),
    "anything": (field(STRING), field({}), "$.a was string and is anything"),
    "another value": (
        field(one_of("x")), field(one_of("x", "y")), '$.a may be "y" now, which older consumers do not know'
    ),
    "any value": (
        field(STRING | one_of("x")), field(STRING), "$.a may be any value now, which older consumers do not know"
    ),
    "a value beside a constant": (
        field({"const": "x"}), field(one_of("x", "y")), '$.a may be "y" now, which older consumers do not know'
    ),
    "not always there": (fields("a", required=("a",)), fields("a"), "$.a is not always there any more"),
    "an open object": (CLOSED, OPEN, "$.* was nothing and is anything"),
    "a field in a closed object": (CLOSED, CLOSED | {"properties": {"a": STRING}}, "$.a was nothing and is string"),
    "a longer maximum": (
        field({"type": "string", "maxLength": 8}), field({"type": "string", "maxLength": 9}),
        "$.a has maxLength 9, not 8",
    ),
    "no minimum": (field(INTEGER | {"minimum": 0}), field(INTEGER), "$.a has minimum None, not 0"),
    "no pattern": (field(STRING | {"pattern": "x"}), field(STRING), "$.a has another 'pattern'"),
}  # fmt: skip

SAME: dict[str, tuple[Any, Any]] = {
    "a new field": (fields("a"), fields("a", "b")),
    "a new object": (fields("a"), fields("a") | {"properties": {"a": STRING, "b": fields("c", required=("c",))}}),
    "words": (
        field(STRING),
        field(STRING | {"title": "A", "description": "the first letter", "examples": ["x"], "deprecated": True})
        | {"description": "x", "$comment": "y"},
    ),
    "another order": (
        field(either(TIME, NULL)) | {"required": ["a", "b"]},
        {"required": ["b", "a"], "properties": {"a": either(NULL, TIME)}, "type": "object"},
    ),
    "values in another order": (field(one_of("x", None)), field(one_of(None, "x"))),
    "a constant as the only value": (field({"const": "x"}), field(one_of("x"))),
    "oneOf for anyOf": (field(either(STRING, NULL)), field({"oneOf": [NULL, STRING]})),
    "types as a list": (field(either(STRING, NULL)), field({"type": ["null", "string"]})),
    "alternatives within alternatives": (field(either(TIME, DAY, NULL)), field(either(either(TIME, NULL), DAY))),
    "true for anything": (field(True), field({})),
    "objects in another order": (
        field(either(field(one_of("x")), field(one_of("y")))),
        field(either(field(one_of("y")), field(one_of("x")))),
    ),
    "a definition that moved out": (
        field(field(STRING)), {"$defs": {"A": field(STRING)}, **field({"$ref": "#/$defs/A", "description": "moved"})}
    ),
    "a definition with another name": (
        {"$defs": {"A": STRING}, **field({"$ref": "#/$defs/A"})},
        {"$defs": {"B": {"$ref": "#/$defs/C"}, "C": STRING}, **field({"$ref": "#/$defs/B"})},
    ),
    "a definition beside a keyword that is compared whole": (
        field({"prefixItems": [STRING, fields("title")]}),
        {"$defs": {"A": fields("title"), "B~/": STRING},
         **field({"prefixItems": [{"$ref": "#/$defs/B~0~1"}, {"$ref": "#/$defs/A"}]})},
    ),
    "a model of itself": (
        {"$defs": {"T": fields("a") | {"properties": {"next": either({"$ref": "#/$defs/T"}, NULL)}}},
         "$ref": "#/$defs/T"},
        {"$defs": {"U": fields("a") | {"properties": {"next": either({"$ref": "#/$defs/U"}, NULL)}}},
         **field({"$ref": "#/$defs/U"})["properties"]["a"]},
    ),
    "no definition that nothing refers to": ({"$defs": {"A": STRING}, **field(STRING)}, field(STRING)),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN_EITHER_WAY)
@pytest.mark.parametrize("accepted", [False, True], ids=["published", "accepted"])
def test_is_broken(case: str, accepted: bool) -> None:
    old, new, told = BROKEN_EITHER_WAY[case]
    assert told in what(old, new, accepted=accepted)


@pytest.mark.parametrize("case", WIDER)
def test_what_becomes_wider_breaks_those_who_read_it_and_not_those_who_write_it(case: str) -> None:
    old, new, told = WIDER[case]
    assert what(old, new) == [told]
    assert what(old, new, accepted=True) == []


@pytest.mark.parametrize("case", SAME)
@pytest.mark.parametrize("accepted", [False, True], ids=["published", "accepted"])
def test_is_not_broken(case: str, accepted: bool) -> None:
    old, new = SAME[case]
    assert what(old, new, accepted=accepted) == []


def test_what_is_left_out_means_what_it_meant() -> None:
    """Only where others write it: what we publish says every field."""
    medium, low, none = (
        field(STRING | default, required=False) for default in ({"default": "m"}, {"default": "l"}, {})
    )
    assert what(medium, low, accepted=True) == ['$.a means "l" when it is left out, not "m" any more']
    assert what(medium, none, accepted=True) == ['$.a means nothing when it is left out, not "m" any more']
    assert what(none, medium, accepted=True) == []
    assert what(medium, low) == []


def test_each_break_is_told_where_it_is() -> None:
    old = {"$defs": {"A": fields("x", "y")}, **fields("a"), "properties": {"a": {"$ref": "#/$defs/A"}, "b": NULL}}
    new = {"$defs": {"A": fields("x") | {"required": ["z"]}}, **fields("a"), "properties": {"a": {"$ref": "#/$defs/A"}}}
    assert what(old, new) == ["$.b is removed", "$.a.y is removed", "$.a.z is newly required"]


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("accepted", [False, True], ids=["published", "accepted"])
def test_no_committed_schema_breaks_itself(name: str, accepted: bool) -> None:
    assert breaks(SCHEMAS[name], copy.deepcopy(SCHEMAS[name]), accepted=accepted) == []


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("Changes", "$.events[].seq"),
        ("task.created", "$.data.task.reminders[].scheduled_time"),
        ("reminder.snoozed", "$.data.task.tags[].color"),
        ("CreateTaskCommand", "$.command.reminders[].at"),
        ("NotificationSend", "$.delivery.channel"),
    ],
)
def test_a_field_of_a_committed_schema_is_missed_when_it_is_gone(name: str, path: str) -> None:
    schema = copy.deepcopy(SCHEMAS[name])
    field = path.rpartition(".")[2]
    for node in [schema, *schema["$defs"].values()]:
        if field in node["properties"]:
            del node["properties"][field]
            node["required"] = [each for each in node.get("required", []) if each != field]
    assert f"{path} is removed" in what(SCHEMAS[name], schema)
