"""Tokens that say nothing: random, and looked up by their hash. Refresh tokens and personal tokens are.

A token begins with what it is, so that one that leaked is recognised, and holds the id of its user, so that it is
looked up among that user's only.
"""

from __future__ import annotations

import base64
import re
import secrets
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

REFRESH = "tkr_"
PERSONAL = "tkl_"
SECRET_BYTES = 32
_REST = re.compile(r"[A-Za-z0-9_-]{64}", re.ASCII)
"""16 bytes of a user's id and 32 of a secret, base64url, without padding."""


@dataclass(frozen=True)
class Opaque:
    """A token: what its client holds, whose it is, and what is kept of it.

    The hash is a plain SHA-256: what is guessed at here has 256 random bits.
    """

    text: str
    user_id: UUID
    hash: bytes


def make(kind: str, user_id: UUID, secret: bytes | None = None) -> Opaque:
    """A new token, or the one of this secret (SECRET_BYTES)."""
    raw = user_id.bytes + (secret or secrets.token_bytes(SECRET_BYTES))
    text = kind + base64.urlsafe_b64encode(raw).decode()
    return Opaque(text, user_id, sha256(text.encode()).digest())


def read(kind: str, text: str) -> Opaque | None:
    """A token of this kind as a client gave it; None where it cannot be one."""
    if not text.startswith(kind) or _REST.fullmatch(text, len(kind)) is None:
        return None
    user_id = UUID(bytes=base64.urlsafe_b64decode(text[len(kind) :])[:16])
    return Opaque(text, user_id, sha256(text.encode()).digest())
