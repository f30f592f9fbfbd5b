"""From a function to the hubs (functions/hub): each user's changes, on a channel of the user's own."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import redis

from functions.runtime.logs import logger
from functions.runtime.settings import Settings
from functions.store.changes import ChangeLog
from functions.tasks.errors import Unavailable
from functions.tasks.events import ChangeEvent
from functions.tasks.sync import change_message

HUB = "sync-hub"
"""The app-id of a hub, and the scope of a personal token that is for nothing else."""

TIMEOUT = 1.0
"""Seconds that Redis may take: longer than that, and PostgreSQL tells the hubs."""

PAUSE = 2.0
"""Seconds for which a Redis that did not answer is not asked again."""

MAX_BYTES = 256_000
"""A longer run of changes is told without them: the hubs read what they lack."""


def channel_of(user_id: UUID) -> str:
    """The channel of Redis' pub/sub on which a user's changes go."""
    return f"tickler/changes/{user_id}"


def encode(changes: Sequence[dict[str, Any]], seq: int) -> bytes:
    """What goes on it: `seq`, the last one, and the changes until it, each as a text that is ready to be sent."""
    texts = [[change["seq"], json.dumps(change, ensure_ascii=False, separators=(",", ":"))] for change in changes]
    message = json.dumps({"seq": seq, "changes": texts}, ensure_ascii=False).encode()
    return message if len(message) <= MAX_BYTES else json.dumps({"seq": seq, "changes": []}).encode()


class Fanout:
    """Tells hubs. That a message is lost, late, or comes twice does not matter: they know by the seq what they lack,
    and look by themselves too. So what cannot be told is logged, and nothing else."""

    def __init__(self, settings: Settings, log: ChangeLog) -> None:
        self._log = log
        self._told_at_commit = settings.told_at_commit
        self._asked_again_at = 0.0
        self._redis: redis.Redis | None = None
        if settings.redis_host:
            host, _, port = settings.redis_host.partition(":")
            self._redis = redis.Redis(
                host=host,
                port=int(port or 6379),
                password=settings.redis_password or None,
                ssl=settings.redis_tls,
                socket_timeout=TIMEOUT,
                socket_connect_timeout=TIMEOUT,
            )

    def tell(self, user_id: UUID, events: Sequence[ChangeEvent]) -> None:
        """Tells of a run of the user's change log, in order.

        Not where the commit did: a broker in the sidecar's memory has no queue, so what a hub heard by way of it would
        be as late as its slowest consumer.
        """
        if self._told_at_commit:
            return
        seq = events[-1].seq
        if self._redis is not None and time.monotonic() >= self._asked_again_at:
            try:
                self._redis.publish(channel_of(user_id), encode([change_message(event) for event in events], seq))
                return
            except redis.RedisError as error:
                self._asked_again_at = time.monotonic() + PAUSE
                logger().warning("redis_unavailable", error=type(error).__name__)
        try:
            self._log.notify(user_id, seq)
        except Unavailable as error:
            logger().warning("not_told", error=str(error))
