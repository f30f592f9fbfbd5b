"""Breaks, on any schema of the kinds that models make: none where nothing changed, and none that is not told."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.contract.schemas import FORMATS
from tests.contract.test_schema_changes import DAY, INTEGER, NULL, NUMBER, STRING, TIME, Node, either, one_of, what
from tools.schema_changes import breaks

_NAMES = st.sampled_from(["a", "b", "c", "d"])
_LEAVES: st.SearchStrategy[Node] = st.sampled_from(
    [STRING, TIME, DAY, NULL, INTEGER, NUMBER, {}, {"type": "boolean", "default": False}, STRING | one_of("x", "y"),
     INTEGER | {"minimum": 1, "maximum": 9}, STRING | {"pattern": "^x$"}, {"const": "z", "type": "string"}]
)  # fmt: skip


def _objects(children: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    def made(properties: Node, required: set[str]) -> Node:
        return {"type": "object", "properties": properties, "required": sorted(required & properties.keys())}

    return st.builds(made, st.dictionaries(_NAMES, children, max_size=3), st.sets(_NAMES))


_NODES: st.SearchStrategy[Node] = st.recursive(
    _LEAVES,
    lambda children: st.one_of(
        _objects(children),
        st.builds(lambda items: {"type": "array", "items": items}, children),
        st.builds(lambda parts: either(*parts), st.lists(children, min_size=1, max_size=3)),
    ),
    max_leaves=12,
)
_SCHEMAS = _objects(_NODES)


def _objects_within(node: Any) -> list[Node]:
    if isinstance(node, list):
        return [found for each in node for found in _objects_within(each)]
    if not isinstance(node, dict):
        return []
    found = [each for value in node.values() for each in _objects_within(value)]
    return [node, *found] if isinstance(node.get("properties"), dict) else found


@given(_SCHEMAS, st.booleans())
def test_nothing_breaks_itself(schema: Node, accepted: bool) -> None:
    assert breaks(schema, copy.deepcopy(schema), accepted=accepted) == []


@given(_SCHEMAS, _NODES, st.booleans(), st.data())
def test_a_new_optional_field_breaks_nothing_wherever_it_is(
    schema: Node, added: Node, accepted: bool, data: st.DataObject
) -> None:
    new = copy.deepcopy(schema)
    data.draw(st.sampled_from(_objects_within(new)))["properties"]["new"] = added
    assert breaks(schema, new, accepted=accepted) == []


@given(_SCHEMAS.filter(lambda schema: schema["properties"]), st.booleans(), st.data())
def test_a_removed_or_newly_required_field_is_always_told(schema: Node, accepted: bool, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(schema["properties"])))
    without, requiring = copy.deepcopy(schema), copy.deepcopy(schema)
    del without["properties"][name]
    without["required"] = [each for each in without["required"] if each != name]
    assert f"$.{name} is removed" in what(schema, without, accepted=accepted)
    requiring["properties"]["new"] = STRING
    requiring["required"].append("new")
    assert what(schema, requiring, accepted=accepted) == ["$.new is newly required"]


_CHANGES: dict[str, Callable[[Node], Node]] = {
    "nothing": lambda node: node,
    "or null": lambda node: either(node, NULL),
    "x or null": lambda node: either(node, NULL) | one_of("x", None),
    "or text": lambda node: either(node, STRING),
    "anything": lambda node: {},
    "text": lambda node: STRING,
    "no format, no limits": lambda node: {"type": node["type"]} if "type" in node else node,
    "its first alternative": lambda node: node["anyOf"][0] if "anyOf" in node else node,
    "nothing required": lambda node: node | {"required": []},
    "all required": lambda node: node | {"required": sorted(node.get("properties", {}))},
    "one value": lambda node: node | one_of("x") if node.get("type") == "string" else node,
}


def _values(schema: Node) -> st.SearchStrategy[Any]:
    """Values that a schema allows, and now and then one that it does not."""
    if "anyOf" in schema:
        return st.one_of(*map(_values, schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        return st.sampled_from(schema.get("enum", [schema.get("const")]))
    match schema.get("type"):
        case "object":
            named = {name: _values(each) for name, each in schema.get("properties", {}).items()}
            required = {name: named.get(name, st.just("x")) for name in schema.get("required", [])}
            return st.fixed_dictionaries(
                required, optional={name: named[name] for name in named.keys() - required.keys()}
            )
        case "array":
            return st.lists(_values(schema.get("items", {})), max_size=2)
        case "string":
            return st.sampled_from(["x", "y", "z", "2030-01-31", "2030-01-31T09:00:00Z"])
        case "null" | "boolean" as kind:
            return st.none() if kind == "null" else st.booleans()
        case "integer" | "number" as kind:
            return st.sampled_from([0, 1, 5, 9, 10] if kind == "integer" else [1, 1.5])
    return st.sampled_from([None, True, 0, 5, 1.5, "x", "2030-01-31", [], {}])


def _allows(schema: Node, value: Any) -> bool:
    return Draft202012Validator(schema, format_checker=FORMATS).is_valid(value)


@settings(max_examples=300)
@given(_SCHEMAS, st.booleans(), st.data())
def test_what_is_not_refused_breaks_nobody(old: Node, accepted: bool, data: st.DataObject) -> None:
    """What the new version publishes the old one allows; what was written for the old version the new one allows."""
    new = copy.deepcopy(old)
    for _ in range(data.draw(st.integers(1, 2))):
        within = data.draw(st.sampled_from(_objects_within(new)))
        if within["properties"]:
            name = data.draw(st.sampled_from(sorted(within["properties"])))
            change = data.draw(st.sampled_from(sorted(_CHANGES)))
            within["properties"][name] = _CHANGES[change](within["properties"][name])
    told = breaks(old, new, accepted=accepted)
    written, read = (old, new) if accepted else (new, old)
    value = data.draw(_values(written))
    if _allows(written, value):
        event(f"{'refused' if told else 'not refused'}, {'' if _allows(read, value) else 'not '}allowed")
        assert told or _allows(read, value)
