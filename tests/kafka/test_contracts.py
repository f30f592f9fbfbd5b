"""What is on the topics of Kafka is what docs/asyncapi.json and docs/events say."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any
from uuid import UUID

import pytest
from confluent_kafka import Consumer
from jsonschema import Draft202012Validator

from functions.tasks.events import NOTIFICATION_SEND, REMINDER_DUE, REMINDER_EVENTS, TASK_EVENTS
from tests.conftest import unique_user
from tests.contract.schemas import FORMATS, errors
from tests.support.client import Json
from tests.support.reminders import due_in, wait_delivered
from tests.support.system import REPOSITORY, System

ASYNCAPI: Json = json.loads((REPOSITORY / "docs/asyncapi.json").read_text())
TOPICS = (TASK_EVENTS, REMINDER_EVENTS, REMINDER_DUE, NOTIFICATION_SEND)
ENOUGH = 200
"""Messages of a topic that are looked at, the oldest first."""


@pytest.fixture(scope="module")
def messages(kafka: System) -> dict[str, list[tuple[str, Json]]]:
    """Key and value of messages, by their topic."""
    client = kafka.client(unique_user("contracts"))
    task = client.create(
        "told", tags=["home"], due_date=due_in(1), reminder_offset="PT0S", recurrence={"type": "daily"}
    )
    wait_delivered(client, task["id"])
    client.complete(task["id"])
    consumer = Consumer(
        {"bootstrap.servers": kafka.run["kafka_brokers"], "group.id": "contracts", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe(list(TOPICS))
    found: dict[str, list[tuple[str, Json]]] = defaultdict(list)
    idle = 0
    while idle < 5 and not all(len(found[topic]) >= ENOUGH for topic in TOPICS):
        message = consumer.poll(1)
        if message is None or message.error():
            idle += found.keys() == set(TOPICS)
            continue
        value, key = message.value(), message.key()
        assert value is not None
        assert key is not None
        found[str(message.topic())].append((key.decode(), json.loads(value)))
    consumer.close()
    return found


def schema_of_envelope() -> dict[str, Any]:
    schema: dict[str, Any] = ASYNCAPI["components"]["schemas"]["CloudEvent"]
    return schema


@pytest.mark.parametrize("topic", TOPICS)
def test_a_message_is_what_its_schemas_say(messages: dict[str, list[tuple[str, Json]]], topic: str) -> None:
    envelope = Draft202012Validator(schema_of_envelope(), format_checker=FORMATS)
    (name,) = ASYNCAPI["channels"][topic]["messages"]
    assert messages[topic]
    for _, event in messages[topic][:ENOUGH]:
        assert [error.message for error in envelope.iter_errors(event)] == []
        assert errors(name, event["data"]) == []
        for change in event["data"].get("events", []):
            assert errors(change["type"], change) == []


@pytest.mark.parametrize("topic", TOPICS)
def test_a_message_is_keyed_by_its_user(messages: dict[str, list[tuple[str, Json]]], topic: str) -> None:
    for key, event in messages[topic][:ENOUGH]:
        data = event["data"]
        parts = data.get("events") or data.get("reminders") or [data["delivery"]]
        assert UUID(key) == UUID(parts[0]["user_id"])
        if topic != REMINDER_DUE:  # a batch of several users'
            assert {part["user_id"] for part in parts} == {parts[0]["user_id"]}
