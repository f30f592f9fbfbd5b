"""Bad input: a 4xx that names the field, tells nothing of the inside, and changes nothing."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest

from tests.conftest import unique_user
from tests.support.bad_inputs import (
    LIST_ACTIVITY,
    LIST_TASKS,
    NOT_TITLED,
    RECURRENCES,
    TAG_FIELDS,
    TASK_FIELDS,
    UUIDS,
    VERSIONS,
    Bad,
    cases,
)
from tests.support.client import OPERATIONS, Api, Client, Json, Spelling, refused
from tests.support.system import System
from tests.support.waiting import eventually


@dataclass
class Victim:
    """A user with a task and two tags, and all that there is of them."""

    system: System
    client: Client
    task: Json
    tag: Json

    def rows(self) -> list[Json]:
        """A digest of this user's rows in every table; seq for itself, because it says how many changes there were."""
        parts = [
            f", (select md5(string_agg(r::text, ' ' order by r::text)) from {table} r where r.user_id = u.user_id)"
            f" as {table}"
            for table in ("tasks", "tags", "task_tags", "reminders", "activity")
        ]
        return self.system.sql(f"select seq{''.join(parts)} from users u where user_id = %s", self.client.user_id)

    def seen(self) -> Any:
        return self.client.tasks(), self.client.tags(), self.client.activity()

    @property
    def inputs(self) -> dict[str, Json]:
        """Good inputs of every operation, which a bad one makes bad."""
        task, tag = {"task_id": self.task["id"]}, {"tag_id": self.tag["id"]}
        return {
            "create": {"title": "new"},
            "list": {},
            "get": task,
            "update": task,
            "replace": {**task, "title": "replaced"},
            "delete": task,
            "complete": task,
            "reopen": task,
            "tags": {},
            "create_tag": {"name": "new"},
            "update_tag": {**tag, "name": "renamed"},
            "delete_tag": tag,
            "activity": {},
        }


@pytest.fixture(scope="module")
def someone(system: System) -> Iterator[Victim]:
    client = system.client(unique_user("victim"))
    task = client.create("untouched", tags=["one", "two"], due_date="2027-01-01T09:00:00Z", reminder_offset="PT1H")
    eventually(lambda: len(client.activity()) == 3, what="the activity log has the task and its tags")
    someone = Victim(system, client, task, client.tags()[0])
    before = someone.seen()
    yield someone
    assert someone.seen() == before


@pytest.fixture
def victim(someone: Victim) -> Iterator[Victim]:
    """Whatever a test asks of this user must change nothing."""
    before = someone.rows()
    yield someone
    assert someone.rows() == before


def bodies(operation: str, bad: list[Bad]) -> list[Any]:
    return [pytest.param(operation, each, id=f"{operation}-{each}"[:90]) for each in bad]


BODIES = [
    *bodies("create", [*TASK_FIELDS, *RECURRENCES, NOT_TITLED, *cases("id", UUIDS)]),
    *bodies("update", [*TASK_FIELDS, *RECURRENCES, *VERSIONS]),
    *bodies("replace", [*TASK_FIELDS, *RECURRENCES, *VERSIONS, NOT_TITLED]),
    *bodies("complete", [*VERSIONS, Bad("an unknown field", {"colour": "red"}, "colour")]),
    *bodies("reopen", [*VERSIONS, Bad("an unknown field", {"colour": "red"}, "colour")]),
    *bodies("create_tag", [*TAG_FIELDS, Bad("left out", {}, "name", without=("name",))]),
    *bodies("update_tag", [*TAG_FIELDS, Bad("nothing to change", {}, "name", without=("name",))]),
]
QUERIES = [
    *bodies("list", LIST_TASKS),
    *bodies("activity", LIST_ACTIVITY),
    *bodies("get", [Bad("an unknown parameter", {"colour": "red"}, "colour")]),
    *bodies("tags", [Bad("an unknown parameter", {"colour": "red"}, "colour")]),
    *bodies("delete", [*cases("version", {"0": 0, "a word": "x"}), Bad("unknown", {"colour": "red"}, "colour")]),
    *bodies("delete_tag", [Bad("an unknown parameter", {"colour": "red"}, "colour")]),
]


@pytest.mark.parametrize(("operation", "bad"), BODIES)
def test_body(victim: Victim, operation: str, bad: Bad) -> None:
    """A bad field of a body is refused by its name, in both spellings."""
    inputs = {name: value for name, value in victim.inputs[operation].items() if name not in bad.without}
    for api in spellings(victim, "rest", "dapr"):
        refused(api(operation, **{**inputs, **bad.inputs}), 400, code=3, field=bad.field)


