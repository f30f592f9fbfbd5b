"""The Dapr sidecar, as the functions see it: publish, and read secrets."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any
from uuid import UUID

import grpc
from dapr.proto import api_service_v1, api_v1

from functions.runtime.backlog import Backlog
from functions.runtime.logs import logger
from functions.runtime.settings import Settings
from functions.tasks.dead_messages import DeadMessage, partition_key
from functions.tasks.errors import Unavailable
from functions.tasks.events import ChangeEvent, Changes, Event, topic_of

TIMEOUT = 10.0
"""Seconds that a call to the sidecar may take."""

WAIT = 60.0
"""Seconds that a queued message waits for the one before it: longer than all attempts at that."""


class Sidecar:
    """One lazily connected channel a process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._metadata = (("dapr-api-token", settings.dapr_api_token),) if settings.dapr_api_token else ()
        self._backlog = Backlog(lambda topic, entry: self._single(topic, *entry, timeout=WAIT))

    @cached_property
    def _stub(self) -> api_service_v1.DaprStub:
        options = [("grpc.max_receive_message_length", 16 << 20), ("grpc.max_reconnect_backoff_ms", 1000)]
        channel = grpc.insecure_channel(f"127.0.0.1:{self._settings.dapr_grpc_port}", options=options)
        return api_service_v1.DaprStub(channel)  # type: ignore[no-untyped-call]  # generated code

    def publish(self, topic: str, messages: Sequence[tuple[str, str, Event]]) -> None:
        """Publishes (key, id, event) messages in order: those of one key reach their consumers in this order.

        A durable broker gets them in one bulk. The in-memory one would take a bulk in parallel
        (dapr/pkg/runtime/pubsub/default_bulkpub.go), so it gets them one after the other. Raises Unavailable when
        a message was not accepted: any of the others may have been.
        """
        if not messages:
            return
        entries = [(key, identity, event.model_dump_json().encode()) for key, identity, event in messages]
        try:
            if self._settings.broker == "durable":
                self._bulk(topic, entries)
            else:
                for entry in entries:
                    self._single(topic, *entry)
        except grpc.RpcError as error:
            raise Unavailable("the broker does not answer: try again") from error

    def send(self, topic: str, messages: Sequence[tuple[str, str, Event]]) -> None:
        """Publishes messages that a lease in the database stands behind: one that is lost is sent again.

        The in-memory broker makes a publisher wait for the consumer of the message before. So there a thread of
        each topic waits instead, and a topic whose consumer is stuck holds up nothing but itself.
        """
        if self._settings.broker == "durable":
            self.publish(topic, messages)
        else:
            self._backlog.put(
                topic, [(key, identity, event.model_dump_json().encode()) for key, identity, event in messages]
            )

    def stop(self) -> None:
        """Gives up what waits to be sent."""
        self._backlog.stop()

    def publish_changes(self, events: list[ChangeEvent]) -> None:
        """Publishes entries of change logs (each user's in order), a message a user and topic."""
        by_topic: dict[str, dict[UUID, list[ChangeEvent]]] = {}
        for event in events:
            by_topic.setdefault(topic_of(event.type), {}).setdefault(event.user_id, []).append(event)
        for topic, users in by_topic.items():
            messages = [
                (str(user_id), f"{user_id}/{run[0].seq}-{run[-1].seq}", Changes(events=run))
                for user_id, run in users.items()
            ]
            self.publish(topic, messages)

    def publish_again(self, topic: str, messages: Sequence[DeadMessage]) -> None:
        """Publishes CloudEvents as they are, with the ids that they had. Raises Unavailable when one was not accepted:
        any of the others may have been."""
        common: dict[str, Any] = {"pubsub_name": self._settings.pubsub, "topic": topic}
        content_type = "application/cloudevents+json"
        options: dict[str, Any] = {"timeout": TIMEOUT, "metadata": self._metadata}
        keyed = [(message.data, {"partitionKey": partition_key(message)}) for message in messages]
        try:
            if self._settings.broker == "durable":
                entries = [
                    api_v1.BulkPublishRequestEntry(
                        entry_id=str(number), event=data, content_type=content_type, metadata=metadata
                    )
                    for number, (data, metadata) in enumerate(keyed)
                ]
                answer = self._stub.BulkPublishEventAlpha1(
                    api_v1.BulkPublishRequest(**common, entries=entries), **options
                )
                if answer.failedEntries:
                    raise Unavailable(f"the broker refuses a message: {answer.failedEntries[0].error}"[:300])
            else:
                for data, metadata in keyed:
                    request = api_v1.PublishEventRequest(
                        **common, data=data, data_content_type=content_type, metadata=metadata
                    )
                    self._stub.PublishEvent(request, **options)
        except grpc.RpcError as error:
            raise Unavailable("the broker does not answer: try again") from error

    def _single(self, topic: str, key: str, identity: str, data: bytes, timeout: float = TIMEOUT) -> None:
        self._stub.PublishEvent(
            api_v1.PublishEventRequest(
                pubsub_name=self._settings.pubsub,
                topic=topic,
                data=data,
                data_content_type="application/json",
                metadata={"partitionKey": key, "cloudevent.id": identity},
            ),
            timeout=timeout,
            metadata=self._metadata,
        )

    def _bulk(self, topic: str, entries: list[tuple[str, str, bytes]]) -> None:
        answer = self._stub.BulkPublishEventAlpha1(
            api_v1.BulkPublishRequest(
                pubsub_name=self._settings.pubsub,
                topic=topic,
                entries=[
                    api_v1.BulkPublishRequestEntry(
                        entry_id=str(index),
                        event=data,
                        content_type="application/json",
                        metadata={"partitionKey": key, "cloudevent.id": identity},
                    )
                    for index, (key, identity, data) in enumerate(entries)
                ],
            ),
            timeout=TIMEOUT,
            metadata=self._metadata,
        )
        if answer.failedEntries:
            logger().warning("publish_failed", topic=topic, failed=len(answer.failedEntries))
            raise Unavailable("the broker does not answer: try again")

    def secret(self, name: str) -> str:
        """A secret of the component `secrets`. Raises Unavailable where the store does not have it."""
        try:
            answer = self._stub.GetSecret(
                api_v1.GetSecretRequest(store_name="secrets", key=name), timeout=TIMEOUT, metadata=self._metadata
            )
        except grpc.RpcError as error:
            raise Unavailable(f"the secret {name} cannot be read") from error
        return next(iter(answer.data.values()), "")
