"""Who is calling and what for: from the `Authorization` header to a `Caller`. The one replaceable part.

What tokens there are stands in three modules: tokens (our own), oidc (those of an issuer elsewhere) and opaque
(personal ones). What a token may do is decided here, in `check_scope`.
"""

from __future__ import annotations

import re
import threading
import time
from datetime import UTC, datetime
from typing import Any, Protocol

from functions.runtime import opaque
from functions.runtime.oidc import IssuedElsewhere
from functions.runtime.settings import Settings
from functions.runtime.tokens import MAX_TOKEN, REFUSED, Tokens
from functions.runtime.triggers import Function
from functions.store.accounts import PersonalTokens
from functions.tasks.errors import PermissionDenied, Unauthenticated
from functions.tasks.models import Caller

_BEARER = re.compile(rf"(?i:Bearer) ([!-~]{{1,{MAX_TOKEN}}})", re.ASCII)
"""The scheme's name has no case (RFC 9110 section 11.1)."""

CACHED_SECONDS = 10.0
"""So long a personal token is not looked up again, and outlives its removal."""

CACHED_TOKENS = 1000


class Authenticator(Protocol):
    def authenticate(self, authorization: str | None, correlation_id: str) -> Caller:
        """The caller that this header proves. Raises Unauthenticated."""


class Kind(Protocol):
    """A kind of token."""

    def caller(self, token: str, correlation_id: str) -> Caller:
        """Whom it proves. Raises Unauthenticated."""


class Bearer:
    """`Authorization: Bearer <token>` (RFC 6750): the token's kind is what it begins with."""

    def __init__(self, kinds: dict[str, Kind]) -> None:
        """The kinds by the beginning of their tokens, the longest first."""
        self._kinds = kinds

    def authenticate(self, authorization: str | None, correlation_id: str) -> Caller:
        match = _BEARER.fullmatch(authorization or "")
        if match is not None:
            for prefix, kind in self._kinds.items():
                if match[1].startswith(prefix):
                    return kind.caller(match[1], correlation_id)
        raise Unauthenticated(REFUSED)


class PersonalAccess:
    """`tkl_...`: looked up, but not at every request."""

    def __init__(self, tokens: PersonalTokens) -> None:
        self._tokens = tokens
        self._lock = threading.Lock()
        self._cache: dict[bytes, tuple[float, dict[str, Any]]] = {}

    def caller(self, token: str, correlation_id: str) -> Caller:
        known = opaque.read(opaque.PERSONAL, token)
        row = None if known is None else self._row(known)
        if known is None or row is None:
            raise Unauthenticated(REFUSED)
        return Caller(
            user_id=known.user_id,
            name=row["name"],
            email=row["email"],
            correlation_id=correlation_id,
            scopes=frozenset(row["scopes"]),
            expires_at=row["expires_at"],
        )

    def _row(self, token: opaque.Opaque) -> dict[str, Any] | None:
        clock, now = time.monotonic(), datetime.now(UTC)
        with self._lock:
            until, row = self._cache.get(token.hash, (0.0, {}))
        if clock < until and now < row["expires_at"]:
            return row
        found = self._tokens.use(token.user_id, token.hash, now)
        with self._lock:
            if found is None:
                self._cache.pop(token.hash, None)
            else:
                if len(self._cache) >= CACHED_TOKENS:
                    self._cache.clear()
                self._cache[token.hash] = (clock + CACHED_SECONDS, found)
        return found


def authenticator(settings: Settings, tokens: Tokens, personal: PersonalTokens) -> Authenticator:
    """The one that the settings ask for. Raises ValueError where they contradict themselves."""
    kinds: dict[str, Kind] = {} if settings.auth == "none" else {opaque.PERSONAL: PersonalAccess(personal)}
    if settings.auth == "local":
        kinds["ey"] = tokens  # a JWT begins with {" in base64url
    if settings.auth == "oidc":
        kinds["ey"] = IssuedElsewhere(settings)
    return Bearer(kinds)


def check_scope(function: Function, verb: str, inputs: dict[str, Any], scopes: frozenset[str]) -> None:
    """`write` is for every function, `read` for what changes nothing, a function's name for that function; what
    manages an account needs `account`, which no personal token has. Raises PermissionDenied."""
    if function.needs is not None:
        enough = {function.needs}
    elif function.reads(verb, inputs):
        enough = {"read", "write", function.name}
    else:
        enough = {"write", function.name}
    if not enough & scopes:
        raise PermissionDenied(
            f"this token is not for {function.name}: it needs the scope {' or '.join(sorted(enough))}"
        )
