"""Who is calling: from the `Authorization` header to a `Caller`. The one place that knows tokens."""

from __future__ import annotations

import ipaddress
import re
from typing import Protocol
from uuid import UUID, uuid5

from functions.runtime.settings import Settings
from functions.tasks.errors import Unauthenticated
from functions.tasks.models import Caller

DEV_USERS = UUID("6f1c2a54-1c0e-5b8e-9a54-8a1d5d1c9d11")
"""Namespace (RFC 9562 section 5.5) of the ids of development users: the same name is the same user."""

_DEV_TOKEN = re.compile(r"Bearer dev:([A-Za-z0-9][A-Za-z0-9._@-]{0,63})", re.ASCII)


class Authenticator(Protocol):
    def authenticate(self, authorization: str | None, correlation_id: str) -> Caller:
        """The caller that this header proves. Raises Unauthenticated."""


class DevelopmentTokens:
    """`Authorization: Bearer dev:<user>`: proves nothing, so it is accepted on loopback only.

    `<user>` is 1 to 64 of letters, digits, and `._@-`; one with an @ is the email address too.
    """

    def __init__(self, host: str) -> None:
        """Raises ValueError where the functions listen beyond this machine."""
        if not _is_loopback(host):
            raise ValueError(
                "TICKLER_AUTH=dev is for loopback only: set TICKLER_HOST=127.0.0.1, or another TICKLER_AUTH"
            )

    def authenticate(self, authorization: str | None, correlation_id: str) -> Caller:
        match = _DEV_TOKEN.fullmatch(authorization or "")
        if match is None:
            raise Unauthenticated("a bearer token is required")
        name = match[1]
        email = name if re.fullmatch(r"[^@]+@[^@]+", name) else f"{name.replace('@', '')}@tickler.localhost"
        return Caller(user_id=uuid5(DEV_USERS, name), name=name, email=email, correlation_id=correlation_id)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class NoTokens:
    """Accepts nobody: what a deployment has until it says how its users are known."""

    def authenticate(self, authorization: str | None, correlation_id: str) -> Caller:
        raise Unauthenticated("a bearer token is required")


def authenticator(settings: Settings) -> Authenticator:
    """The one that the settings ask for. Raises ValueError where they contradict themselves."""
    return DevelopmentTokens(settings.host) if settings.auth == "dev" else NoTokens()
