"""The rendered OpenAPI document against the running system, by schemathesis: every operation, through the edge, with
inputs that the document allows and inputs that it does not.

Whatever comes in, no answer is a 5xx, and each has a status and a form that the document names. Each input is sent
twice: as it was made, and with the ids and secrets in it that the user has, so that it does what it says. Accounts are
deleted and sign-ins are ended too: who does that is a user of that operation alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks

from functions.runtime.keys import Keys
from functions.runtime.settings import Settings
from tests.support.accounts import PASSWORD, Person
from tests.support.client import Json, expect
from tests.support.system import System
from tools.console import REPOSITORY

EXAMPLES = 20
"""Inputs of each operation: some 60 operations take a minute."""

SCHEMA = schemathesis.openapi.from_path(REPOSITORY / "docs" / "openapi.json")
OPERATIONS = [result.ok() for result in SCHEMA.get_all_operations() if isinstance(result, Ok)]
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


class Somebody:
    """Who signed up, and makes what an input can name."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.sign_up()

    def sign_up(self) -> None:
        self.person = Person(self.system)
        self.user_id = UUID(self.person.sign_up()["user_id"])

    def call(self, case: Any) -> int:
        """The status of the answer, which is checked."""
        token = str(self.person.http.headers["Authorization"])
        response = case.call(base_url=self.system.url, headers={"Authorization": token})
        case.validate_response(response, checks=CHECKS)
        status: int = response.status_code
        return status

    def task(self) -> Json:
        due = {"due_date": "2030-01-01T09:00:00Z", "reminder_offset": "PT1H", "recurrence": {"type": "daily"}}
        return self.person.create("x", tags=["x"], **due)

    def account(self) -> str:
        """The word that deletes it; another one each time, as the last may be gone."""
        self.sign_up()
        return self.person.login

    def device(self) -> Json:
        return expect(self.person.rest("POST", "/api/devices", GOOD["manage-devices-post-create"]))

    def personal_token(self) -> Json:
        return expect(self.person.rest("POST", "/api/auth/tokens", GOOD["manage-tokens-post-create"]))

    def unsubscribe_token(self) -> str:
        return Keys(Settings(data=self.system.data)).unsubscribe_token(self.user_id, "digest")


OWN: dict[str, Callable[[Somebody], Any]] = {
    "task_id": lambda user: user.task()["id"],
    "tag_id": lambda user: user.task()["tags"][0]["id"],
    "reminder_id": lambda user: user.task()["reminders"][0]["id"],
    "device_id": lambda user: user.device()["id"],
    "token_id": lambda user: user.personal_token()["id"],
    "confirm": Somebody.account,
    "refresh_token": lambda user: user.person.refresh_token,
    "token": Somebody.unsubscribe_token,
    "old": lambda _: PASSWORD,
}
"""Inputs that have to be somebody's to do anything, by their names."""

BATCH: Json = {
    "sent_at": "2026-01-01T00:00:00Z",
    "commands": [{"key": "k", "function": "create-task", "input": {"title": "x"}}],
}

GOOD: dict[str, Json] = {
    "apply-commands": BATCH,
    "apply-commands-post": BATCH,
    "create-task": {"title": "x"},
    "create-task-post": {"title": "x"},
    "issue-token": {"action": "jwks"},
    "issue-token-post-refresh": {"refresh_token": ""},
    "issue-token-post-signup": {"email": f"{uuid4()}@example.org", "password": PASSWORD},
    "manage-devices": {"action": "list"},
    "manage-devices-post-create": {"kind": "email", "endpoint": "somebody@example.org"},
    "manage-reminders": {"action": "list", "task_id": ""},
    "manage-reminders-post-snooze": {"minutes": 5},
    "manage-tags": {"action": "list"},
    "manage-tags-patch-update": {"name": "y"},
    "manage-tags-post-create": {"name": "y"},
    "manage-tokens": {"action": "list"},
    "manage-tokens-post-create": {"name": "x", "scopes": ["read"]},
    "manage-tokens-post-password": {"old": "", "new": "another horse"},
    "update-task-put-True": {"title": "y"},
    "preview-recurrence": {"recurrence": {"type": "daily"}, "due_date": "2030-01-01"},
    "preview-recurrence-post": {"recurrence": {"type": "daily"}, "due_date": "2030-01-01"},
}
"""What an operation needs beside its required inputs of OWN, by its id; those of OWN stand here as empty."""


def inputs(operation: Any) -> tuple[dict[str, str], list[str], list[str]]:
    """Of an operation: where each parameter is, the names that a body may have, and all names that must be there."""
    definition = operation.definition.raw
    body = definition.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    if "$ref" in body:
        body = SCHEMA.raw_schema["components"]["schemas"][body["$ref"].rpartition("/")[2]]
    parameters = definition.get("parameters", [])
    required = [each["name"] for each in parameters if each["required"]] + body.get("required", [])
    return {each["name"]: each["in"] for each in parameters}, list(body.get("properties", {})), required


def replaced(given: Any, own: Mapping[str, Any]) -> Any:
    """The same with one's own values, where it has these names."""
    return {name: own.get(name, value) for name, value in given.items()} if isinstance(given, Mapping) else given


def good(operation: Any, user: Somebody, own: Mapping[str, Any]) -> Any:
    """An input that the operation carries out, with as little as can be."""
    name = operation.definition.raw["operationId"]
    places, in_body, required = inputs(operation)
    said = {each: own[each] for each in required if each in own}
    said |= replaced(GOOD.get(name, {}), own)
    if name == "issue-token-post-token":
        said |= {"email": user.person.login, "password": PASSWORD}
    parts = {
        place: {each: said.pop(each) for each in (*said,) if places.get(each) == place} for place in ("path", "query")
    }
    body = {"body": said, "media_type": "application/json"} if in_body else {}
    return operation.Case(path_parameters=parts["path"], query=parts["query"], **body)


@pytest.mark.parametrize("operation", OPERATIONS, ids=[operation.label for operation in OPERATIONS])
def test_every_answer_is_one_that_the_document_has(operation: Any, system: System) -> None:
    user = Somebody(system)
    places, in_body, _ = inputs(operation)
    times = count()

    def own() -> Json:
        if next(times) % 10 == 9:  # a user may make so many devices and tokens, and no more
            user.sign_up()
        return {name: make(user) for name, make in OWN.items() if name in (*places, *in_body)}

    assert user.call(good(operation, user, own())) == 200

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(GenerationMode).flatmap(lambda mode: operation.as_strategy(generation_mode=mode)))
    def ask(case: Any) -> None:
        user.call(case)
        if mine := own():
            for part in ("path_parameters", "query", "body"):
                setattr(case, part, replaced(getattr(case, part), mine))
            user.call(case)

    ask()
