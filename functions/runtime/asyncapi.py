"""The AsyncAPI 3.0 document: the topics, their messages, and which function sends and receives them.

https://www.asyncapi.com/docs/reference/specification/v3.0.0. The payloads are the files of docs/events; the Kafka
bindings are those of https://github.com/asyncapi/bindings/tree/master/kafka.
"""

from __future__ import annotations

from typing import Any

from functions.runtime.event_schemas import accepted, messages
from functions.runtime.triggers import Function
from functions.tasks.event_data import EVENT_DATA
from functions.tasks.events import Changes, RawMessage, topic_of

Document = dict[str, Any]

KAFKA_BINDING = "0.5.0"


def asyncapi(functions: list[Function]) -> Document:
    """Every topic as a channel, and every function's part in it as an operation."""
    models = messages(functions)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tickler events",
            "version": "1",
            "description": (
                "The topics of one pub/sub component, whatever the broker. A message is a CloudEvent whose data is"
                " JSON; it comes at least once, and in order per key. Consumers ignore fields and types of events"
                " that they do not know."
            ),
        },
        "defaultContentType": "application/cloudevents+json",
        "channels": {topic: _channel(topic, functions) for topic in sorted(models)},
        "operations": dict(sorted(operation for function in functions for operation in _operations(function, models))),
        "components": {
            "messages": {name: _message(name) for name in sorted({model.__name__ for model in models.values()})},
            "schemas": {"CloudEvent": _CLOUD_EVENT},
        },
    }


def _channel(topic: str, functions: list[Function]) -> Document:
    model = messages(functions)[topic]
    channel: Document = {
        "address": topic,
        "messages": {model.__name__: {"$ref": f"#/components/messages/{model.__name__}"}},
    }
    buried = [each.name for function in functions for each in function.topics if each.dead_letter == topic]
    if buried:
        channel["description"] = f"Dead letters: what no attempt delivered of {', '.join(sorted(buried))}."
    elif topic in accepted(functions):
        channel["description"] = "For others to publish on."
    if model is Changes:
        channel["x-event-types"] = {
            name: {"$ref": f"./events/{name}.json"} for name in EVENT_DATA if topic_of(name) == topic
        }
    return channel


def _operations(function: Function, models: dict[str, Any]) -> list[tuple[str, Document]]:
    found = []
    for topic in function.topics:
        group = {"groupId": {"type": "string", "const": function.name}, "bindingVersion": KAFKA_BINDING}
        receives = _operation("receive", function, topic.name, models) | {"bindings": {"kafka": group}}
        found.append((f"{function.name}-receives-{topic.name}", receives))
    dead_letters = {topic.dead_letter for topic in function.topics if topic.dead_letter}
    for name in {*function.sends, *dead_letters}:
        found.append((f"{function.name}-sends-{name}", _operation("send", function, name, models)))
    return found


def _operation(action: str, function: Function, topic: str, models: dict[str, Any]) -> Document:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{topic}"},
        "summary": function.summary,
        "tags": [{"name": function.name}],
        "messages": [{"$ref": f"#/channels/{topic}/messages/{models[topic].__name__}"}],
    }


def _message(name: str) -> Document:
    if name == RawMessage.__name__:
        return {
            "name": name,
            "summary": "a message as it was on its own topic, byte for byte: mostly a CloudEvent",
            "contentType": "application/octet-stream",
            "payload": {"type": "string", "format": "binary"},
        }
    return {
        "name": name,
        "contentType": "application/cloudevents+json",
        "payload": {
            "allOf": [
                {"$ref": "#/components/schemas/CloudEvent"},
                {"type": "object", "properties": {"data": {"$ref": f"./events/{name}.json"}}},
            ]
        },
        "bindings": {"kafka": {"key": _KEY, "bindingVersion": KAFKA_BINDING}},
    }


_KEY = {
    "type": "string",
    "format": "uuid",
    "description": "the user_id (of a batch, its first one's), so that a user's messages stay in order",
}

_CLOUD_EVENT: Document = {
    "type": "object",
    "description": (
        "CloudEvents 1.0 (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md), in the structured"
        " mode, as Dapr writes it (components-contrib 1.16, pubsub/envelope.go)."
    ),
    "required": ["id", "source", "specversion", "type", "data"],
    "properties": {
        "id": {"type": "string", "description": "the same each time that one message is sent"},
        "source": {"type": "string", "format": "uri-reference", "description": "who published: the app-id"},
        "specversion": {"type": "string", "const": "1.0"},
        "type": {"type": "string", "examples": ["com.dapr.event.sent"]},
        "datacontenttype": {"type": "string", "const": "application/json"},
        "time": {"type": "string", "format": "date-time"},
        "topic": {"type": "string"},
        "pubsubname": {"type": "string"},
        "traceparent": {"type": "string", "description": "W3C Trace Context"},
        "tracestate": {"type": "string"},
        "traceid": {"type": "string", "description": "the same as traceparent"},
        "data": {"description": "the message"},
    },
}
