"""The JSON Schema (draft 2020-12) of each message on the topics, and of each type of event in the change log."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

from pydantic import BaseModel, create_model
from pydantic.json_schema import JsonSchemaMode

from functions.runtime.triggers import Function
from functions.tasks.event_data import EVENT_DATA
from functions.tasks.events import ChangeEvent, Command, Event, RawMessage

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

LIMITS = frozenset(
    {"minLength", "maxLength", "pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
    | {"minItems", "maxItems"}
)
"""How much callers may send, which is for the API to say: no consumer of an event is to count on it."""


def messages(functions: list[Function]) -> dict[str, type[BaseModel]]:
    """Topic -> the model of its messages: what the functions that it triggers take. Raises ValueError where two
    functions take different ones."""
    found: dict[str, type[BaseModel]] = {}
    for function in functions:
        for topic in function.topics:
            model = _message(function)
            if found.setdefault(topic.name, model) is not model:
                raise ValueError(f"{topic.name}: {function.name} takes {model.__name__}, not as others do")
    return found


def accepted(functions: list[Function]) -> set[str]:
    """The topics that others publish on: no function here does."""
    own = {name for function in functions for name in function.sends}
    own |= {topic.dead_letter for function in functions for topic in function.topics if topic.dead_letter}
    return messages(functions).keys() - own


def event_schemas(functions: list[Function]) -> dict[str, Schema]:
    """By name: CamelCase for the messages, the type itself for the events of the change log.

    What the functions publish is told as it is written, and open: consumers ignore what they do not know. What they
    accept from others is told as it is checked.
    """
    others = accepted(functions)
    schemas = {
        model.__name__: _schema(model, "validation") if topic in others else _published(model)
        for topic, model in messages(functions).items()
        if model is not RawMessage  # any bytes
    }
    return dict(sorted(schemas.items())) | {name: _published(_event(name)) for name in EVENT_DATA}


def _message(function: Function) -> type[BaseModel]:
    model = function.input
    assert model is not None, f"{function.name} has a topic and no input"
    return model if issubclass(model, Event) else _command(model)


@cache
def _command(model: type[BaseModel]) -> type[BaseModel]:
    """The envelope with the inputs of the function that it is for."""
    return create_model(f"{model.__name__}Command", __base__=Command, __doc__=Command.__doc__, command=(model, ...))


def _event(name: str) -> type[BaseModel]:
    fields: dict[str, Any] = {
        "type": (Literal[name], ...),
        "entity_type": (Literal[name.partition(".")[0]], ...),
        "data": (EVENT_DATA[name], ...),
    }
    return create_model(name, __base__=ChangeEvent, __doc__=ChangeEvent.__doc__, **fields)


def _schema(model: type[BaseModel], mode: JsonSchemaMode) -> Schema:
    return {"$schema": DIALECT, **model.model_json_schema(mode=mode)}


def _published(model: type[BaseModel]) -> Schema:
    opened: Schema = _open(_schema(model, "serialization"))
    return opened


def _open(schema: Any) -> Any:
    """The schema without LIMITS, and without objects that are closed."""
    if isinstance(schema, list):
        return [_open(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    opened: Schema = {}
    for name, value in schema.items():
        if name in ("properties", "$defs"):
            opened[name] = {each: _open(of) for each, of in value.items()}
        elif name in ("default", "const", "enum", "examples", "required"):
            opened[name] = value
        elif name not in LIMITS and not (name == "additionalProperties" and value is False):
            opened[name] = _open(value)
    return opened
