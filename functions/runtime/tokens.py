"""Access tokens: JSON Web Tokens (RFC 7519) of our own, as RFC 9068 profiles them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt

from functions.runtime.settings import Settings
from functions.runtime.token_keys import TokenKeys
from functions.tasks.accounts import ACCESS_LIFETIME
from functions.tasks.errors import Unauthenticated
from functions.tasks.models import Caller

ALGORITHM = "ES256"
TYPE = "at+jwt"
AUDIENCE = "tickler"
SESSION = frozenset({"read", "write", "account"})
"""What somebody who signed in may do; `account` is what no personal token may: see runtime/auth.py."""

LEEWAY = timedelta(seconds=10)
"""By how much clocks may differ."""

MAX_TOKEN = 8192
"""Characters; what is longer is not looked at."""

REFUSED = "a bearer token is required"
"""What every token that does not hold is answered: the same, whatever is wrong with it."""


class Tokens:
    """Issues and verifies the tokens of this installation."""

    def __init__(self, settings: Settings, keys: TokenKeys) -> None:
        self._issuer = settings.url
        self.keys = keys

    def issue(self, caller: Caller, now: datetime) -> str:
        """An access token of `caller.sign_in` that holds for ACCESS_LIFETIME. Raises Unavailable where there is no
        key."""
        kid, key = self.keys.signing()
        claims = {
            "iss": self._issuer,
            "aud": AUDIENCE,
            "sub": str(caller.user_id),
            "iat": int(now.timestamp()),
            "nbf": int(now.timestamp()),
            "exp": int((now + ACCESS_LIFETIME).timestamp()),
            "jti": str(uuid4()),
            "sid": str(caller.sign_in),
            "scope": " ".join(sorted(SESSION)),
            "name": caller.name,
            **({} if caller.email is None else {"email": caller.email}),
        }
        return jwt.encode(claims, key, algorithm=ALGORITHM, headers={"kid": kid, "typ": TYPE})

    def caller(self, token: str, correlation_id: str) -> Caller:
        """Whom it proves. Raises Unauthenticated, and Unavailable where no key can be looked up."""
        claims = decode(
            token,
            self._key,
            algorithm=ALGORITHM,
            issuer=self._issuer,
            audience=AUDIENCE,
            required=("exp", "nbf", "iat", "iss", "aud", "sub", "jti", "sid", "scope"),
            kind=TYPE,
        )
        try:
            return Caller(
                user_id=UUID(claims["sub"]),
                name=claims.get("name", ""),
                email=claims.get("email"),
                correlation_id=correlation_id,
                scopes=frozenset(claims["scope"].split()),
                sign_in=UUID(claims["sid"]),
                expires_at=expiry(claims),
            )
        except (ValueError, TypeError, AttributeError):
            raise Unauthenticated(REFUSED) from None

    def _key(self, kid: str) -> Any:
        key = self.keys.find(kid)
        return None if key is None else key.public


def expiry(claims: dict[str, Any]) -> datetime:
    """When a token ends that these claims are of: no sooner than it is refused."""
    return datetime.fromtimestamp(claims["exp"], UTC) + LEEWAY


def decode(
    token: str,
    key_of: Callable[[str], Any],
    *,
    algorithm: str,
    issuer: str,
    audience: str,
    required: tuple[str, ...],
    kind: str | None = None,
) -> dict[str, Any]:
    """The claims of a token that a key signed whose id it names (RFC 8725: the algorithm is ours to say, not the
    token's). `key_of` gives the public key of an id, or None. Raises Unauthenticated; what `key_of` raises passes."""
    if len(token) > MAX_TOKEN:
        raise Unauthenticated(REFUSED)
    try:
        header = jwt.get_unverified_header(token)
        kid = header.get("kid")
        if header.get("alg") != algorithm or not isinstance(kid, str) or (kind and header.get("typ") != kind):
            raise Unauthenticated(REFUSED)
        key = key_of(kid)
        if key is None:
            raise Unauthenticated(REFUSED)
        return jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            issuer=issuer,
            audience=audience,
            leeway=LEEWAY,
            options={"require": list(required)},
        )
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        # PyJWT lets some of what a malformed token does to its parts pass as it is.
        raise Unauthenticated(REFUSED) from None
