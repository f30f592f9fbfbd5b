"""Access tokens of the tests' users: signed with the keys of the system, so that it verifies them as any other.

Signing up by the API would hash a password for each of the many users. tests/integration/test_accounts.py does that.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import httpx

from functions.runtime.settings import Settings
from functions.runtime.sidecar import Sidecar
from functions.runtime.token_keys import TokenKeys
from functions.runtime.tokens import Tokens
from functions.tasks.accounts import ACCESS_LIFETIME
from functions.tasks.models import Caller

RENEWED = ACCESS_LIFETIME.total_seconds() / 2
"""Seconds after which a token is made anew: a test may take longer than one holds."""


class SignedIn(httpx.Auth):
    """Gives each request the token of one user, unless it has one; thread-safe."""

    def __init__(self, data: Path, issuer: str, user_id: UUID, name: str, email: str) -> None:
        """`data` is the system's folder, `issuer` its public URL."""
        self._data, self._issuer = data, issuer
        self._caller = Caller(user_id=user_id, name=name, email=email, sign_in=uuid4())
        self._lock = threading.Lock()
        self._token = ""
        self._made = -RENEWED

    @property
    def token(self) -> str:
        """One that holds."""
        with self._lock:
            if time.monotonic() - self._made >= RENEWED:
                settings = Settings(data=self._data, public_url=self._issuer)
                keys = TokenKeys(settings, Sidecar(settings))
                self._token, self._made = (
                    Tokens(settings, keys).issue(self._caller, datetime.now(UTC)),
                    time.monotonic(),
                )
            return self._token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers.setdefault("Authorization", f"Bearer {self.token}")
        yield request
