"""From a request or a message to a function's arguments: inputs are validated, dependencies come by type."""

from __future__ import annotations

import json
import typing
from collections.abc import Callable
from datetime import UTC, datetime
from types import NoneType
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID, uuid5

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from functions.runtime.interceptor import Invocation, current
from functions.runtime.triggers import Function
from functions.tasks.errors import InvalidInput
from functions.tasks.events import Command, Event, RawMessage
from functions.tasks.models import Caller

Services = dict[type, object]
"""What handlers may ask for by the type of a parameter."""

COMMAND_IDS = UUID("0d5f0c52-6a8e-5d11-8c59-2f8c52d0a7c4")
"""Namespace (RFC 9562 section 5.5) of the ids of what commands on a topic create."""


def gather(function: Function, verb: str, query: str, body: bytes) -> dict[str, Any]:
    """The inputs of an invocation: the JSON object of the body, the query (where the edge puts path parameters),
    and what the verb says. Raises InvalidInput for what is not of that shape, or is said twice differently."""
    verbs = {http.verb for http in function.https} | {"POST"}
    if verb not in verbs:
        raise InvalidInput("method", f"must be {' or '.join(sorted(verbs))}")
    inputs = {} if function.public and not body.lstrip().startswith(b"{") else _object(body)
    for name, value in _query(query):
        parsed = _parse(function, name, value)
        if inputs.setdefault(name, parsed) != parsed:
            raise InvalidInput(name[:200], "is given twice")
    return with_said(function, verb, inputs)


def with_said(function: Function, verb: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """The inputs with what the verb by itself says."""
    fixed = [http.fixed for http in function.https if http.verb == verb]
    if fixed and all(other == fixed[0] for other in fixed):
        return fixed[0] | inputs
    return inputs


def _object(body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    try:
        value = from_json(body, allow_inf_nan=False)
    except ValueError:
        raise InvalidInput("body", "is not JSON") from None
    if not isinstance(value, dict):
        raise InvalidInput("body", "must be a JSON object")
    json.loads(body, object_pairs_hook=_once, parse_int=str, parse_float=str)  # from_json keeps the last of two
    return value


def _once(pairs: list[tuple[str, Any]]) -> None:
    """Refuses an object that says a name twice: either value may be the one that was meant."""
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise InvalidInput(name[:200], "is given twice")
        seen.add(name)


def _query(query: str) -> list[tuple[str, str]]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError:
        raise InvalidInput("query", "is malformed") from None
    return [pair for pair in pairs if pair[0]]


def _parse(function: Function, name: str, value: str) -> Any:
    """A query value as the JSON value that it stands for, where the field is a number or a boolean."""
    model = function.input
    field = next((f for n, f in model.model_fields.items() if name in (n, f.alias)), None) if model else None
    kinds = set(typing.get_args(field.annotation)) or {field.annotation} if field else set()
    kinds = {typing.get_args(kind)[0] if typing.get_origin(kind) is typing.Annotated else kind for kind in kinds}
    if bool in kinds and value in ("true", "false"):
        return value == "true"
    if int in kinds - {NoneType} and value.isascii() and value.removeprefix("-").isdigit() and len(value) < 20:
        return int(value)
    return value


def read_event(function: Function, data: bytes, identity: str) -> tuple[BaseModel, Caller | None]:
    """The message of a topic as the function's input; for a command, with the user it is for.

    `identity` is the CloudEvent's id. Raises ValueError (pydantic's) or InvalidInput for a message that this version
    cannot read.
    """
    model = function.input
    assert model is not None, f"{function.name} has a topic and no input"
    if issubclass(model, RawMessage):
        return model(data=data), None
    if issubclass(model, Event):
        return model.model_validate_json(data), None
    envelope = Command.model_validate_json(data)
    inputs = dict(envelope.command)
    if "id" in model.model_fields and inputs.get("id") is None:
        inputs["id"] = str(uuid5(COMMAND_IDS, identity))
    caller = Caller(
        user_id=envelope.user_id,
        name=envelope.name,
        email=envelope.email,
        correlation_id=envelope.correlation_id or identity,
        by_message=True,
    )
    return model.model_validate(inputs), caller


def bind(function: Function, services: Services) -> Callable[[BaseModel | None, Caller | None], Any]:
    """The handler with its dependencies filled in: the input, the caller, the time (a datetime), the
    Invocation of one by HTTP, and services.

    Raises TypeError, when the process starts, for a parameter of a type that nothing provides.
    """
    hints = {name: kind for name, kind in function.hints.items() if name != "return"}
    fixed: dict[str, object] = {}
    for name, kind in hints.items():
        if kind in services:
            fixed[name] = services[kind]
        elif kind not in (function.input, Caller, Invocation, datetime):
            raise TypeError(f"{function.name}: nothing provides {name}: {kind}")

    def call(inputs: BaseModel | None, caller: Caller | None) -> Any:
        given = dict(fixed)
        for name, kind in hints.items():
            if kind is function.input:
                given[name] = inputs
            elif kind is Caller:
                given[name] = caller
            elif kind is Invocation:
                given[name] = current()
            elif kind is datetime:
                given[name] = datetime.now(UTC)
        try:
            return function.handler(**given)
        except ValidationError as error:
            # The input is valid: a model that fails inside is a fault of ours, not of the caller.
            raise RuntimeError("a model does not hold") from error

    return call
