"""One user's recent changes at one hub, shared by all of that user's sockets there."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Protocol
from uuid import UUID

from functions.tasks.sync import Window

RING_COUNT = 128
"""Changes that a feed keeps at most."""
RING_CHARACTERS = 128_000
"""Of all of them together; the last one is kept whatever its length."""


class Reader(Protocol):
    """A socket, as its feed sees it."""

    cursor: int

    def wake(self) -> None:
        """There is something to do."""

    def reset(self) -> None:
        """What its device has is of a log that is gone."""


class Feed:
    """Each change is serialised once and kept once; a socket has nothing but a cursor, its seq, and takes what comes
    after it. One that falls behind the ring reads from the database by itself, so that it costs the others nothing.

    The ring has all changes after `floor` until `seq`. `known` is the last seq that there is, as far as was heard.
    """

    def __init__(self, user_id: UUID) -> None:
        self.user_id = user_id
        self.sockets: set[Reader] = set()
        self.opening = asyncio.Lock()
        self.open = False
        self.seq = self.known = 0
        self._ring: deque[tuple[int, str]] = deque()
        self._characters = 0

    @property
    def floor(self) -> int:
        return self.seq - len(self._ring)

    def begin(self, seq: int) -> None:
        """The log goes until `seq`, and from now on what comes is heard."""
        self.seq = self.known = seq
        self.open = True

    @property
    def lacks(self) -> bool:
        """Whether there are changes that have to be read."""
        return self.seq < self.known

    def hear(self, seq: int, changes: Iterable[tuple[int, str]] = ()) -> None:
        """The log goes until `seq`, and these are some of its last changes, in order."""
        before = self.seq
        for number, text in changes:
            if number == self.seq + 1:
                self._append(number, text)
        self.known = max(self.known, self.seq, seq)
        if self.seq > before:
            for socket in self.sockets:
                socket.wake()

    def _append(self, seq: int, text: str) -> None:
        self._ring.append((seq, text))
        self._characters += len(text)
        self.seq = seq
        while len(self._ring) > RING_COUNT or (self._characters > RING_CHARACTERS and len(self._ring) > 1):
            self._drop()

    def _drop(self) -> None:
        _, text = self._ring.popleft()
        self._characters -= len(text)

    def after(self, cursor: int) -> Sequence[tuple[int, str]] | None:
        """The changes after `cursor`; None where they go back behind the ring."""
        if cursor >= self.seq:
            return ()
        if cursor < self.floor:
            return None
        return list(islice(self._ring, cursor - self.floor, None))

    def trim(self) -> None:
        """Forgets what every socket has."""
        least = min((socket.cursor for socket in self.sockets), default=self.seq)
        while self._ring and self._ring[0][0] <= least:
            self._drop()

    def take(self, window: Window, texts: Sequence[tuple[int, str]]) -> None:
        """What the database says comes after `seq`."""
        if window.reset:
            self.reset()
            self.known = self.seq
        else:
            self.hear(window.current, texts)
            if not window.events:
                self.known = self.seq  # somebody said more than there is

    def reset(self) -> None:
        """The log is not the one that it was: every device begins again."""
        for socket in self.sockets:
            socket.reset()
