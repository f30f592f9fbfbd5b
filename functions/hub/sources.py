"""Where a hub hears of changes: Redis where there is one, and PostgreSQL.

What is heard may be lost, late or doubled, so a source says when it connected, or no longer is (`changed`): the hub
then compares what it knows with the database, and does so now and then in any case.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Sequence
from typing import Protocol
from uuid import UUID

import redis.asyncio
from redis import RedisError
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from functions.runtime.fanout import channel_of
from functions.runtime.logs import logger
from functions.runtime.settings import Settings
from functions.store.listening import listen
from functions.tasks.errors import Outage

BACK_OFF = (0.2, 5.0)
"""Seconds before connecting again, and at most, after doubling."""

CONFIRMED_WITHIN = 2.0
"""Seconds that a subscription is waited for; after that the hub's own looks make up for what is missed."""

Heard = Callable[[UUID, int, Sequence[tuple[int, str]]], None]
"""A user, the last seq of that user's log, and the changes until it (or none), each as it is sent."""


class Source(Protocol):
    connected: bool
    """False while changes may be missed."""

    async def run(self) -> None:
        """Hears until it is cancelled."""

    async def follow(self, user_id: UUID) -> None:
        """From the return on this user's changes are heard, unless the source is not connected."""

    async def leave(self, user_id: UUID) -> None: ...


class Listening:
    """PostgreSQL's notifications, of all users."""

    def __init__(self, settings: Settings, heard: Heard, changed: Callable[[], None]) -> None:
        self.connected = False
        self._url, self._heard, self._changed = settings.database_url, heard, changed

    async def run(self) -> None:
        pause = BACK_OFF[0]
        while True:
            try:
                await listen(self._url, self._listening, lambda user_id, seq: self._heard(user_id, seq, ()))
            except Outage as error:
                pause = BACK_OFF[0] if self.connected else min(pause * 2, BACK_OFF[1])
                self.connected = False
                self._changed()
                logger().warning("not_listening", error=str(error), retry_seconds=pause)
            await asyncio.sleep(pause)

    def _listening(self) -> None:
        self.connected = True
        self._changed()

    async def follow(self, user_id: UUID) -> None: ...

    async def leave(self, user_id: UUID) -> None: ...


class Subscribed:
    """Redis' pub/sub: the channels of those users who have a socket here."""

    def __init__(self, settings: Settings, heard: Heard, changed: Callable[[], None]) -> None:
        self.connected = False
        self._heard, self._changed = heard, changed
        host, _, port = settings.redis_host.partition(":")
        self._client = redis.asyncio.Redis(
            host=host,
            port=int(port or 6379),
            password=settings.redis_password or None,
            ssl=settings.redis_tls,
            socket_connect_timeout=5,
            socket_keepalive=True,
            retry=Retry(NoBackoff(), 0),
        )
        self._users: dict[str, UUID] = {}
        self._confirmed: dict[str, asyncio.Event] = {}
        self._pubsub: PubSub | None = None
        self._sending = asyncio.Lock()

    async def run(self) -> None:
        pause = BACK_OFF[0]
        while True:
            pubsub = self._client.pubsub()
            try:
                await pubsub.subscribe("tickler/hubs")  # one always, as a connection without any cannot be read
                async with self._sending:
                    if self._users:
                        await pubsub.subscribe(*self._users)
                    self._pubsub = pubsub
                waiting = set(self._users)
                while True:
                    message = await pubsub.get_message(timeout=None)
                    if message is None:
                        continue
                    channel = message["channel"].decode()
                    if message["type"] == "message":
                        self._message(channel, message["data"])
                    elif message["type"] == "subscribe":
                        waiting.discard(channel)
                        if (confirmed := self._confirmed.get(channel)) is not None:
                            confirmed.set()
                        if not waiting and not self.connected:
                            self.connected, pause = True, BACK_OFF[0]
                            self._changed()
            except (RedisError, OSError) as error:
                self.connected, self._pubsub = False, None
                self._changed()
                logger().warning("not_subscribed", error=type(error).__name__, retry_seconds=pause)
            finally:
                with contextlib.suppress(RedisError, OSError):
                    await pubsub.aclose()  # type: ignore[no-untyped-call]
            await asyncio.sleep(pause)
            pause = min(pause * 2, BACK_OFF[1])

    def _message(self, channel: str, data: bytes) -> None:
        if (user_id := self._users.get(channel)) is None:
            return
        try:
            said = json.loads(data)
            changes = [(int(seq), str(text)) for seq, text in said["changes"]]
            self._heard(user_id, int(said["seq"]), changes)
        except (ValueError, KeyError, TypeError):
            logger().warning("message_not_read")

    async def follow(self, user_id: UUID) -> None:
        channel = channel_of(user_id)
        self._users[channel] = user_id
        confirmed = self._confirmed[channel] = asyncio.Event()
        await self._send(channel)
        if self._pubsub is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(confirmed.wait(), CONFIRMED_WITHIN)

    async def leave(self, user_id: UUID) -> None:
        channel = channel_of(user_id)
        self._users.pop(channel, None)
        self._confirmed.pop(channel, None)
        await self._send(channel)

    async def _send(self, channel: str) -> None:
        """Has Redis know what is wanted of the channel by now."""
        async with self._sending:
            if self._pubsub is not None:
                with contextlib.suppress(RedisError, OSError):  # `run` finds that out too
                    if channel in self._users:
                        await self._pubsub.subscribe(channel)
                    else:
                        await self._pubsub.unsubscribe(channel)
