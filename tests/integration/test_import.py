"""create-task by the topic `task.create`: what an import or another system publishes through Dapr."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.support.client import Client, Json
from tests.support.reminders import due_in, wait_delivered
from tests.support.system import System
from tests.support.topic import Topic
from tests.support.waiting import eventually


@pytest.fixture
def topic(system: System) -> Topic:
    return Topic(system)


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


BAD = [
    (b"title=x", "text/plain"),
    (b"[1, 2]", "application/json"),
    (b'{"user_id": "USER", "name": "\\u0000", "command": {"title": "x"}}', "application/json"),
    (b'{"specversion": "1.0", "id": "1", "type": "t", "source": "s"}', "application/cloudevents+json"),
]
"""Others are tried in tests/unit/test_inputs.py: here each takes as long as four attempts."""


def test_import__bad_messages_make_nothing_and_the_next_is_handled(topic: Topic, client: Client) -> None:
    for content, content_type in BAD:
        topic.raw(content.replace(b"USER", str(client.user_id).encode()), content_type)
    topic.publish(client, title="the next one")
    eventually(lambda: titles(client), timeout=40, what="the message after them was handled")
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
    assert topic.dead(event_id) == [], "it was carried out before"


def test_import__of_a_user_who_never_came_before_does_not_cost_them_their_mail(topic: Topic, client: Client) -> None:
    """An import that knows no address makes the user; their own token, which has one, comes later."""
    topic.publish(client, title="imported")
    eventually(client.tasks, what="the imported task is there")
    task = client.create("reminded", due_date=due_in(0.5), reminder_offset="PT0S")
    sent = wait_delivered(client, task["id"], count=2)
    assert sorted(details["channel"] for details in sent) == ["email", "in_app"]
