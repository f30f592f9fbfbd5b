"""Logs: one JSON object a line, and one correlation id from the request to all that follows from it."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest

from tests.support.client import Api, Json, Spelling, expect
from tests.support.system import System
from tests.support.waiting import eventually


def lines_of(system: System, correlation_id: str) -> list[Json]:
    return [json.loads(line) for line in system.log("functions") if f'"{correlation_id}"' in line]


@pytest.mark.parametrize("spelling", ["rest", "dapr"])
def test_correlation_id__goes_from_the_request_through_its_events_to_their_consumers(
    system: System, user: str, spelling: Spelling
) -> None:
    given = f"trip-{uuid4()}"
    task = system.client(user).create("recurring", due_date="2027-01-01", recurrence={"type": "daily"})
    answer = Api(system.client(user, {"X-Correlation-Id": given}), spelling)("complete", task_id=task["id"])
    expect(answer)
    assert answer.headers["x-correlation-id"] == given

    def functions() -> set[str]:
        return {line["function"] for line in lines_of(system, given)}

    # Twice log-activity: of the completion, and of the occurrence that follows from it.
    eventually(
        lambda: [line["function"] for line in lines_of(system, given)].count("log-activity") >= 2,
        what="the consumers have logged the request's events",
    )
    assert functions() == {"complete-task", "log-activity", "relay-sync", "spawn-recurrence"}
    for line in lines_of(system, given):
        assert line["correlation_id"] == given
        assert line["level"] == "info"
        assert line["timestamp"]
    events = system.sql("select type from events where correlation_id = %s order by seq", given)
    assert [event["type"] for event in events] == ["task.completed", "task.created"]


def test_correlation_id__is_answered_also_where_none_or_a_bad_one_was_given(system: System, user: str) -> None:
    made = set()
    for headers in ({}, {"X-Correlation-Id": ""}, {"X-Correlation-Id": "a b;c"}, {"X-Correlation-Id": "x" * 500}):
        answer = system.client(user, headers).rest("GET", "/api/tasks")
        expect(answer)
        made.add(answer.headers["x-correlation-id"])
    assert len(made) == 4
    assert all(value and value.isprintable() and " " not in value and len(value) <= 128 for value in made)


def test_correlation_id__is_told_with_an_error(system: System, user: str) -> None:
    """Who reports an error can say which request it was."""
    given = f"wrong-{uuid4()}"
    client = system.client(user, {"X-Correlation-Id": given})
    for answer in (client.rest("POST", "/api/tasks", {}), client.rest("GET", f"/api/tasks/{uuid4()}")):
        assert {"@type": "type.googleapis.com/google.rpc.RequestInfo", "requestId": given} in answer.json()["details"]
    assert {line["code"] for line in lines_of(system, given)} == {"INVALID_ARGUMENT", "NOT_FOUND"}


def test_traceparent__is_the_correlation_id_where_there_is_no_other(system: System, user: str) -> None:
    trace = uuid4().hex
    answer = system.client(user, {"Traceparent": f"00-{trace}-{trace[:16]}-01"}).rest("GET", "/api/tasks")
    assert answer.headers["x-correlation-id"] == trace


def test_request__is_one_line_that_says_what_and_how_long(system: System, user: str) -> None:
    given = f"one-{uuid4()}"
    expect(system.client(user, {"X-Correlation-Id": given}).rest("GET", "/api/tasks"))
    (line,) = eventually(lambda: lines_of(system, given), what="the request's line")
    assert (line["function"], line["verb"], line["code"], line["event"]) == ("list-tasks", "GET", "OK", "invoked")
    assert 0 < line["milliseconds"] < 5000


def test_lines__are_json_objects(system: System, user: str) -> None:
    """Whatever happened until now, and whatever a user writes."""
    client = system.client(user, {"X-Correlation-Id": 'x"}\\n{"forged": 1'})
    client.create('a"} {"level": "error"\N{LINE SEPARATOR}', description="\n\r\x1b[31m")
    client.rest("POST", "/api/tasks", content=b'{"title": "\\u0000\n"}')
    for name in ("functions", "daprd", "edge"):
        lines = system.log(name)
        assert name == "edge" or lines
        for line in lines:
            assert isinstance(json.loads(line), dict), line


def test_lines__hold_no_token_and_no_title(system: System, user: str) -> None:
    """A log is read by more people than a task is."""
    token = system.signed_in(user).token
    client = system.client(None, {"Authorization": f"Bearer {token}"})
    title = f"secret {uuid4()}"
    client.create(title)
    eventually(client.activity, what="the consumers have logged it")
    said = "\n".join(line for name in ("functions", "daprd", "edge") for line in system.log(name))
    assert title not in said
    assert token not in said
