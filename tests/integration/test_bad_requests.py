"""Bad requests: paths, cursors, bodies, methods and headers that are none; a 4xx, and nothing changes."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.client import OPERATIONS, Json, refused
from tests.support.system import System
from tests.support.victim import Victim


@pytest.mark.parametrize("path", ["/api/tasks/%zz", "/api/tasks/%", "/api/tasks/%2", "/%c0%ae%zz"])
def test_path__that_is_malformed(victim: Victim, path: str) -> None:
    """The HTTP server itself refuses it, before anything that could shape the answer."""
    for verb in ("GET", "DELETE", "PATCH"):
        response = victim.client.rest(verb, path)
        assert response.status_code == 400
        assert response.text == "400 Bad Request"


TAMPERED: dict[str, list[Any]] = {
    "another time format": ["due_date asc", "2026-W01-1T00:00:00+00:00", "ID"],
    "no offset": ["due_date asc", "2026-01-01T00:00:00", "ID"],
    "a time that is a number": ["due_date asc", 5, "ID"],
    "an id that is a number": ["due_date asc", "2026-01-01T00:00:00+00:00", 5],
    "an id that is null": ["due_date asc", "2026-01-01T00:00:00+00:00", None],
    "an id that is none": ["due_date asc", "2026-01-01T00:00:00+00:00", "x"],
    "too few parts": ["due_date asc", "2026-01-01T00:00:00+00:00"],
    "too many parts": ["due_date asc", "2026-01-01T00:00:00+00:00", "ID", 1],
    "another sort": ["title asc", "a", "ID"],
    "no sort": [],
    "a list for a sort": [["due_date asc"], "2026-01-01T00:00:00+00:00", "ID"],
}


@pytest.mark.parametrize("why", TAMPERED)
def test_cursor__that_was_tampered_with(victim: Victim, why: str) -> None:
    key = [victim.task["id"] if part == "ID" else part for part in TAMPERED[why]]
    for api in victim.apis("rest", "dapr", "dapr-get"):
        refused(api("list", cursor=encoded(json.dumps(key))), 400, code=3, field="cursor")


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        ({"sort_by": "title"}, '["title asc", "\\ud800", "ID"]'),
        ({"sort_by": "title"}, '["title asc", "\\u0000", "ID"]'),
        ({"sort_by": "priority"}, '["priority asc", "asap", "ID"]'),
        ({"sort_by": "priority"}, '["priority asc", ["low"], "ID"]'),
        ({}, "[" * 2900),
        ({}, "{}"),
        ({}, "null"),
        ({}, "9" * 2900),
        ({}, "\x00"),
    ],
)
def test_cursor__that_is_no_key(victim: Victim, inputs: Json, text: str) -> None:
    (rest,) = victim.apis("rest")
    cursor = encoded(text.replace("ID", victim.task["id"]))
    refused(rest("list", cursor=cursor, **inputs), 400, code=3, field="cursor")
    refused(rest("activity", cursor=cursor), 400, code=3, field="cursor")


@pytest.mark.parametrize(
    "key", [["seq", 0], ["seq", -1], ["seq", 2**63], ["seq", 1.5], ["seq", "1"], ["seq", True], ["seq"]]
)
def test_cursor__of_the_activity_log_that_was_tampered_with(victim: Victim, key: list[Any]) -> None:
    (rest,) = victim.apis("rest")
    refused(rest("activity", cursor=encoded(json.dumps(key))), 400, code=3, field="cursor")


def test_cursor__with_characters_that_no_cursor_has(victim: Victim) -> None:
    (rest,) = victim.apis("rest")
    good = encoded(json.dumps(["due_date asc", "2020-01-01T00:00:00+00:00", victim.task["id"]]))
    for bad in (f"!!!{good}", f"{good} ", f"{good}\n", good[:10] + "*" + good[10:]):
        refused(rest("list", cursor=bad), 400, code=3, field="cursor")


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


RAW: dict[str, bytes] = {
    "not JSON": b"title=x",
    "half of it": b'{"title": "x"',
    "two of them": b'{"title": "x"}{"title": "y"}',
    "a comma too many": b'{"title": "x",}',
    "single quotes": b"{'title': 'x'}",
    "null": b"null",
    "a list": b'[{"title": "x"}]',
    "a string": b'"title"',
    "a number": b"5",
    "NaN": b'{"title": NaN}',
    "no UTF-8": b'{"title": "\xff\xfe"}',
    "UTF-16": '{"title": "x"}'.encode("utf-16"),
    "a lone surrogate": b'{"title": "\\ud800"}',
    "a lone surrogate in a name": b'{"title": "x", "\\udfff": 1}',
    "a lone surrogate in a tag": b'{"title": "x", "tags": ["\\udc00\\ud800"]}',
    "a NUL byte": b'{"title": "x"}\x00',
    "deep lists": b'{"title": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep objects": b'{"title": ' * 50_000 + b"1" + b"}" * 50_000,
    "a huge number": b'{"title": "x", "version": ' + b"9" * 100_000 + b"}",
    "a huge exponent": b'{"title": "x", "version": 1e400000}',
    "a number for a name": b'{1: "x"}',
    "XML": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
}
WITH_BODY = [name for name, call in OPERATIONS.items() if call.verb in ("POST", "PUT", "PATCH")]


@pytest.mark.parametrize("operation", WITH_BODY)
@pytest.mark.parametrize("why", RAW)
def test_raw_body(victim: Victim, operation: str, why: str) -> None:
    """A body that is no JSON object of this function's inputs."""
    for answer in both(victim, operation, RAW[why]):
        refused(answer, 400, code=3)


