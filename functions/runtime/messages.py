"""From entries of change logs to messages that a broker takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from uuid import UUID

from functions.tasks.events import ChangeEvent, topic_of

MESSAGE_BYTES = 500_000
"""A message is closed before it is longer; Kafka's own limit is 1 MB (max.message.bytes), and one event is far less."""

BULK_BYTES = 900_000
"""A bulk is closed before it is longer; a sidecar takes 4 MiB, Event Hubs 1,046,528 bytes a request."""

CLOUD_EVENT = "application/cloudevents+json"
"""The content type of a CloudEvent that is published as it is."""


@dataclass(frozen=True)
class Message:
    """What is published under a key: messages of one key stay in order."""

    key: str
    identity: str
    """The CloudEvent's id; empty where the data has one."""
    data: bytes
    content_type: str = "application/json"


@dataclass
class _Run:
    """A run of one user's change log, as one message."""

    first: int
    last: int
    parts: list[bytes] = field(default_factory=list)
    size: int = 0

    def message(self, user_id: UUID) -> Message:
        """The same bytes as `Changes(events=...)` has in JSON."""
        data = b'{"events":[' + b",".join(self.parts) + b"]}"
        return Message(str(user_id), f"{user_id}/{self.first}-{self.last}", data)


def rounds(events: Iterable[ChangeEvent]) -> Iterator[tuple[str, list[Message]]]:
    """Topics and messages, to be published one round after the other.

    `events` are each user's in order. A round has one message a user at most: so where a broker takes a part of a
    round, and all of it is published again, no user's events come out of order.
    """
    topics: dict[str, dict[UUID, list[_Run]]] = {}
    for event in events:
        runs = topics.setdefault(topic_of(event.type), {}).setdefault(event.user_id, [])
        part = event.model_dump_json().encode()
        if not runs or runs[-1].size + len(part) > MESSAGE_BYTES:
            runs.append(_Run(event.seq, event.seq))
        runs[-1].last = event.seq
        runs[-1].parts.append(part)
        runs[-1].size += len(part)
    for topic, users in topics.items():
        for number in range(max(map(len, users.values()))):
            yield topic, [runs[number].message(user) for user, runs in users.items() if number < len(runs)]


def bulks(messages: Iterable[Message]) -> Iterator[list[Message]]:
    """The messages in order, in parts that a sidecar takes."""
    bulk: list[Message] = []
    size = 0
    for message in messages:
        if bulk and size + len(message.data) > BULK_BYTES:
            yield bulk
            bulk, size = [], 0
        bulk.append(message)
        size += len(message.data)
    if bulk:
        yield bulk
