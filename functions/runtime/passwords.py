"""Passwords: hashed with argon2id, a few at a time."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from functions.tasks.errors import TooManyRequests

MEMORY_KIB, ITERATIONS, LANES = 19 * 1024, 2, 1
"""What the OWASP Password Storage Cheat Sheet (https://cheatsheetseries.owasp.org) names for argon2id: some 20 ms and
19 MiB. The salt has 16 bytes and the tag 32, as RFC 9106 section 4 says."""

AT_ONCE = max(1, (os.cpu_count() or 2) // 2)
"""So many are hashed at once, so that sign-ins leave a share of the processors to everybody else."""

WAITING = 12
"""So many more wait for that; the next ones are asked to come again, so that they keep no threads."""


class Passwords:
    """Makes and checks hashes, which name their parameters: those of older ones hold."""

    def __init__(self, memory_kib: int = MEMORY_KIB, iterations: int = ITERATIONS, lanes: int = LANES) -> None:
        self._hasher = PasswordHasher(
            time_cost=iterations, memory_cost=memory_kib, parallelism=lanes, hash_len=32, salt_len=16, type=Type.ID
        )
        self._room = threading.BoundedSemaphore(AT_ONCE + WAITING)
        self._turn = threading.BoundedSemaphore(AT_ONCE)

    def hash(self, password: str) -> str:
        """Raises TooManyRequests where too many are at it."""
        with self._place():
            return self._hasher.hash(password)

    def verify(self, kept: str | None, password: str) -> bool:
        """Whether this is the password of the hash; False where that is None, after as long. Raises Unavailable where
        too many are at it."""
        with self._place():
            dummy = self._dummy
            try:
                return self._hasher.verify(kept or dummy, password) and kept is not None
            except (VerificationError, InvalidHashError):
                return False

    def is_outdated(self, kept: str) -> bool:
        """Whether it was made with other parameters than today's: to be made anew when the password is known."""
        return self._hasher.check_needs_rehash(kept)

    @cached_property
    def _dummy(self) -> str:
        return self._hasher.hash(secrets.token_urlsafe(16))

    @contextmanager
    def _place(self) -> Iterator[None]:
        if not self._room.acquire(blocking=False):
            raise TooManyRequests(1)
        try:
            with self._turn:
                yield
        finally:
            self._room.release()
