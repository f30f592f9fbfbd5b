"""What a new version of a JSON Schema breaks for those who were built on the old one: a pure comparison.

Messages stay in topics and in change logs, so each version of a consumer meets messages of each version. Of what we
publish, a field therefore stays, stays required or not, and keeps its type to the letter: a wider one (another value of
an enumeration, null) an older consumer does not know, a narrower one older messages do not hold to. What we accept
from others may become wider, never narrower. A new field that nobody has to give is no change for anybody.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

Node = dict[str, Any]
Schema = Node | bool

MEND = "leave it as it was, and add an optional field or another type of event beside it"

_ANNOTATIONS = frozenset({"$schema", "$id", "$comment", "$defs", "title", "description", "examples", "default"})
_ANNOTATIONS |= {"deprecated", "readOnly", "writeOnly", "discriminator"}
_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_COMPARED = frozenset({"type", "format", "enum", "const", "properties", "required", "items", "additionalProperties"})
_COMPARED |= {*_LOWER, *_UPPER}


def breaks(old: Schema, new: Schema, *, accepted: bool = False) -> list[str]:
    """What `new` breaks, a line each: the JSON path, what is broken there, and how to mend it; [] for nothing.

    `accepted` is for messages that others publish. Both are draft 2020-12 as Pydantic writes it: a `$ref` is within
    its schema, and is looked through; of a keyword that is not known here any change is a break.
    """
    comparison = _Comparison(old, new, accepted)
    return [f"{path} {what}: {MEND}" for path, what in comparison.schemas("$", old, new)]


class _Comparison:
    def __init__(self, old: Schema, new: Schema, accepted: bool) -> None:
        self._old, self._new, self._accepted = old, new, accepted
        self._under_way: set[tuple[int, int]] = set()

    def schemas(self, path: str, old: Schema, new: Schema) -> list[tuple[str, str]]:
        """(path, what is broken) for two schemas of one value."""
        pair = (id(old), id(new))
        if pair in self._under_way:
            return []  # a model that contains itself: compared further up
        self._under_way.add(pair)
        try:
            return [*self._defaults(path, old, new), *self._alternatives(path, old, new)]
        finally:
            self._under_way.discard(pair)

    def _defaults(self, path: str, old: Schema, new: Schema) -> Iterator[tuple[str, str]]:
        """We fill in what others leave out, so what that means is part of what they say."""
        before, after = _resolved(old, self._old), _resolved(new, self._new)
        if self._accepted and "default" in before:
            was, now = _text(before["default"]), _text(after["default"]) if "default" in after else "nothing"
            if was != now:
                yield path, f"means {now} when it is left out, not {was} any more"

    def _alternatives(self, path: str, old: Schema, new: Schema) -> Iterator[tuple[str, str]]:
        before, after = _alternatives(old, self._old), _alternatives(new, self._new)
        pairs, lost, gained = [], [], list(after)
        for one in before:
            same = [other for other in gained if _kind(other) == _kind(one)]
            if same:
                # Of two objects, say, the one that it is, if it is one of them unchanged.
                match = next((other for other in same if not list(self._values(path, one, other))), same[0])
                gained.remove(match)
                pairs.append((one, match))
            else:
                lost.append(one)
        if self._accepted:
            gained = []
            for one in list(lost):
                if wider := [other for other in after if _covers(other, one)]:
                    lost.remove(one)
                    pairs.append((one, wider[0]))
        if lost or gained:
            yield path, f"was {_kinds(before)} and is {_kinds(after)}"
        for one, other in pairs:
            yield from self._values(path, one, other)

    def _values(self, path: str, old: Node, new: Node) -> Iterator[tuple[str, str]]:
        """For two alternatives of the same kind."""
        yield from self._enumerations(path, old, new)
        yield from self._limits(path, old, new)
        yield from self._fields(path, old, new)
        if "items" in old or "items" in new:
            yield from self.schemas(f"{path}[]", old.get("items", True), new.get("items", True))
        for keyword in sorted((old.keys() | new.keys()) - _COMPARED):
            if self._accepted and keyword not in new:
                continue  # one condition less
            if _whole(old.get(keyword), self._old) != _whole(new.get(keyword), self._new):
                yield path, f"has another {keyword!r}"

    def _enumerations(self, path: str, old: Node, new: Node) -> Iterator[tuple[str, str]]:
        before, after = _enumeration(old), _enumeration(new)
        if before == after:
            return
        if after is not None and (before is None or before - after):
            gone = "any other value" if before is None else ", ".join(sorted(before - after))
            yield path, f"does not allow {gone} any more"
        if before is not None and (after is None or after - before) and not self._accepted:
            added = "any value" if after is None else ", ".join(sorted(after - before))
            yield path, f"may be {added} now, which older consumers do not know"

    def _limits(self, path: str, old: Node, new: Node) -> Iterator[tuple[str, str]]:
        for keyword in (*_LOWER, *_UPPER):
            before, after = old.get(keyword), new.get(keyword)
            if before == after:
                continue
            raised = before is not None and after is not None and after > before
            narrower = after is not None and (before is None or raised == (keyword in _LOWER))
            if narrower or not self._accepted:
                yield path, f"has {keyword} {after}, not {before}"

    def _fields(self, path: str, old: Node, new: Node) -> Iterator[tuple[str, str]]:
        before, after = old.get("properties", {}), new.get("properties", {})
        others = old.get("additionalProperties", True), new.get("additionalProperties", True)
        required, requires = set(old.get("required", [])), set(new.get("required", []))
        for name in sorted(before.keys() - after.keys()):
            yield f"{path}.{name}", "is removed"
        for name in sorted(requires - required):
            yield f"{path}.{name}", "is newly required"
        if not self._accepted:
            for name in sorted(required - requires - (before.keys() - after.keys())):
                yield f"{path}.{name}", "is not always there any more"
        for name in sorted(after.keys() - before.keys()):
            if isinstance(others[0], dict) or (others[0] is False and not self._accepted):
                yield from self.schemas(f"{path}.{name}", others[0], after[name])
        for name in sorted(before.keys() & after.keys()):
            yield from self.schemas(f"{path}.{name}", before[name], after[name])
        yield from self.schemas(f"{path}.*", *others)


def _resolved(schema: Schema, root: Schema) -> Node:
    """The schema with what its `$ref` refers to."""
    node: Node = {} if isinstance(schema, bool) else schema
    while isinstance(root, dict) and str(node.get("$ref", "")).startswith("#"):
        target: Any = root
        for part in node["$ref"].split("/")[1:]:
            target = target[part.replace("~1", "/").replace("~0", "~")]
        node = _merged(target, {name: value for name, value in node.items() if name != "$ref"})
    return node


def _merged(one: Node, other: Node) -> Node:
    """A schema of what both demand; where they differ in a keyword, that of `one` is kept beside."""
    differ = {name: one[name] for name in one.keys() & other.keys() - _ANNOTATIONS if one[name] != other[name]}
    return one | other | ({"allOf": [differ, *other.get("allOf", [])]} if differ else {})


def _alternatives(schema: Schema, root: Schema) -> list[Node]:
    """The schema as a list of those that a value may be of, each of one type, without annotations."""
    if schema is False:
        return []
    node = _resolved(schema, root)
    own = {name: value for name, value in node.items() if name not in _ANNOTATIONS | {"anyOf", "oneOf"}}
    parts = [each for union in ("anyOf", "oneOf") for each in node.get(union, [])]
    if parts:
        return [_merged(own, part) for each in parts for part in _alternatives(each, root)]
    if isinstance(own.get("type"), list):
        return [own | {"type": each} for each in own["type"]]
    return [own]


def _kind(node: Node) -> str:
    kind = str(node.get("type", "anything"))
    return f"{kind} ({node['format']})" if "format" in node else kind


def _kinds(nodes: list[Node]) -> str:
    return " or ".join(map(_kind, nodes)) or "nothing"


def _covers(wide: Node, narrow: Node) -> bool:
    """Whether the kind of one has every value that the kind of the other has."""
    types = wide.get("type"), narrow.get("type")
    return "format" not in wide and (types[0] in (None, types[1]) or types == ("number", "integer"))


def _enumeration(node: Node) -> set[str] | None:
    """The only values that it allows, as JSON; None where it names none."""
    named = [node["enum"]] if "enum" in node else []
    named += [[node["const"]]] if "const" in node else []
    return set.intersection(*({_text(value) for value in values} for values in named)) if named else None


def _whole(value: Any, root: Schema, above: tuple[str, ...] = ()) -> Any:
    """A keyword's value with every `$ref` looked through, for a comparison to the letter."""
    if isinstance(value, list):
        return [_whole(each, root, above) for each in value]
    if not isinstance(value, dict):
        return value
    reference = value.get("$ref")
    if isinstance(reference, str) and reference not in above:
        return _whole(_resolved(value, root), root, (*above, reference))
    whole: Node = {}
    for name, each in value.items():
        if name == "properties":
            whole[name] = {field: _whole(of, root, above) for field, of in each.items()}
        elif name not in _ANNOTATIONS:
            whole[name] = _whole(each, root, above)
    return whole


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
