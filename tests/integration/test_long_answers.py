"""Answers that would be longer than a sidecar carries (4 MiB) come in parts."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from tests.support.client import Client, Json, expect
from tests.support.waiting import eventually

LONG = "\U0001f600" * 20_000


def batch(client: Client, commands: list[Json]) -> list[Json]:
    body = {"sent_at": datetime.now(UTC).isoformat(), "commands": commands}
    results: list[Json] = expect(client.rest("POST", "/api/commands", body))["results"]
    return results


def test_lists_of_long_tasks_and_batches_of_long_answers(client: Client) -> None:
    task = client.create("long", description=LONG)
    named = {"function": "update-task", "input": {"task_id": task["id"], "priority": "high"}}
    commands = [{"key": str(uuid4()), **named} for _ in range(60)]
    left = commands
    while left:
        results = batch(client, left)
        assert results
        assert [result["key"] for result in results] == [command["key"] for command in left[: len(results)]]
        assert {result["status"] for result in results} == {200}
        left = left[len(results) :]

    made = {task["id"]} | {client.create("long", description=LONG)["id"] for _ in range(59)}
    found: list[str] = []
    query: Json = {"limit": 200}
    while True:
        page = expect(client.rest("GET", "/api/tasks", query=query))
        found += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        query = {"limit": 200, "cursor": page["next_cursor"]}
    assert len(found) == 60
    assert set(found) == made


def test_a_task_with_a_long_history(client: Client) -> None:
    task = client.create("long", description=LONG)
    for n in range(30):
        client.patch(task["id"], description=chr(0x1F601 + n) * 20_000)
    eventually(
        lambda: (
            [item["seq"] for item in expect(client.rest("GET", "/api/activity", query={"limit": 1}))["items"]] == [31]
        ),
        what="all edits in the activity log",
    )
    assert expect(client.rest("GET", f"/api/tasks/{task['id']}"))["history"][0]["seq"] == 31
    seqs: list[int] = []
    query: Json = {"limit": 200}
    while True:
        page = expect(client.rest("GET", "/api/activity", query=query))
        seqs += [item["seq"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        query = {"limit": 200, "cursor": page["next_cursor"]}
    assert seqs == list(range(31, 0, -1))
