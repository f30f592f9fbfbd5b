"""The OpenAPI 3.1 document of the public API, in both of its spellings, from the functions' declarations."""

from __future__ import annotations

import types
import typing
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from functions.runtime.commands import HEADER, MAX_KEY
from functions.runtime.triggers import Function, Http
from functions.tasks.models import Page

ERRORS = {
    400: "bad input: `details` names each field",
    401: "no token, or one that does not hold",
    403: "the token is not for this",
    404: "not there, or not yours",
    405: "this path does not take this method",
    409: "already there, or a stale version",
    413: "the body is larger than 1 MB",
    429: "too many requests: try again after the seconds of `Retry-After`",
    503: "not ready, or a dependency is down: try again",
}
_TOO_LONG = {
    "description": "the URL and the headers together are larger than 16 KB",
    "content": {"text/plain": {"schema": {"type": "string"}}},
}
"""The one answer that the edge's HTTP server gives by itself, before anything of ours reads the request."""

_REF = "#/components/schemas/{model}"


def openapi(functions: list[Function]) -> dict[str, Any]:
    """Every HTTP function by its REST paths, and by the Dapr API's spelling."""
    exposed = [function for function in functions if function.https]
    inputs = [function.input for function in exposed if function.input]
    answers = [model for function in exposed for model in _answers(function)]
    models: list[tuple[type[BaseModel], Literal["validation", "serialization"]]] = [
        *((model, "validation") for model in dict.fromkeys(inputs)),
        *((model, "serialization") for model in dict.fromkeys(answers)),
    ]
    refs, definitions = models_json_schema(models, ref_template=_REF)
    schemas: dict[str, Any] = definitions.get("$defs", {})
    schemas["Error"] = _ERROR
    paths: dict[str, dict[str, Any]] = {}
    for function in exposed:
        for http in function.https:
            paths.setdefault(http.path, {})[http.verb.lower()] = _operation(function, http, refs, schemas)
        spelled = f"/v1.0/invoke/{function.name}/method/{function.name}"
        paths[spelled] = {"post": _operation(function, None, refs, schemas)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tickler",
            "version": "1",
            "description": "Each function has REST paths, and a Dapr spelling that takes all inputs in one object.",
        },
        "security": [{"bearer": []}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": dict(sorted(schemas.items())),
        },
    }


def _answers(function: Function) -> list[type[BaseModel]]:
    answer = function.hints["return"]
    union = isinstance(answer, types.UnionType)
    models = typing.get_args(answer) if union else (answer,)
    return [model for model in models if issubclass(model, BaseModel) and model is not Page]


def _operation(
    function: Function, http: Http | None, refs: dict[tuple[Any, Any], Any], schemas: dict[str, Any]
) -> dict[str, Any]:
    model = function.input
    verb = http.verb if http else "POST"
    suffix = "" if http is None else "-" + "-".join([verb.lower(), *map(str, http.fixed.values())])
    answer = [refs[(answer, "serialization")] for answer in _answers(function)]
    either = answer[0] if len(answer) == 1 else {"anyOf": answer}
    content = {"application/json": {"schema": either}} if answer else {"text/html": {"schema": {"type": "string"}}}
    operation: dict[str, Any] = {
        "operationId": function.name + suffix,
        "tags": [function.name],
        "summary": function.summary,
        "responses": {
            "200": {
                "description": "done",
                "content": content,
            }
        }
        | {
            str(status): {
                "description": text,
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
            }
            for status, text in sorted(ERRORS.items())
        }
        | {"431": _TOO_LONG},
    }
    if function.public:
        operation["security"] = []
    if function.once and not (http and http.reads):
        operation["parameters"] = [_KEY]
    if model is None:
        return operation
    reference = refs[(model, "validation")]
    if http is None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": reference}}}
        return operation
    schema = schemas[reference["$ref"].rpartition("/")[2]]
    in_path = [part[1:-1] for part in http.path.split("/") if part.startswith("{")]
    said = {*in_path, *http.fixed}
    parameters = [_parameter(name, schema["properties"][name], "path") for name in in_path]
    others = {name: value for name, value in schema["properties"].items() if name not in said}
    required = [name for name in schema.get("required", []) if name in others]
    # What a DELETE cannot do without goes in its body: an address in a URL would be in logs.
    if verb == "GET" or (verb == "DELETE" and not required):
        parameters += [_parameter(name, value, "query", name in required) for name, value in others.items()]
    elif others:
        body = {
            "type": "object",
            "additionalProperties": False,
            "properties": others,
            "required": required,
        }
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    if parameters:
        operation["parameters"] = [*operation.get("parameters", []), *parameters]
    return operation


def _parameter(name: str, schema: dict[str, Any], place: str, required: bool = True) -> dict[str, Any]:
    parameter: dict[str, Any] = {"name": name, "in": place, "required": required, "schema": schema}
    if "array" in str(schema.get("type", schema.get("anyOf", ""))):
        parameter |= {"style": "form", "explode": False}
    return parameter


_KEY: dict[str, Any] = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "the same key again answers as before and changes nothing; with other inputs it is a 400",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY, "pattern": "^[ -~]+$"},
}

_ERROR: dict[str, Any] = {
    "type": "object",
    "description": "A google.rpc.Status: https://github.com/googleapis/googleapis/blob/master/google/rpc/status.proto",
    "required": ["code", "message", "details"],
    "properties": {
        "code": {"type": "integer", "description": "gRPC status code"},
        "message": {"type": "string"},
        "details": {"type": "array", "items": {"type": "object"}},
    },
}
