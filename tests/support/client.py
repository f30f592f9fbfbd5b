"""A client of the public API, in both of its spellings."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote
from uuid import UUID, uuid5

import httpx

Json = dict[str, Any]
Spelling = Literal["rest", "dapr", "dapr-get"]

USERS = UUID("6f1c2a54-1c0e-5b8e-9a54-8a1d5d1c9d11")
"""Namespace of the ids of the tests' users: the same name is the same user."""

TIMEOUT_SECONDS = 45.0
"""Longer than the edge waits for a function, so that a test sees the edge's own answer."""


class Client:
    """One user's HTTP client; thread-safe. `headers` go with every request, and so does the token of `auth`."""

    def __init__(
        self, url: str, user: str | None, headers: Mapping[str, str] | None = None, auth: httpx.Auth | None = None
    ) -> None:
        self.url = url
        self.user = user or ""
        self.http = httpx.Client(
            base_url=url, headers=headers, auth=auth, timeout=TIMEOUT_SECONDS, trust_env=False, verify=False
        )

    @property
    def user_id(self) -> UUID:
        return uuid5(USERS, self.user)

    @property
    def email(self) -> str:
        """Where this user's mail goes: a user name with an @ is an address."""
        return self.user if "@" in self.user else f"{self.user}@tickler.localhost"

    def rest(
        self,
        verb: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> httpx.Response:
        """`path` is percent-encoded already. `content` is a body as bytes, `body` one to be sent as JSON."""
        if body is not None:
            content = json.dumps(body).encode()
        target = path + (f"?{_query(query)}" if query else "")
        # As a raw target, because httpx itself resolves dot segments.
        return self.http.request(
            verb,
            "/",
            content=content,
            headers={"Content-Type": "application/json", **(headers or {})} if content is not None else headers,
            extensions={"target": target.encode()},
        )

    def dapr(
        self,
        function: str,
        inputs: Mapping[str, Any] | None = None,
        verb: str = "POST",
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> httpx.Response:
        """The function through the Dapr API: inputs as a JSON object, or as a query string for GET."""
        path = f"/v1.0/invoke/{function}/method/{function}"
        if verb == "GET":
            return self.rest(verb, path, query=inputs, headers=headers)
        return self.rest(verb, path, None if content is not None else inputs or {}, headers=headers, content=content)

    # What most tests need, checked.

    def create(self, title: str = "task", **fields: Any) -> Json:
        return expect(self.rest("POST", "/api/tasks", {"title": title, **fields}))

    def get(self, task_id: str) -> Json:
        return expect(self.rest("GET", f"/api/tasks/{task_id}"))

    def patch(self, task_id: str, **fields: Any) -> Json:
        return expect(self.rest("PATCH", f"/api/tasks/{task_id}", fields))

    def complete(self, task_id: str) -> Json:
        return expect(self.rest("POST", f"/api/tasks/{task_id}/complete"))

    def reopen(self, task_id: str) -> Json:
        return expect(self.rest("POST", f"/api/tasks/{task_id}/reopen"))

    def delete(self, task_id: str) -> Json:
        return expect(self.rest("DELETE", f"/api/tasks/{task_id}"))

    def tasks(self, **query: Any) -> list[Json]:
        """All pages."""
        return self._pages("/api/tasks", query)

    def activity(self, **query: Any) -> list[Json]:
        """All pages, newest first."""
        return self._pages("/api/activity", query)

    def tags(self) -> list[Json]:
        items: list[Json] = expect(self.rest("GET", "/api/tags"))["items"]
        return items

    def _pages(self, path: str, query: Json) -> list[Json]:
        items: list[Json] = []
        cursor: Json = {}
        while True:
            page = expect(self.rest("GET", path, query={"limit": 200, **query, **cursor}))
            items += page["items"]
            if page["next_cursor"] is None:
                return items
            cursor = {"cursor": page["next_cursor"]}


@dataclass(frozen=True)
class Operation:
    """One thing that the API does: its function, its REST path, and how the Dapr spelling says which it is."""

    function: str
    verb: str
    path: str
    said: Json = field(default_factory=dict)


OPERATIONS = {
    "create": Operation("create-task", "POST", "/api/tasks"),
    "list": Operation("list-tasks", "GET", "/api/tasks"),
    "get": Operation("get-task", "GET", "/api/tasks/{task_id}"),
    "update": Operation("update-task", "PATCH", "/api/tasks/{task_id}"),
    "replace": Operation("update-task", "PUT", "/api/tasks/{task_id}", {"replace": True}),
    "delete": Operation("delete-task", "DELETE", "/api/tasks/{task_id}"),
    "complete": Operation("complete-task", "POST", "/api/tasks/{task_id}/complete", {"action": "complete"}),
    "reopen": Operation("complete-task", "POST", "/api/tasks/{task_id}/reopen", {"action": "reopen"}),
    "skip": Operation("complete-task", "POST", "/api/tasks/{task_id}/skip", {"action": "skip"}),
    "reminders": Operation("manage-reminders", "GET", "/api/tasks/{task_id}/reminders", {"action": "list"}),
    "snooze": Operation("manage-reminders", "POST", "/api/reminders/{reminder_id}/snooze", {"action": "snooze"}),
    "cancel": Operation("manage-reminders", "POST", "/api/reminders/{reminder_id}/cancel", {"action": "cancel"}),
    "tags": Operation("manage-tags", "GET", "/api/tags", {"action": "list"}),
    "create_tag": Operation("manage-tags", "POST", "/api/tags", {"action": "create"}),
    "update_tag": Operation("manage-tags", "PATCH", "/api/tags/{tag_id}", {"action": "update"}),
    "delete_tag": Operation("manage-tags", "DELETE", "/api/tags/{tag_id}", {"action": "delete"}),
    "activity": Operation("list-activity", "GET", "/api/activity"),
    "export": Operation("export-data", "GET", "/api/export"),
    "delete_account": Operation("delete-account", "DELETE", "/api/account"),
    "preview": Operation("preview-recurrence", "POST", "/api/recurrence/preview"),
}


def id_of(operation: str) -> str:
    """The name of the id in an operation's path."""
    name: str = re.findall(r"{(\w+)}", OPERATIONS[operation].path)[0]
    return name


class Api:
    """The operations in one spelling: `api("get", task_id=...)`; `api.ok(...)` where it must succeed.

    `dapr-get` is the Dapr spelling with a query string, for the functions that only read.
    """

    def __init__(self, client: Client, spelling: Spelling) -> None:
        self.client = client
        self.spelling = spelling

    def __call__(self, operation: str, **inputs: Any) -> httpx.Response:
        return self.call(OPERATIONS[operation], inputs)

    def call(self, call: Operation, inputs: Json) -> httpx.Response:
        if self.spelling == "dapr" or (self.spelling == "dapr-get" and call.verb != "GET"):
            return self.client.dapr(call.function, {**call.said, **inputs})
        if self.spelling == "dapr-get":
            return self.client.dapr(call.function, inputs, "GET")
        in_path = re.findall(r"{(\w+)}", call.path)
        path = call.path.format_map({name: quote(str(inputs.get(name, "")), safe="") for name in in_path})
        others = {name: value for name, value in inputs.items() if name not in in_path}
        if call.verb in ("GET", "DELETE"):
            return self.client.rest(call.verb, path, query=others)
        return self.client.rest(call.verb, path, others)

    def ok(self, operation: str, **inputs: Any) -> Json:
        return expect(self(operation, **inputs))


def expect(response: httpx.Response, status: int = 200) -> Json:
    """The answer's JSON; AssertionError with the whole answer unless it has this status."""
    assert response.status_code == status, f"{response.status_code}, not {status}: {response.text[:1000]}"
    assert response.headers["content-type"].startswith("application/json")
    answer: Json = response.json()
    return answer


INTERNALS = re.compile(
    r"Traceback|psycopg|pydantic|postgres|sqlstate|\.py\b|/tmp/|site-packages|Exception|Error\b|\bline \d"
    r"|0x[0-9a-f]{6}",
    re.IGNORECASE,
)
"""What no caller may ever read."""


def refused(
    response: httpx.Response, status: int | range = range(400, 500), *, code: int | None = None, field: str = ""
) -> Json:
    """The error of an answer, checked: its status, its one shape, nothing of the inside in it; and, where `field` is
    given, a `google.rpc.BadRequest` that names it or a part of it."""
    statuses = status if isinstance(status, range) else range(status, status + 1)
    said = f"{response.request.method} {response.request.extensions.get('target')!r}: {response.text[:1000]}"
    assert response.status_code in statuses, f"{response.status_code}, not {status}: {said}"
    assert response.headers["content-type"] == "application/json", response.headers
    assert not INTERNALS.search(response.text), f"this tells of the inside: {said}"
    error: Json = response.json()
    assert set(error) == {"code", "message", "details"}, error
    assert type(error["code"]) is int
    assert isinstance(error["message"], str)
    assert error["message"]
    assert isinstance(error["details"], list)
    if code is not None:
        assert error["code"] == code, error
    if field:
        named = violations(error)
        assert any(name == field or name.startswith(f"{field}.") for name in named), (
            f"names {named}, not {field}: {said}"
        )
    return error


def violations(error: Json) -> list[str]:
    """The fields that an error's `google.rpc.BadRequest` names."""
    return [
        violation["field"]
        for detail in error["details"]
        if detail["@type"] == "type.googleapis.com/google.rpc.BadRequest"
        for violation in detail["fieldViolations"]
    ]


def _query(query: Mapping[str, Any]) -> str:
    return "&".join(f"{quote(name, safe='')}={quote(_spelled(value), safe=',')}" for name, value in query.items())


def _spelled(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
