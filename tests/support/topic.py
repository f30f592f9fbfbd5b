"""A topic as other systems see it: what they publish, and what becomes of it."""

from __future__ import annotations

import json
from typing import Any

from dapr.proto import api_v1

from functions.tasks.events import Command
from tests.support.client import Client, Json
from tests.support.system import System


class Topic:
    """Publishes on one topic through the sidecar of a function that may."""

    def __init__(self, system: System, name: str = "task.create") -> None:
        self._system = system
        self._name = name

    def publish(self, client: Client, *, event_id: str | None = None, correlation_id: str = "", **command: Any) -> None:
        """A command on behalf of the client's user; with an `event_id` as a CloudEvent of the publisher's own."""
        envelope = Command(
            user_id=client.user_id, name=client.user, correlation_id=correlation_id, command=command
        ).model_dump(mode="json")
        if event_id is None:
            self.raw(json.dumps(envelope).encode())
        else:
            self.event(event_id, envelope)

    def event(self, event_id: str, data: Any, **metadata: str) -> None:
        """A CloudEvent with this payload."""
        event = {
            "specversion": "1.0",
            "type": self._name,
            "source": "import",
            "id": event_id,
            "datacontenttype": "application/json",
            "data": data,
        }
        self.raw(json.dumps(event).encode(), "application/cloudevents+json", **metadata)

    def raw(self, content: bytes, content_type: str = "application/json", **metadata: str) -> None:
        """Any bytes; `rawPayload="true"` puts just these on the topic, under a `partitionKey`."""
        request = api_v1.PublishEventRequest(
            pubsub_name="pubsub", topic=self._name, data=content, data_content_type=content_type, metadata=metadata
        )
        with self._system.sidecar(self._system.publisher) as sidecar:
            sidecar.PublishEvent(request, timeout=30)

    def log(self, event_id: str, said: str) -> list[Json]:
        """What the functions logged of an event under this name, in order."""
        lines = [json.loads(line) for line in self._system.log("functions") if event_id in line]
        return [line for line in lines if line["event"] == said and line.get("event_id") == event_id]

    def dead(self, event_id: str) -> list[Json]:
        """The dead messages of an event."""
        return self._system.sql("select * from dead_messages where event_id = %s", event_id)
