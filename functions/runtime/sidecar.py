"""The Dapr sidecar, as the functions see it: publish, and read secrets."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import grpc
from dapr.proto import api_service_v1, api_v1

from functions.runtime.backlog import Backlog
from functions.runtime.logs import logger
from functions.runtime.settings import Settings
from functions.tasks.errors import Unavailable
from functions.tasks.events import SEND_TOPICS, ChangeEvent, Event, topic_of

TIMEOUT = 10.0
"""Seconds that a call to the sidecar may take."""

QUEUED = frozenset(SEND_TOPICS.values()) - {SEND_TOPICS["in_app"]}
"""Topics whose consumers wait for other servers. The in-memory broker handles one message of a topic at a time and
lets its publisher wait, so what goes there is queued in this process; a reminder's lease brings back what is lost."""

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
            elif topic in QUEUED:
                self._backlog.put(topic, entries)
            else:
                for entry in entries:
                    self._single(topic, *entry)
        except grpc.RpcError as error:
            raise Unavailable("the broker does not answer: try again") from error

    def publish_changes(self, events: list[ChangeEvent]) -> None:
        """Publishes entries of change logs, each on the topic of its type; order is kept within each topic."""
        by_topic: dict[str, list[tuple[str, str, Event]]] = {}
        for event in events:
            message = (str(event.user_id), str(event.event_id), event)
            by_topic.setdefault(topic_of(event.type), []).append(message)
        for topic, messages in by_topic.items():
            self.publish(topic, messages)

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