@pytest.mark.parametrize(("operation", "bad"), QUERIES)
def test_query(victim: Victim, operation: str, bad: Bad) -> None:
    """A bad parameter of a query is refused by its name, in all spellings."""
    for api in spellings(victim, "rest", "dapr", "dapr-get"):
        refused(api(operation, **victim.inputs[operation], **bad.inputs), 400, code=3, field=bad.field)


def spellings(victim: Victim, *wanted: Spelling) -> list[Api]:
    return [Api(victim.client, spelling) for spelling in wanted]


BY_ID = ("get", "update", "replace", "delete", "complete", "reopen", "update_tag", "delete_tag")


@pytest.mark.parametrize("operation", BY_ID)
@pytest.mark.parametrize("bad", cases("id", UUIDS), ids=str)
def test_id__that_is_none(victim: Victim, operation: str, bad: Bad) -> None:
    name = "tag_id" if "tag" in operation else "task_id"
    inputs = {**victim.inputs[operation], name: bad.inputs["id"]}
    refused(Api(victim.client, "dapr")(operation, **inputs), 400, code=3, field=name)
    refused(
        Api(victim.client, "dapr")(operation, **{n: v for n, v in inputs.items() if n != name}), 400, code=3, field=name
    )
    if isinstance(bad.inputs["id"], str) and bad.inputs["id"]:
        refused(Api(victim.client, "rest")(operation, **inputs), 400, code=3, field=name)


@pytest.mark.parametrize("operation", BY_ID)
@pytest.mark.parametrize(
    "segment",
    [
        "%2F",
        "%00",
        "%2e%2e%2f",
        "..%2f..%2ftags",
        "%252F",
        "%0d%0aX:%20y",
        "%ff",
        "%3Fversion=1",
        "%26replace=true",
        "a b",
        "x" * 5000,
    ],
)
def test_path__with_tricks_in_the_id(victim: Victim, operation: str, segment: str) -> None:
    """An id in a path is one segment and nothing more: it cannot reach another path or add a parameter."""
    call = OPERATIONS[operation]
    own = victim.tag["id"] if "tag" in operation else victim.task["id"]
    for part in (segment, own + segment):
        path = call.path.replace("{task_id}", part).replace("{tag_id}", part).replace(" ", "%20")
        body = {"title": "x", "name": "x"} if call.verb in ("POST", "PUT", "PATCH") else None
        refused(victim.client.rest(call.verb, path, body), code=None)


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
    for api in spellings(victim, "rest", "dapr", "dapr-get"):
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
    cursor = encoded(text.replace("ID", victim.task["id"]))
    refused(Api(victim.client, "rest")("list", cursor=cursor, **inputs), 400, code=3, field="cursor")
    refused(Api(victim.client, "rest")("activity", cursor=cursor), 400, code=3, field="cursor")


@pytest.mark.parametrize(
    "key", [["seq", 0], ["seq", -1], ["seq", 2**63], ["seq", 1.5], ["seq", "1"], ["seq", True], ["seq"]]
)
def test_cursor__of_the_activity_log_that_was_tampered_with(victim: Victim, key: list[Any]) -> None:
    refused(Api(victim.client, "rest")("activity", cursor=encoded(json.dumps(key))), 400, code=3, field="cursor")


def test_cursor__with_characters_that_no_cursor_has(victim: Victim, system: System) -> None:
    good = encoded(json.dumps(["due_date asc", "2020-01-01T00:00:00+00:00", victim.task["id"]]))
    for bad in (f"!!!{good}", f"{good} ", f"{good}\n", good[:10] + "*" + good[10:]):
        refused(Api(victim.client, "rest")("list", cursor=bad), 400, code=3, field="cursor")


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
    path = call.path.format(task_id=victim.task["id"], tag_id=victim.tag["id"])
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
        target = path.format(task_id=victim.task["id"], tag_id=victim.tag["id"])
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
    headers = [(name.encode(), "Bearer dev:ü".encode())]
    response = victim.client.http.post("/api/tasks", headers=headers, json={"title": ""})
    refused(response, range(400, 500))


def test_server__is_well_after_all_of_this(system: System) -> None:
    """No input has stopped a part of it, or has made an error that nobody foresaw."""
    assert system.client(None).rest("GET", "/healthz").status_code == 200
    errors = [line for line in system.log("functions") if '"level": "error"' in line]
    assert not errors, "\n".join(errors[:5])
