"""The activity log: what was done, newest first, with filters, cursors and offsets."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.conftest import unique_user
from tests.support.client import Api, Client, Json, Spelling
from tests.support.system import System
from tests.support.waiting import eventually

LOGGED = [
    "tag.created",
    "task.created",
    "task.updated",
    "task.completed",
    "task.reopened",
    "task.created",
    "task.deleted",
]


@pytest.fixture(scope="module")
def story(system: System) -> tuple[Client, Json, list[Json]]:
    """A user whose log says LOGGED, oldest first; with their first task and the log itself, newest first."""
    client = system.client(unique_user("story"))
    task = client.create("first", tags=["tag"])
    client.patch(task["id"], title="renamed", priority="high")
    client.complete(task["id"])
    client.reopen(task["id"])
    client.delete(client.create("second")["id"])
    eventually(lambda: len(client.activity()) == len(LOGGED), what="everything is in the activity log")
    return client, task, client.activity()


@pytest.fixture(params=["rest", "dapr", "dapr-get"])
def log(request: pytest.FixtureRequest, story: tuple[Client, Json, list[Json]]) -> Api:
    spelling: Spelling = request.param
    return Api(story[0], spelling)


def test_activity__has_everything_once_newest_first(story: tuple[Client, Json, list[Json]]) -> None:
    _, task, entries = story
    assert [entry["event_type"] for entry in reversed(entries)] == LOGGED
    assert [entry["seq"] for entry in reversed(entries)] == list(range(1, len(LOGGED) + 1))
    for entry in entries:
        assert set(entry) == {"id", "seq", "event_type", "entity_type", "entity_id", "timestamp", "details"}
        assert entry["entity_type"] == entry["event_type"].partition(".")[0]
        assert datetime.fromisoformat(entry["timestamp"]).tzinfo is not None
    assert len({entry["id"] for entry in entries}) == len(entries)
    updated = entries[-3]
    assert updated["entity_id"] == task["id"]
    assert updated["details"]["changes"] == {"title": ["first", "renamed"], "priority": ["medium", "high"]}


def test_activity__filters(log: Api, story: tuple[Client, Json, list[Json]]) -> None:
    entries = story[2]

    def types(**query: object) -> list[str]:
        return [entry["event_type"] for entry in reversed(log.ok("activity", **query)["items"])]

    assert types(event_type="task.created") == ["task.created"] * 2
    assert types(event_type="task.completed,tag.created") == ["tag.created", "task.completed"]
    assert types(entity_type="tag") == ["tag.created"]
    assert types(event_type="task.never") == []
    assert types(**{"from": entries[2]["timestamp"]}) == LOGGED[4:]
    assert types(to=entries[2]["timestamp"]) == LOGGED[:4]
    assert types(**{"from": entries[4]["timestamp"]}, to=entries[1]["timestamp"]) == LOGGED[2:5]
    later = datetime.fromisoformat(entries[0]["timestamp"]) + timedelta(seconds=1)
    assert types(**{"from": later.isoformat()}) == []


def test_activity__pages_by_cursor_and_by_offset(log: Api, story: tuple[Client, Json, list[Json]]) -> None:
    entries = story[2]
    found: list[Json] = []
    cursor: Json = {}
    while True:
        page = log.ok("activity", limit=3, **cursor)
        found += page["items"]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert found == entries
    assert log.ok("activity", limit=2, offset=3)["items"] == entries[3:5]
    assert log.ok("activity", offset=100)["items"] == []


def test_history__of_a_task_is_in_get_task(log: Api, story: tuple[Client, Json, list[Json]]) -> None:
    _, task, entries = story
    history = log.ok("get", task_id=task["id"])["history"]
    assert history == [entry for entry in entries if entry["entity_id"] == task["id"]]