@pytest.mark.parametrize("operation", list(OPERATIONS))
def test_raw_body__of_10_megabytes(victim: Victim, operation: str) -> None:
    large = b'{"title": "' + b"x" * 10_000_000 + b'"}'
    for answer in both(victim, operation, large):
        refused(answer, 413, field="body")


def test_raw_body__of_10_megabytes_in_chunks(victim: Victim) -> None:
    """Without a Content-Length, it is the limit itself that stops the body."""
    response = victim.client.http.post("/api/tasks", content=(b"x" * 100_000 for _ in range(100)))
    refused(response, 413, field="body")


def test_raw_body__as_large_as_all_fields_may_be(victim: Victim) -> None:
    """The largest good body is not too large, so that it is the field which is refused."""
    inputs = {"title": "\N{GRINNING FACE}" * 500, "description": "\N{GRINNING FACE}" * 20_000, "colour": 1}
    for answer in both(victim, "create", json.dumps(inputs).encode()):
        refused(answer, 400, field="colour")


def both(victim: Victim, operation: str, content: bytes) -> Iterator[Any]:
    call = OPERATIONS[operation]
    path = call.path.format_map(victim.ids)
    yield victim.client.rest(call.verb, path, content=content)
    yield victim.client.dapr(call.function, content=content)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=1&limit=2", "limit"),
        ("sort_by=title&sort_by=priority", "sort_by"),
        ("tags=a&tags=b", "tags"),
        ("search=%ff", "query"),
        ("search=%ed%a0%80", "query"),
        ("&".join(f"p{number}=1" for number in range(500)), "query"),
        ("limit", "limit"),
        ("limit=+1", "limit"),
        ("limit=\u0665", "limit"),
        ("%00=1", "\x00"),
    ],
)
def test_query__that_is_malformed_or_says_things_twice(victim: Victim, query: str, field: str) -> None:
    path = quote(query, safe="=&%+")
    for base in ("/api/tasks", "/v1.0/invoke/list-tasks/method/list-tasks"):
        refused(victim.client.rest("GET", f"{base}?{path}"), 400, code=3, field=field)


def test_input__that_path_and_body_say_differently(victim: Victim) -> None:
    other = "01a20755-2b2e-72df-a017-54e56045e179"
    task = f"/api/tasks/{victim.task['id']}"
    refused(victim.client.rest("PATCH", task, {"task_id": other, "title": "x"}), 400, field="task_id")
    refused(victim.client.rest("PATCH", f"{task}?task_id={other}", {"title": "x"}), 400, field="task_id")
    refused(victim.client.rest("POST", f"{task}/complete", {"action": "reopen"}), 400, field="action")
    refused(victim.client.rest("PUT", task, {"title": "x", "replace": False}), 400, field="replace")
    refused(victim.client.rest("GET", f"{task}?task_id={other}"), 400, field="task_id")


@pytest.mark.parametrize("verb", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
def test_method__that_a_path_does_not_take(victim: Victim, verb: str) -> None:
    paths = {call.path for call in OPERATIONS.values()}
    for path in paths:
        if verb in {call.verb for call in OPERATIONS.values() if call.path == path}:
            continue
        target = path.format_map(victim.ids)
        response = victim.client.rest(verb, target)
        refused(response, 405, code=12)
        assert response.headers["allow"]
    for function in {call.function for call in OPERATIONS.values()}:
        known = {call.verb for call in OPERATIONS.values() if call.function == function} | {"POST"}
        if verb not in known:
            refused(victim.client.rest(verb, f"/v1.0/invoke/{function}/method/{function}"), 405, code=12)


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/grpc", "application/x-protobuf", "multipart/form-data", "x"]
)
def test_content_type__that_is_another(victim: Victim, content_type: str) -> None:
    """Whatever a body says it is, it is read as JSON or refused; nothing breaks."""
    headers = {"Content-Type": content_type}
    for base in ("/api/tasks", "/v1.0/invoke/create-task/method/create-task"):
        refused(victim.client.rest("POST", base, headers=headers, content=b'{"title": ""}'), range(400, 500))


@pytest.mark.parametrize("name", ["Authorization", "Content-Type", "X-Correlation-Id", "X-Other", "Traceparent"])
def test_header__with_bytes_that_no_header_has(victim: Victim, name: str) -> None:
    headers = [(name.encode(), "Bearer eyü".encode())]
    response = victim.client.http.post("/api/tasks", headers=headers, json={"title": ""})
    refused(response, range(400, 500))


@pytest.mark.parametrize("name", ["Authorization", "Content-Type", "X-Correlation-Id", "Idempotency-Key"])
def test_header__that_is_not_printable_is_named(victim: Victim, name: str) -> None:
    response = victim.client.http.post("/api/tasks", headers=[(name.encode(), "eyü".encode())], json={"title": "x"})
    refused(response, 400, code=3, field=name)


def test_header__an_empty_key_is_none_and_refused(victim: Victim) -> None:
    """With it the command would be carried out, and again at a repeat."""
    response = victim.client.rest("POST", "/api/tasks", {"title": "x"}, headers={"Idempotency-Key": ""})
    refused(response, 400, code=3, field="Idempotency-Key")


def test_server__is_well_after_all_of_this(system: System) -> None:
    """No input has stopped a part of it, or has made an error that nobody foresaw."""
    assert system.client(None).rest("GET", "/healthz").status_code == 200
    errors = [line for line in system.log("functions") if '"exception": ' in line]
    assert not errors, "\n".join(errors[:5])
