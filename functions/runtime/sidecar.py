"""The Dapr sidecar, as the functions see it: publish, keep records, and read secrets."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import grpc
from dapr.proto import api_service_v1, api_v1, common_v1

from functions.runtime.backlog import Backlog
from functions.runtime.logs import logger
from functions.runtime.messages import CLOUD_EVENT, Message, bulks, rounds
from functions.runtime.settings import Settings
from functions.tasks.dead_messages import DeadMessage, partition_key
from functions.tasks.errors import Unavailable
from functions.tasks.events import ChangeEvent, Event

TIMEOUT = 10.0
"""Seconds that a call to the sidecar may take."""

STATE = "state"
"""Name of the state store component."""

STATE_TIMEOUT = 1.0
"""Seconds that a call to the state store may take: what is kept there is of less use than an answer in time."""

WAIT = 60.0
"""Seconds that a queued message waits for the one before it: longer than all attempts at that."""


class Sidecar:
    """One lazily connected channel a process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._metadata = (("dapr-api-token", settings.dapr_api_token),) if settings.dapr_api_token else ()
        self._backlog = Backlog(lambda topic, message: self._single(topic, message, timeout=WAIT))

    @cached_property
    def _stub(self) -> api_service_v1.DaprStub:
        options = [("grpc.max_receive_message_length", 16 << 20), ("grpc.max_reconnect_backoff_ms", 1000)]
        channel = grpc.insecure_channel(f"127.0.0.1:{self._settings.dapr_grpc_port}", options=options)
        return api_service_v1.DaprStub(channel)  # type: ignore[no-untyped-call]  # generated code

    def publish(self, topic: str, messages: Sequence[Message]) -> None:
        """Publishes messages in order: those of one key reach their consumers in this order.

        A durable broker gets them in bulk. The in-memory one would take a bulk in parallel
        (dapr/pkg/runtime/pubsub/default_bulkpub.go), so it gets them one after the other. Raises Unavailable when
        a message was not accepted: any of the others may have been.
        """
        try:
            if self._settings.broker == "durable":
                for bulk in bulks(messages):
                    self._bulk(topic, bulk)
            else:
                for message in messages:
                    self._single(topic, message)
        except grpc.RpcError as error:
            raise Unavailable("the broker does not answer: try again") from error

    def send(self, topic: str, events: Sequence[tuple[str, str, Event]]) -> None:
        """Publishes (key, id, event) that a lease in the database stands behind: one that is lost is sent again.

        The in-memory broker makes a publisher wait for the consumer of the message before. So there a thread of
        each topic waits instead, and a topic whose consumer is stuck holds up nothing but itself.
        """
        messages = [Message(key, identity, event.model_dump_json().encode()) for key, identity, event in events]
        if self._settings.broker == "durable":
            self.publish(topic, messages)
        else:
            self._backlog.put(topic, messages)

    def stop(self) -> None:
        """Gives up what waits to be sent."""
        self._backlog.stop()

    def publish_changes(self, events: list[ChangeEvent]) -> None:
        """Publishes entries of change logs (each user's in order), as runs."""
        for topic, messages in rounds(events):
            self.publish(topic, messages)

    def publish_again(self, topic: str, messages: Sequence[DeadMessage]) -> None:
        """Publishes CloudEvents as they are, with the ids that they had. Raises as `publish` does."""
        self.publish(topic, [Message(partition_key(each), "", each.data, CLOUD_EVENT) for each in messages])

    def _single(self, topic: str, message: Message, timeout: float = TIMEOUT) -> None:
        self._stub.PublishEvent(
            api_v1.PublishEventRequest(
                pubsub_name=self._settings.pubsub,
                topic=topic,
                data=message.data,
                data_content_type=message.content_type,
                metadata=_metadata(message),
            ),
            timeout=timeout,
            metadata=self._metadata,
        )

    def _bulk(self, topic: str, messages: list[Message]) -> None:
        # The SDK has no method for it; 1.16's stable API neither.
        answer = self._stub.BulkPublishEventAlpha1(
            api_v1.BulkPublishRequest(
                pubsub_name=self._settings.pubsub,
                topic=topic,
                entries=[
                    api_v1.BulkPublishRequestEntry(
                        entry_id=str(index),
                        event=message.data,
                        content_type=message.content_type,
                        metadata=_metadata(message),
                    )
                    for index, message in enumerate(messages)
                ],
            ),
            timeout=TIMEOUT,
            metadata=self._metadata,
        )
        if answer.failedEntries:
            logger().warning("publish_failed", topic=topic, failed=len(answer.failedEntries))
            raise Unavailable("the broker does not answer: try again")

    def state(self, key: str) -> tuple[bytes, str]:
        """A record of the component `state`, and its ETag; both empty where there is none. Raises Unavailable."""
        try:
            answer = self._stub.GetState(
                api_v1.GetStateRequest(store_name=STATE, key=key), timeout=STATE_TIMEOUT, metadata=self._metadata
            )
        except grpc.RpcError as error:
            raise Unavailable(f"the state store does not answer: {error.code().name}") from error
        return answer.data, answer.etag

    def save_state(self, key: str, data: bytes, etag: str, seconds: int) -> bool:
        """Writes a record that is gone after `seconds`, over the one of this ETag (none where it is empty).

        False where there is another by now, or the store could not write: reading it again tells which. Raises
        Unavailable.
        """
        item = common_v1.StateItem(
            key=key,
            value=data,
            metadata={"ttlInSeconds": str(seconds)},
            options=common_v1.StateOptions(concurrency=common_v1.StateOptions.CONCURRENCY_FIRST_WRITE),
        )
        if etag:
            item.etag.value = etag
        try:
            self._stub.SaveState(
                api_v1.SaveStateRequest(store_name=STATE, states=[item]), timeout=STATE_TIMEOUT, metadata=self._metadata
            )
        except grpc.RpcError as error:
            # state.redis says ABORTED to every failed write with an ETag, and INTERNAL to every one without
            # (components-contrib 1.16 state/redis/redis.go).
            if error.code() in (grpc.StatusCode.ABORTED, grpc.StatusCode.INTERNAL):
                return False
            raise Unavailable(f"the state store does not answer: {error.code().name}") from error
        return True

    def secret(self, name: str) -> str:
        """A secret of the component `secrets`. Raises Unavailable where the store does not have it."""
        try:
            answer = self._stub.GetSecret(
                api_v1.GetSecretRequest(store_name="secrets", key=name), timeout=TIMEOUT, metadata=self._metadata
            )
        except grpc.RpcError as error:
            raise Unavailable(f"the secret {name} cannot be read") from error
        return next(iter(answer.data.values()), "")


def _metadata(message: Message) -> dict[str, str]:
    identity = {"cloudevent.id": message.identity} if message.identity else {}
    return {"partitionKey": message.key, **identity}
