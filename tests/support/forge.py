"""Forged access tokens: each way in which one can be wrong, with what stands in a good one all the same."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from functions.runtime.settings import Settings
from functions.runtime.sidecar import Sidecar
from functions.runtime.token_keys import TokenKeys, new_key
from functions.runtime.tokens import MAX_TOKEN, Tokens
from functions.tasks.models import Caller

PUBLIC_FORMS = {
    "PEM": (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    "DER": (Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    "point": (Encoding.X962, PublicFormat.UncompressedPoint),
}

WRONG = [
    *(f"HS256 by the public key, {name}" for name in PUBLIC_FORMS),
    "alg none", "alg None", "alg none with the signature", "no alg", "HS256 by nothing", "another key",
    "another key with its own id", "another key in the header", "an id that is no text", "an unknown id",
    "an id that is a path", "no id", "an id token", "a critical extension", "an empty signature",
    "a signature cut off", "a signature of zeros", "another payload", "no dots", "one dot", "four dots", "truncated",
    "oversized", "expired", "not yet valid", "issued in the future", "an expiry that is text",
    "an expiry without end", "another issuer", "the issuer with a slash", "another audience",
    "a subject that is no id", "a subject that is null", "a scope that is a list", "a name that is a number",
    "claims that are a list",
    *(f"no {name}" for name in ("iss", "aud", "sub", "iat", "nbf", "exp", "jti", "sid", "scope")),
]  # fmt: skip
"""What there is in `Forge.wrong`, to name tests by."""


class Forge:
    """A good token, and those that differ from it in one thing."""

    def __init__(self, settings: Settings, caller: Caller) -> None:
        """With the keys of the installation of these settings."""
        self.issuer = settings.url
        self.tokens = Tokens(settings, TokenKeys(settings, Sidecar(settings)))
        self.kid, self.private = self.tokens.keys.signing()
        self.good = self.tokens.issue(caller, datetime.now(UTC))
        self.claims: dict[str, Any] = jwt.decode(self.good, options={"verify_signature": False})

    def signed(
        self,
        header: dict[str, Any] | None = None,
        *,
        key: Any = None,
        algorithm: str = "ES256",
        without: str = "",
        **claims: Any,
    ) -> str:
        payload = {name: value for name, value in {**self.claims, **claims}.items() if name != without}
        headers = {"kid": self.kid, "typ": "at+jwt", **(header or {})}
        return jwt.encode(payload, key or self.private, algorithm=algorithm, headers=headers)

    def raw(self, header: dict[str, Any], sign: Callable[[bytes], bytes]) -> str:
        """Signed by hand, with what the library would refuse to do."""
        text = f"{encoded(header)}.{encoded(self.claims)}"
        return f"{text}.{base64.urlsafe_b64encode(sign(text.encode())).decode().rstrip('=')}"

    def wrong(self) -> dict[str, str]:
        """Every way in which a token does not hold, by what is wrong with it: those of WRONG."""
        now = datetime.now(UTC).timestamp()
        other = ec.generate_private_key(ec.SECP256R1())
        stranger = new_key()
        header, payload, signature = self.good.split(".")
        half = len(signature) // 2
        public = self.private.public_key()
        ours = {"typ": "at+jwt", "kid": self.kid}
        confused = {
            f"HS256 by the public key, {name}": self.raw({**ours, "alg": "HS256"}, _mac(public.public_bytes(*form)))
            for name, form in PUBLIC_FORMS.items()
        }
        return {
            **confused,
            "alg none": self.raw({**ours, "alg": "none"}, lambda _: b""),
            "alg None": self.raw({**ours, "alg": "None"}, lambda _: b""),
            "alg none with the signature": f"{encoded({**ours, 'alg': 'none'})}.{payload}.{signature}",
            "no alg": f"{encoded(ours)}.{payload}.{signature}",
            "HS256 by nothing": self.raw({**ours, "alg": "HS256"}, _mac(b"")),
            "another key": self.signed(key=other),
            "another key with its own id": self.signed({"kid": stranger.kid}, key=stranger.private),
            "another key in the header": self.signed(
                {"jwk": stranger.published(), "kid": stranger.kid}, key=stranger.private
            ),
            "an id that is no text": f"{encoded({'alg': 'ES256', 'typ': 'at+jwt', 'kid': 5})}.{payload}.{signature}",
            "an unknown id": self.signed({"kid": stranger.kid}),
            "an id that is a path": self.signed({"kid": "../../dev/null"}),
            "no id": jwt.encode(self.claims, self.private, algorithm="ES256", headers={"typ": "at+jwt"}),
            "an id token": self.signed({"typ": "JWT"}),
            "a critical extension": self.signed({"crit": ["x"], "x": 1}),
            "an empty signature": f"{header}.{payload}.",
            "a signature cut off": f"{header}.{payload}.{signature[:half]}",
            "a signature of zeros": f"{header}.{payload}.{base64.urlsafe_b64encode(bytes(64)).decode().rstrip('=')}",
            "another payload": f"{header}.{encoded({**self.claims, 'sub': str(uuid4())})}.{signature}",
            "no dots": "".join(self.good.split(".")),
            "one dot": f"{header}.{payload}",
            "four dots": f"{self.good}.{header}.{payload}",
            "truncated": self.good[:-10],
            "oversized": self.signed(name="a" * MAX_TOKEN),
            "expired": self.signed(exp=now - 60),
            "not yet valid": self.signed(nbf=now + 60),
            "issued in the future": self.signed(iat=now + 60),
            "an expiry that is text": self.signed(exp="tomorrow"),
            "an expiry without end": self.signed(exp=1e400),
            "another issuer": self.signed(iss=f"{self.issuer}.evil"),
            "the issuer with a slash": self.signed(iss=f"{self.issuer}/"),
            "another audience": self.signed(aud="other"),
            "a subject that is no id": self.signed(sub="ann"),
            "a subject that is null": self.signed(sub=None),
            "a scope that is a list": self.signed(scope=["write"]),
            "a name that is a number": self.signed(name=5),
            "claims that are a list": self.good.replace(payload, base64.urlsafe_b64encode(b"[1]").decode().rstrip("=")),
            **{f"no {name}": self.signed(without=name) for name in self.claims if name not in ("name", "email")},
        }


def encoded(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


def _mac(secret: bytes) -> Callable[[bytes], bytes]:
    return lambda said: hmac.digest(secret, said, sha256)
