"""One device's socket: who it is, what it has (its cursor), and when it is to be closed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from functions.hub.protocol import Protocol
from functions.runtime.logs import logger
from functions.tasks.errors import PermissionDenied, Unauthenticated, Unavailable
from functions.tasks.models import Caller
from functions.tasks.sync import MAX_SEQ

if TYPE_CHECKING:
    from functions.hub.app import Hub
    from functions.hub.feeds import Feed

AUTHENTICATED_WITHIN = 10.0
"""Seconds in which a device has to say who it is."""
HEARTBEAT = 20.0
"""Seconds between two heartbeats, at most: a little less each time, so that those of sockets which were opened together
do not stay together. `latest` is the last seq that the device was sent."""
SENT_WITHIN = 30.0
"""Seconds in which a device has to take what it is sent."""
VERIFIED_EVERY = 60.0
"""Seconds after which a token is looked at again that can be removed before it expires."""

BAD_INPUT, REFUSED, TOO_SLOW, RESET, TOO_MANY, BUSY, FAILED = 4400, 4401, 4408, 4409, 4429, 1013, 1011


class Closed(Exception):
    """The socket is to be closed, with a code and a reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class Socket:
    """The receiving half runs as the request, the sending half as a task beside it."""

    def __init__(self, websocket: WebSocket, hub: Hub) -> None:
        self._websocket, self._hub = websocket, hub
        self._protocol: Protocol = websocket.scope["state"]["protocol"]
        self._caller: Caller | None = None
        self._token = ""
        self._due = asyncio.Event()
        self._reset = False
        self._heartbeat_at = self._verify_at = 0.0
        self.cursor = 0

    # What its feed and the hub's clock see.

    def wake(self) -> None:
        self._due.set()

    def reset(self) -> None:
        self._reset = True
        self._due.set()

    def look(self, now: float, moment: datetime) -> None:
        """Wakes it where something is due by the clock: `now` is of the monotonic one."""
        expires_at = self._caller.expires_at if self._caller else None
        if now >= self._heartbeat_at or (expires_at is not None and moment >= expires_at):
            self._due.set()

    # The request.

    async def serve(self) -> None:
        """Until the socket is closed, by whom ever."""
        await self._websocket.accept()
        try:
            after = await self._introduce()
            assert self._caller is not None
            with self._hub.joined(self, self._caller.user_id) as feed:
                await self._hub.open(feed)
                sending = asyncio.create_task(self._send(feed, after))
                try:
                    await self._listen()
                finally:
                    sending.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await sending
        except Closed as closed:
            await self._close(closed)
        except WebSocketDisconnect:
            pass

    async def _introduce(self) -> int | None:
        """Who it is and from where on it is to be told."""
        query = self._websocket.query_params
        said: dict[str, Any] = {"token": query.get("token"), "after": query.get("after")}
        if said["token"] is None:
            try:
                async with asyncio.timeout(AUTHENTICATED_WITHIN):
                    said = {"after": said["after"], **await self._message()}
            except TimeoutError:
                raise Closed(TOO_SLOW, "the token did not come in time") from None
        self._caller = await self._verified(said["token"] if isinstance(said.get("token"), str) else "")
        return _seq(said["after"])

    async def _message(self) -> dict[str, Any]:
        """The next message that says something: an object of type `auth`."""
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message["code"])
            with contextlib.suppress(ValueError, RecursionError):
                said = json.loads(message.get("text") or "")
                if isinstance(said, dict) and said.get("type") == "auth":
                    return said

    async def _verified(self, token: str) -> Caller:
        try:
            caller = await self._hub.authenticate(token)
        except (Unauthenticated, PermissionDenied) as error:
            raise Closed(REFUSED, str(error)) from None
        except Unavailable:
            raise Closed(BUSY, "try again") from None
        self._token = token
        self._verify_at = time.monotonic() + VERIFIED_EVERY
        return caller

    async def _listen(self) -> None:
        """Takes fresh tokens of the same user."""
        while True:
            said = await self._message()
            caller = await self._verified(said["token"] if isinstance(said.get("token"), str) else "")
            assert self._caller is not None
            if caller.user_id != self._caller.user_id:
                raise Closed(REFUSED, "the token is another user's")
            self._caller = caller

    # The sending half.

    async def _send(self, feed: Feed, after: int | None) -> None:
        try:
            changes: Sequence[tuple[int, str]] | None = await self._begin(feed, after)
            while True:
                await self._check()
                for seq, text in changes or ():
                    await self._text(text)
                    self.cursor = seq
                self._due.clear()
                changes = feed.after(self.cursor)
                if changes is None:
                    window = await self._hub.read(feed.user_id, self.cursor)
                    self._reset |= window.reset
                    changes = self._hub.texts(window)
                elif not changes and not self._reset:
                    if time.monotonic() >= self._heartbeat_at:
                        self._heartbeat_at = time.monotonic() + HEARTBEAT * random.uniform(0.75, 1)
                        await self._text(json.dumps({"type": "heartbeat", "latest": self.cursor}))
                    await self._due.wait()
        except Closed as closed:
            await self._close(closed)
        except WebSocketDisconnect:
            pass
        except Exception:
            logger().exception("socket_failed")
            await self._close(Closed(FAILED, "try again"))

    async def _begin(self, feed: Feed, after: int | None) -> Sequence[tuple[int, str]]:
        """The first changes that the device lacks, from the database. The feed has what comes after those."""
        if after is None:
            window = await self._hub.read(feed.user_id, 0, (1, 1))
            self.cursor = window.current
            return ()
        window = await self._hub.read(feed.user_id, after)
        self.cursor, self._reset = after, window.reset
        self._hub.heard(feed.user_id, window.current, ())
        return self._hub.texts(window)

    async def _check(self) -> None:
        """Raises Closed for a socket whose time is over."""
        if self._reset:
            await self._text('{"type": "reset"}')
            raise Closed(RESET, "this is no longer kept: begin with a snapshot")
        caller = self._caller
        assert caller is not None
        if caller.expires_at is not None and datetime.now(UTC) >= caller.expires_at:
            raise Closed(REFUSED, "the token has expired")
        # What a sign-in gave holds until it expires; anything else may have been taken back.
        if caller.sign_in is None and time.monotonic() >= self._verify_at:
            token = self._token
            try:
                await self._hub.authenticate(token)
            except (Unauthenticated, PermissionDenied) as error:
                if token == self._token:
                    raise Closed(REFUSED, str(error)) from None
            except Unavailable:
                pass  # whoever cannot be asked takes nothing back
            self._verify_at = time.monotonic() + VERIFIED_EVERY

    async def _text(self, text: str) -> None:
        """Sends a message once the device has taken enough of those before: what waits here is in no buffer."""
        if not self._protocol.writable.is_set():
            try:
                async with asyncio.timeout(SENT_WITHIN):
                    await self._protocol.writable.wait()
            except TimeoutError:
                raise Closed(TOO_SLOW, "the device does not read") from None
        await self._websocket.send_text(text)

    async def _close(self, closed: Closed) -> None:
        if self._protocol.writable.is_set():
            with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                await self._websocket.close(closed.code, closed.reason)
        else:
            self._protocol.give_up(closed.code, closed.reason)


def _seq(after: Any) -> int | None:
    if after is None:
        return None
    if isinstance(after, str) and after.isascii() and after.isdigit() and len(after) < 20:
        after = int(after)
    if type(after) is not int or not 0 <= after <= MAX_SEQ:
        raise Closed(BAD_INPUT, "after must be a seq")
    return after
