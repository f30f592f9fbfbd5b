"""docs/asyncapi.json keeps to the structure that AsyncAPI 3.0.0 prescribes, and says what is.

No package here knows AsyncAPI, so these are the rules of its specification
(https://www.asyncapi.com/docs/reference/specification/v3.0.0) that a document like ours can break: the required fields
and allowed names of each object, patterns of names, and where each reference may lead.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft7Validator

from functions.runtime.event_schemas import accepted, messages
from functions.runtime.render import ROOT
from functions.runtime.triggers import load
from functions.tasks import events
from functions.tasks.event_data import EVENT_DATA
from functions.tasks.events import topic_of
from tests.contract.schemas import SCHEMAS, Json

CATALOGUE = load()
DOCUMENT: Json = json.loads((ROOT / "docs/asyncapi.json").read_text())
CHANNELS: Json = DOCUMENT["channels"]
OPERATIONS: Json = DOCUMENT["operations"]
MESSAGES: Json = DOCUMENT["components"]["messages"]

NAME = re.compile(r"[A-Za-z0-9.\-_]+")
"""Of a component, and of the keys that references name."""

ALLOWED = {
    "root": {"asyncapi", "id", "info", "servers", "defaultContentType", "channels", "operations", "components"},
    "info": {"title", "version", "description", "termsOfService", "contact", "license", "tags", "externalDocs"},
    "channel": {"address", "messages", "title", "summary", "description", "servers", "parameters", "tags", "bindings"},
    "operation": {"action", "channel", "title", "summary", "description", "security", "tags", "bindings", "messages"},
    "message": {"headers", "payload", "correlationId", "contentType", "name", "title", "summary", "tags", "bindings"},
    "kafka message": {"key", "schemaIdLocation", "schemaIdPayloadEncoding", "schemaLookupStrategy", "bindingVersion"},
    "kafka operation": {"groupId", "clientId", "bindingVersion"},
}


def names(part: Json) -> set[str]:
    """Those of an object, without extensions."""
    return {name for name in part if not name.startswith("x-")}


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for each in node.values():
            yield from references(each)
    elif isinstance(node, list):
        for each in node:
            yield from references(each)


def at(reference: str) -> Any:
    """What a reference leads to. Raises KeyError, or OSError, where it leads nowhere."""
    file, _, pointer = reference.partition("#")
    node: Any = json.loads((ROOT / "docs" / file).read_text()) if file else DOCUMENT
    for part in pointer.split("/")[1:]:
        node = node[part.replace("~1", "/").replace("~0", "~")]
    return node


class TestStructure:
    def test_of_the_document(self) -> None:
        assert DOCUMENT["asyncapi"] == "3.0.0"
        assert names(DOCUMENT) <= ALLOWED["root"]
        assert {"title", "version"} <= names(DOCUMENT["info"]) <= ALLOWED["info"]

    @pytest.mark.parametrize("topic", CHANNELS)
    def test_of_a_channel(self, topic: str) -> None:
        channel = CHANNELS[topic]
        assert NAME.fullmatch(topic)
        assert names(channel) <= ALLOWED["channel"]
        assert channel["address"] == topic
        for name, message in channel["messages"].items():
            assert message == {"$ref": f"#/components/messages/{name}"}

    @pytest.mark.parametrize("name", OPERATIONS)
    def test_of_an_operation(self, name: str) -> None:
        """Its messages are those of its own channel, by reference to that and not to the components."""
        operation = OPERATIONS[name]
        assert NAME.fullmatch(name)
        assert names(operation) <= ALLOWED["operation"]
        assert operation["action"] in ("send", "receive")
        channel = operation["channel"]["$ref"]
        assert re.fullmatch(r"#/channels/[^/]+", channel)
        assert operation["messages"]
        for message in operation["messages"]:
            assert message["$ref"].rpartition("/messages/")[0] == channel
        assert all(set(tag) <= {"name", "description", "externalDocs"} for tag in operation["tags"])

    @pytest.mark.parametrize("name", MESSAGES)
    def test_of_a_message(self, name: str) -> None:
        message = MESSAGES[name]
        assert NAME.fullmatch(name)
        assert names(message) <= ALLOWED["message"]
        any_bytes = name == "RawMessage"
        assert message["contentType"] == f"application/{'octet-stream' if any_bytes else 'cloudevents+json'}"
        Draft7Validator.check_schema(message["payload"])

    def test_of_the_kafka_bindings(self) -> None:
        bound = [
            (f"kafka {kind}", each["bindings"]["kafka"])
            for kind, parts in (("message", MESSAGES), ("operation", OPERATIONS))
            for each in parts.values()
            if "bindings" in each
        ]
        assert bound
        for kind, binding in bound:
            assert "bindingVersion" in binding
            assert names(binding) <= ALLOWED[kind]

    def test_every_reference_leads_somewhere(self) -> None:
        found = set(references(DOCUMENT))
        assert found
        for reference in found:
            assert isinstance(at(reference), dict), reference


class TestContent:
    def test_has_every_topic(self) -> None:
        named = {value for name, value in vars(events).items() if name.isupper() and isinstance(value, str)}
        assert CHANNELS.keys() == named == messages(CATALOGUE).keys()

    def test_says_who_receives_and_in_which_consumer_group(self) -> None:
        received = {
            (
                each["tags"][0]["name"],
                each["channel"]["$ref"].rpartition("/")[2],
                each["bindings"]["kafka"]["groupId"]["const"],
            )
            for each in OPERATIONS.values()
            if each["action"] == "receive"
        }
        assert received == {(f.name, topic.name, f.name) for f in CATALOGUE for topic in f.topics}

    def test_says_who_sends(self) -> None:
        sent = {
            (each["tags"][0]["name"], each["channel"]["$ref"].rpartition("/")[2])
            for each in OPERATIONS.values()
            if each["action"] == "send"
        }
        declared = {(f.name, topic) for f in CATALOGUE for topic in f.sends}
        buried = {(f.name, topic.dead_letter) for f in CATALOGUE for topic in f.topics if topic.dead_letter}
        assert sent == declared | buried
        assert CHANNELS.keys() - {topic for _, topic in sent} == accepted(CATALOGUE)

    def test_has_the_events_of_each_topic_of_changes(self) -> None:
        told = {name: topic for topic, channel in CHANNELS.items() for name in channel.get("x-event-types", {})}
        assert told == {name: topic_of(name) for name in EVENT_DATA}

    def test_says_where_dead_letters_come_from(self) -> None:
        assert "notification.send.webhook" in CHANNELS["notification.dlq"]["description"]

    @pytest.mark.parametrize("name", sorted(MESSAGES.keys() - {"RawMessage"}))
    def test_a_message_is_a_cloud_event_with_the_schema_of_its_data(self, name: str) -> None:
        envelope, own = MESSAGES[name]["payload"]["allOf"]
        assert {"id", "source", "specversion", "type"} <= set(at(envelope["$ref"])["required"])  # CloudEvents 1.0, 3.1
        assert at(own["properties"]["data"]["$ref"]) == SCHEMAS[name]

    @pytest.mark.parametrize("name", sorted(MESSAGES.keys() - {"RawMessage"}))
    def test_a_message_is_keyed_by_its_user(self, name: str) -> None:
        assert "user_id" in MESSAGES[name]["bindings"]["kafka"]["key"]["description"]
