"""The committed schemas, as a consumer would use them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.protocols import Validator

from functions.runtime.render import EVENTS, ROOT
from functions.tasks.events import Event
from functions.tasks.values import duration

Json = dict[str, Any]

SCHEMAS: dict[str, Json] = {path.stem: json.loads(path.read_text()) for path in (ROOT / EVENTS).glob("*.json")}
"""By name: CamelCase for messages, the type for events of the change log."""

FORMATS = FormatChecker(("date", "date-time", "uuid"))
FORMATS.checks("duration", raises=ValueError)(lambda value: not isinstance(value, str) or bool(duration(value)))


def validator(name: str) -> Validator:
    return Draft202012Validator(SCHEMAS[name], format_checker=FORMATS)


def errors(name: str, message: Json) -> list[str]:
    """What is wrong with a message, by the schema of this name; formats are checked too."""
    return [f"{name} {error.json_path}: {error.message}" for error in validator(name).iter_errors(message)]


def wire(event: Event) -> Json:
    """The event as it is published."""
    data: Json = json.loads(event.model_dump_json())
    return data


def unknown(name: str, message: Json) -> Iterator[str]:
    """The names of fields, at any level, of which the schema says nothing."""
    for error in Draft202012Validator(_closed(SCHEMAS[name])).iter_errors(message):
        if error.validator == "additionalProperties":
            yield from error.instance.keys() - error.schema["properties"].keys()


def _closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(each) for name, each in schema.items()}
    return closed | ({"additionalProperties": False} if isinstance(schema.get("properties"), dict) else {})
