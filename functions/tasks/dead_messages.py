"""What is known of a message that could not be handled, from its bytes alone."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID, uuid5

from pydantic import BaseModel, StringConstraints, ValidationError

from functions.tasks.values import PlainText

DEAD_MESSAGE_IDS = UUID("3c1f0a54-7d0e-5b7a-9f62-1c5d9be4a7f0")
"""Namespace (RFC 9562 section 5.5) of the ids of dead messages: the same message is buried once."""

LONGEST = 4_000_000
"""Bytes that a message may have to be published again: a sidecar takes 4 MiB at once."""

_ID = re.compile(rb"(?i)(?=((?<![0-9a-f])[0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12}(?![0-9a-f])))")


@dataclass(frozen=True)
class DeadMessage:
    """A message as it was on its topic. Without a topic it cannot be published again: it was no CloudEvent, so that
    nobody knows where it belongs, or is longer than LONGEST."""

    id: UUID
    data: bytes
    topic: str | None = None
    event_id: str | None = None


class _CloudEvent(BaseModel):
    """What names an event (`source` and `id`, https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md),
    the topic that Dapr notes in it (at most 249 characters: Kafka's names), and its payload."""

    id: Annotated[PlainText, StringConstraints(min_length=1)]
    topic: Annotated[PlainText, StringConstraints(min_length=1, max_length=249)]
    source: str = ""
    data: Any = None


def read_dead_message(data: bytes) -> DeadMessage:
    event = _event(data)
    if event is None:
        return DeadMessage(uuid5(DEAD_MESSAGE_IDS, hashlib.sha256(data).hexdigest()), data)
    name = json.dumps([event.topic, event.source, event.id])
    return DeadMessage(uuid5(DEAD_MESSAGE_IDS, name), data, event.topic, event.id)


def partition_key(message: DeadMessage) -> str:
    """The user whom its payload is about, so that it comes in order with their other messages; else its own id."""
    event = _event(message.data)
    payload = event.data if event and isinstance(event.data, dict) else {}
    parts = [payload, payload.get("delivery"), *_first(payload.get("events")), *_first(payload.get("reminders"))]
    users = [part["user_id"] for part in parts if isinstance(part, dict) and isinstance(part.get("user_id"), str)]
    return users[0] if users else str(message.id)


def ids_in(data: bytes) -> list[UUID]:
    """All that looks like a UUID in a message, whatever it is the id of, each once."""
    return sorted({UUID(text.decode()) for text in _ID.findall(data)})


def _first(items: Any) -> list[Any]:
    return items[:1] if isinstance(items, list) else []


def _event(data: bytes) -> _CloudEvent | None:
    if len(data) > LONGEST:
        return None
    try:
        return _CloudEvent.model_validate_json(data)
    except ValidationError:
        return None
