"""A function added by the steps of the README: one module, one render, and it runs in both modes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import unique_user
from tests.support.client import expect, refused
from tests.support.system import System
from tests.support.waiting import eventually


@pytest.fixture(params=["kafka", "embedded"])
def extended(request: pytest.FixtureRequest, kafka: System, checkout: Path) -> Iterator[System]:
    if request.param == "kafka":
        yield kafka
    else:
        with System.running(root=checkout) as system:
            yield system


def test_an_added_function_runs_by_its_triggers(extended: System) -> None:
    client = extended.client(unique_user("added"))
    answer = expect(client.rest("GET", "/api/echo/hello"))
    assert answer == {"word": "hello", "name": client.user}
    assert expect(client.dapr("echo-name", {"word": "hello"})) == answer
    refused(extended.client(None).rest("GET", "/api/echo/hello"), 401)
    ring, other = client.create("Ring the plumber", tags=["house"]), client.create("Water the plants")
    eventually(lambda: len(client.get(ring["id"])["tags"]) == 2, what="its tag")
    assert [tag["name"] for tag in client.get(ring["id"])["tags"]] == ["house", "phone"]
    assert client.get(other["id"])["tags"] == []
    entries = eventually(lambda: client.activity(entity_id=ring["id"], event_type="task.updated"), what="its entry")
    assert len(entries) == 1
