"""create-task by the topic `task.create`: what an import or another system publishes through Dapr."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import httpx
import pytest

from functions.tasks.events import Command
from tests.support.client import Client, Json
from tests.support.reminders import due_in, wait_delivered
from tests.support.system import System
from tests.support.waiting import eventually


@pytest.fixture
def topic(system: System) -> Topic:
    return Topic(system)


class Topic:
    """Publishes on `task.create` through daprd's own HTTP port."""

    def __init__(self, system: System) -> None:
        self._url = f"{system.run['dapr_http_url']}/v1.0/publish/pubsub/task.create"

    def publish(self, client: Client, *, event_id: str | None = None, correlation_id: str = "", **command: Any) -> None:
        envelope = Command(
            user_id=client.user_id, name=client.user, correlation_id=correlation_id, command=command
        ).model_dump(mode="json")
        if event_id is None:
            self.raw(json.dumps(envelope).encode())
        else:
            event = {
                "specversion": "1.0",
                "type": "task.create",
                "source": "import",
                "id": event_id,
                "datacontenttype": "application/json",
                "data": envelope,
            }
            self.raw(json.dumps(event).encode(), "application/cloudevents+json")

    def raw(self, content: bytes, content_type: str = "application/json") -> None:
        answer = httpx.post(self._url, content=content, headers={"Content-Type": content_type}, trust_env=False)
        assert answer.status_code == 204, answer.text


def titles(client: Client) -> list[str]:
    return sorted(task["title"] for task in client.tasks())


def test_import__a_message_creates_one_task(topic: Topic, client: Client) -> None:
    topic.publish(client, title="imported", tags=["import"], due_date="2027-01-01", correlation_id="import-1")
    (task,) = eventually(client.tasks, what="the imported task is there")
    assert (task["title"], task["due_date"], task["version"]) == ("imported", "2027-01-01", 1)
    assert [tag["name"] for tag in task["tags"]] == ["import"]
    entries = eventually(client.activity, what="it is in the activity log")
    assert {entry["event_type"] for entry in entries} <= {"tag.created", "task.created"}


@pytest.mark.parametrize("with_id", [False, True], ids=["the id is the event's", "an id of its own"])
def test_import__a_redelivery_creates_no_second(topic: Topic, client: Client, with_id: bool) -> None:
    event_id = str(uuid4())
    own: Json = {"id": str(uuid4())} if with_id else {}
    for _ in range(3):
        topic.publish(client, event_id=event_id, title="once", **own)
    topic.publish(client, event_id=str(uuid4()), title="the next one")
    eventually(lambda: "the next one" in titles(client), what="the message after them was handled")
    assert titles(client) == ["once", "the next one"]
    if with_id:
        assert own["id"] in {task["id"] for task in client.tasks()}


BAD: dict[str, tuple[bytes, str]] = {
    "not JSON": (b"title=x", "text/plain"),
    "not JSON, but said to be": (b'{"data": "title=x"}', "application/json"),
    "empty": (b"{}", "application/json"),
    "a list": (b"[1, 2]", "application/json"),
    "no command": (b'{"user_id": "USER"}', "application/json"),
    "no user": (b'{"command": {"title": "x"}}', "application/json"),
    "a user that is none": (b'{"user_id": "x", "command": {"title": "x"}}', "application/json"),
    "no title": (b'{"user_id": "USER", "command": {}}', "application/json"),
    "an unknown field": (b'{"user_id": "USER", "command": {"title": "x", "colour": 1}}', "application/json"),
    "an unknown zone": (b'{"user_id": "USER", "command": {"title": "x", "time_zone": "Mars"}}', "application/json"),
    "a NUL": (b'{"user_id": "USER", "command": {"title": "\\u0000"}}', "application/json"),
    "a NUL in the name": (b'{"user_id": "USER", "name": "\\u0000", "command": {"title": "x"}}', "application/json"),
    "a recurrence without due date": (
        b'{"user_id": "USER", "command": {"title": "x", "recurrence": {"type": "daily"}}}',
        "application/json",
    ),
    "an event without data": (
        b'{"specversion": "1.0", "id": "1", "type": "t", "source": "s"}',
        "application/cloudevents+json",
    ),
}


@pytest.mark.parametrize("why", BAD)
def test_import__a_bad_message_is_dropped_and_the_next_is_handled(topic: Topic, client: Client, why: str) -> None:
    content, content_type = BAD[why]
    topic.raw(content.replace(b"USER", str(client.user_id).encode()), content_type)
    topic.publish(client, title="the next one")
    eventually(lambda: titles(client), timeout=2, what="the message after it was handled, without waiting for it")
    assert titles(client) == ["the next one"]


def test_import__a_task_that_was_deleted_does_not_come_back(topic: Topic, client: Client) -> None:
    event_id = str(uuid4())
    topic.publish(client, event_id=event_id, title="deleted")
    (task,) = eventually(client.tasks, what="the imported task is there")
    client.delete(task["id"])
    topic.publish(client, event_id=event_id, title="deleted")
    topic.publish(client, title="the next one")
    eventually(lambda: "the next one" in titles(client), what="the message after it was handled")
    assert titles(client) == ["the next one"]


def test_import__of_a_user_who_never_came_before_does_not_cost_them_their_mail(topic: Topic, client: Client) -> None:
    """An import that knows no address makes the user; their own token, which has one, comes later."""
    topic.publish(client, title="imported")
    eventually(client.tasks, what="the imported task is there")
    task = client.create("reminded", due_date=due_in(0.5), reminder_offset="PT0S")
    sent = wait_delivered(client, task["id"], count=2)
    assert sorted(details["channel"] for details in sent) == ["email", "in_app"]
