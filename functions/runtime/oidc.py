"""Access tokens of an external OpenID Connect issuer: TICKLER_AUTH=oidc."""

from __future__ import annotations

import http.client
import json
import threading
import time
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid5

import jwt

from functions.runtime.logs import logger
from functions.runtime.settings import Settings
from functions.runtime.tokens import REFUSED, SESSION, decode, expiry
from functions.tasks.errors import Unauthenticated, Unavailable
from functions.tasks.models import Caller

OIDC_USERS = UUID("b9b3a6f0-5d0a-5a57-9f0c-0b6a4f1c7a3e")
"""Namespace (RFC 9562 section 5.5) of the ids of users whom an issuer knows: its subject is always the same user."""

REFETCH = 30.0
"""Seconds between two looks for a key that is not known, at least: anybody can name one."""

STALE = 3600.0
"""Seconds after which the keys are fetched again in any case, so that one that was withdrawn goes."""

TIMEOUT = 5.0
"""Seconds for an answer of the issuer."""

MAX_DOCUMENT = 1 << 20
"""Bytes of what the issuer publishes."""


class IssuerKeys:
    """The issuer's public keys. Those that are known serve while it is down."""

    def __init__(self, issuer: str, url: str) -> None:
        """`url` is where the JWK Set is; where it is empty the issuer's configuration says (OpenID Connect
        Discovery 1.0 section 4)."""
        self._issuer = issuer
        self._url = url
        self._lock = threading.Lock()
        self._keys: dict[str, jwt.PyJWK] = {}
        self._tried: float | None = None
        self._down = False

    def find(self, kid: str) -> jwt.PyJWK | None:
        """The key of this id, or None. Raises Unavailable where it is not known and the issuer does not answer."""
        known = self._keys.get(kid)
        since = None if self._tried is None else time.monotonic() - self._tried
        if since is None or since > (REFETCH if known is None else STALE):
            self._fetch(self._tried)
            known = self._keys.get(kid)
        if known is None and self._down:
            raise Unavailable("the issuer of tokens does not answer: try again")
        return known

    def _fetch(self, tried: float | None) -> None:
        """One thread at a time; who waited for it has what it brought."""
        with self._lock:
            if self._tried != tried:
                return
            try:
                keys = jwt.PyJWKSet.from_dict(_get(self._url or self._discovered())).keys
                self._keys = {key.key_id: key for key in keys if key.key_id}
                self._down = False
            except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException, jwt.PyJWTError) as error:
                self._down = True
                logger().warning("issuer_unavailable", issuer=self._issuer, error=type(error).__name__)
            finally:
                self._tried = time.monotonic()

    def _discovered(self) -> str:
        document = _get(self._issuer.rstrip("/") + "/.well-known/openid-configuration")
        if document["issuer"] != self._issuer:
            raise ValueError("the configuration is another issuer's")
        return str(document["jwks_uri"])


def _get(url: str) -> dict[str, Any]:
    check_url(url)
    with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
        document: dict[str, Any] = json.loads(answer.read(MAX_DOCUMENT))
    return document


def check_url(url: str) -> None:
    """Raises ValueError for a URL where anybody on the way could put keys of their own."""
    parts = urlsplit(url)
    if not (
        parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost"))
    ):
        raise ValueError(f"{url!r} must be an https URL")


class IssuedElsewhere:
    """Callers by the tokens of one issuer, for one audience, of one algorithm."""

    def __init__(self, settings: Settings) -> None:
        """Raises ValueError for settings that lack something."""
        for name in ("oidc_issuer", "oidc_audience"):
            if not getattr(settings, name):
                raise ValueError(f"TICKLER_AUTH=oidc needs TICKLER_{name.upper()}")
        for name in ("oidc_issuer", "oidc_jwks_url"):
            if url := getattr(settings, name):
                try:
                    check_url(url)
                except ValueError as error:
                    raise ValueError(f"TICKLER_{name.upper()}: {error}") from None
        self._settings = settings
        self._keys = IssuerKeys(settings.oidc_issuer, settings.oidc_jwks_url)

    def caller(self, token: str, correlation_id: str) -> Caller:
        """Whom it proves: the subject, with what else the claims say that the settings name. Raises Unauthenticated,
        and Unavailable where its key is not known and the issuer does not answer."""
        settings = self._settings
        claims = decode(
            token,
            self._key,
            algorithm=settings.oidc_algorithm,
            issuer=settings.oidc_issuer,
            audience=settings.oidc_audience,
            required=("exp", "iss", "aud", settings.oidc_user_claim),
        )
        subject = claims[settings.oidc_user_claim]
        if not isinstance(subject, str) or not 0 < len(subject) <= 255:
            raise Unauthenticated(REFUSED)
        email = _text(claims.get(settings.oidc_email_claim))
        return Caller(
            user_id=uuid5(OIDC_USERS, f"{settings.oidc_issuer} {subject}"),
            name=_text(claims.get(settings.oidc_name_claim)) or "",
            # Mail goes to it, so it must not be somebody else's.
            email=None if claims.get("email_verified") is False else email,
            correlation_id=correlation_id,
            scopes=SESSION,
            expires_at=expiry(claims),
        )

    def _key(self, kid: str) -> Any:
        key = self._keys.find(kid)
        # The bare key: how it is used the settings say, not what is published with it.
        return None if key is None else key.key


def _text(claim: Any) -> str | None:
    """A claim as it can be kept: printable, and of some length."""
    text = "".join(c for c in claim if c.isprintable())[:320].strip() if isinstance(claim, str) else ""
    return text or None
