"""The hub: its sockets by user, what it hears, and the looks into the database that make up for what it does not."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from functions.hub.feeds import Feed
from functions.hub.sockets import BUSY, TOO_MANY, Closed, Socket
from functions.hub.sources import Listening, Source, Subscribed
from functions.runtime.auth import authenticator
from functions.runtime.fanout import HUB
from functions.runtime.logs import logger
from functions.runtime.settings import Settings
from functions.runtime.sidecar import Sidecar
from functions.runtime.token_keys import TokenKeys
from functions.runtime.tokens import Tokens
from functions.store.accounts import PersonalTokens
from functions.store.changes import ChangeLog
from functions.store.database import Database
from functions.tasks.errors import PermissionDenied, Unavailable
from functions.tasks.models import Caller
from functions.tasks.sync import Window, change_message

THREADS, VERIFYING = 8, 4
"""For what blocks: reading the database, and verifying tokens."""
LOOK = (1.0, 20.0)
"""Seconds between two looks into the database, while a source is not connected, and while all are."""
PAGE = (100, 64_000)
"""Changes read at once, and bytes: what a socket holds that is behind."""
FEEDS = 100
"""Users of one such read."""
BACK_OFF = (0.2, 5.0)
"""Seconds before a read is tried again, and at most, after doubling."""

Answer = TypeVar("Answer")


class Hub:
    def __init__(self, settings: Settings) -> None:
        """Raises ValueError for settings that contradict themselves."""
        self._settings = settings
        self._database = Database(settings.database_url, size=THREADS + VERIFYING)
        self._log = ChangeLog(self._database)
        tokens = Tokens(settings, TokenKeys(settings, Sidecar(settings)))
        self._authenticator = authenticator(settings, tokens, PersonalTokens(self._database))
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="read")
        # Others, so that who comes while all of those wait for the database is let in.
        self._verifying = ThreadPoolExecutor(VERIFYING, thread_name_prefix="verify")
        self._feeds: dict[UUID, Feed] = {}
        self._sockets: set[Socket] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._look = asyncio.Event()
        self._lacking: set[Feed] = set()
        self._fill = asyncio.Event()
        self._sources: list[Source] = [Listening(settings, self.heard, self._look.set)]
        if settings.redis_host:
            self._sources.append(Subscribed(settings, self.heard, self._look.set))

    @contextlib.asynccontextmanager
    async def running(self, app: Starlette) -> AsyncIterator[None]:
        self._database.open()
        for work in (*(source.run() for source in self._sources), self._fills(), self._looks(), self._ticks()):
            self._begin(work)
        try:
            yield
        finally:
            for task in list(self._tasks):
                task.cancel()
            for threads in (self._threads, self._verifying):
                threads.shutdown(wait=False, cancel_futures=True)
            self._database.close()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger().error("task_failed", exc_info=error)

    # What it serves.

    async def healthz(self, request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok", "sockets": len(self._sockets), "users": len(self._feeds)})

    async def tasks(self, websocket: WebSocket) -> None:
        origin = websocket.headers.get("origin")
        if origin is not None and not self._is_own(origin, websocket.headers.get("host", "")):
            await websocket.close()  # before it is accepted: a 403
            return
        if len(self._sockets) >= self._settings.hub_sockets:
            await websocket.accept()
            await websocket.close(BUSY, "too many sockets: try again")
            return
        socket = Socket(websocket, self)
        self._sockets.add(socket)
        try:
            await socket.serve()
        finally:
            self._sockets.discard(socket)

    def _is_own(self, origin: str, host: str) -> bool:
        """Whether a page of ours opens the socket. It is not what protects: a page of another site has no token."""
        return urlsplit(origin).netloc == host or origin == self._settings.url

    # What sockets need.

    async def authenticate(self, token: str) -> Caller:
        """Raises Unauthenticated, PermissionDenied for a token that is not for this, and Unavailable."""
        caller = await asyncio.get_running_loop().run_in_executor(
            self._verifying, self._authenticator.authenticate, f"Bearer {token}", ""
        )
        if not {"read", "write", HUB} & caller.scopes:
            raise PermissionDenied(f"this token is not for {HUB}")
        return caller

    @contextlib.contextmanager
    def joined(self, socket: Socket, user_id: UUID) -> Iterator[Feed]:
        """The feed of a user, for as long as the socket is open. Raises Closed for one too many."""
        feed = self._feeds.setdefault(user_id, Feed(user_id))
        if len(feed.sockets) >= self._settings.hub_sockets_per_user:
            raise Closed(TOO_MANY, "too many sockets of this user")
        feed.sockets.add(socket)
        try:
            yield feed
        finally:
            feed.sockets.discard(socket)
            if not feed.sockets and self._feeds.get(user_id) is feed:
                del self._feeds[user_id]
                for source in self._sources:
                    self._begin(self._leave(source, user_id))

    async def _leave(self, source: Source, user_id: UUID) -> None:
        if user_id not in self._feeds:
            await source.leave(user_id)

    async def open(self, feed: Feed) -> None:
        """Listens first and reads afterwards: so nothing lies between what was read and what is heard."""
        async with feed.opening:
            if not feed.open:
                for source in self._sources:
                    await source.follow(feed.user_id)
                feed.begin((await self.read(feed.user_id, 0, (1, 1))).current)

    async def read(self, user_id: UUID, after: int, page: tuple[int, int] = PAGE) -> Window:
        """The changes after a seq. While the database does not answer it is asked again."""
        pause = BACK_OFF[0]
        while True:
            try:
                return await self._in_thread(self._log.after, user_id, after, *page)
            except Unavailable as error:
                logger().warning("not_read", error=str(error), retry_seconds=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, BACK_OFF[1])

    @staticmethod
    def texts(window: Window) -> list[tuple[int, str]]:
        """Each change as it is sent; none of a log that does not have them any more."""
        if window.reset:
            return []
        return [
            (event.seq, json.dumps(change_message(event), ensure_ascii=False, separators=(",", ":")))
            for event in window.events
        ]

    def heard(self, user_id: UUID, seq: int, changes: Sequence[tuple[int, str]]) -> None:
        """Somebody says that the user's log goes until `seq`."""
        feed = self._feeds.get(user_id)
        if feed is not None and feed.open:
            feed.hear(seq, changes)
            if feed.lacks:
                self._lacking.add(feed)
                self._fill.set()

    async def _in_thread(self, call: Callable[..., Answer], *arguments: Any) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)

    # What it does by itself.

    async def _fills(self) -> None:
        """Reads what feeds lack: one statement at a time for all of them, so that the busier it is, the more each one
        brings."""
        while True:
            await self._fill.wait()
            self._fill.clear()
            while feeds := [feed for feed in self._lacking if feed.lacks and feed.sockets][:FEEDS]:
                try:
                    found = await self._in_thread(self._missing, {feed.user_id: feed.seq for feed in feeds})
                except Unavailable as error:
                    logger().warning("not_read", error=str(error), retry_seconds=LOOK[0])
                    await asyncio.sleep(LOOK[0])
                    continue
                for feed in feeds:
                    feed.take(*found[feed.user_id])
            self._lacking.clear()

    def _missing(self, after: dict[UUID, int]) -> dict[UUID, tuple[Window, list[tuple[int, str]]]]:
        windows = self._log.of_several(after, *PAGE)
        return {user_id: (window, self.texts(window)) for user_id, window in windows.items()}

    async def _ticks(self) -> None:
        """One clock for all sockets, instead of timers of each."""
        while True:
            await asyncio.sleep(1)
            now, moment = time.monotonic(), datetime.now(UTC)
            for socket in self._sockets:
                socket.look(now, moment)

    async def _looks(self) -> None:
        """Compares the last seq of every user here with the database, so that what no source told is found."""
        while True:
            seconds = LOOK[all(source.connected for source in self._sources)]
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._look.wait(), seconds)
            self._look.clear()
            # What is known here was committed before the database is asked: less can only be another log.
            known = {user_id: feed.seq for user_id, feed in self._feeds.items() if feed.open}
            try:
                current = await self._in_thread(self._log.current, known) if known else {}
            except Unavailable as error:
                logger().warning("not_compared", error=str(error))
                await asyncio.sleep(LOOK[0])
                self._look.set()
                continue
            for user_id, seq in current.items():
                if (feed := self._feeds.get(user_id)) is None:
                    continue
                if seq < known[user_id]:
                    feed.reset()
                else:
                    self.heard(user_id, seq, ())
                    feed.trim()


def make_app(settings: Settings) -> Starlette:
    """Raises ValueError for settings that contradict themselves."""
    hub = Hub(settings)
    return Starlette(
        routes=[Route("/healthz", hub.healthz), WebSocketRoute("/api/ws/tasks", hub.tasks)], lifespan=hub.running
    )
