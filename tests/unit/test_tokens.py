"""Access tokens: one that holds, and every way in which one does not."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import example, given
from hypothesis import strategies as st

from functions.runtime.settings import Settings
from functions.runtime.sidecar import Sidecar
from functions.runtime.token_keys import TokenKeys, new_key
from functions.runtime.tokens import AUDIENCE, LEEWAY, MAX_TOKEN, REFUSED, SESSION, Tokens
from functions.tasks.accounts import ACCESS_LIFETIME
from functions.tasks.errors import Unauthenticated
from functions.tasks.models import Caller

ANN = Caller(user_id=uuid4(), name="Ann", email="ann@example.org", sign_in=uuid4())


class Forge:
    """Tokens that differ from a good one in what is said."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(data=folder, public_url="https://tickler.example")
        self.tokens = Tokens(self.settings, TokenKeys(self.settings, Sidecar(self.settings)))
        self.kid, self.private = self.tokens.keys.signing()
        self.good = self.tokens.issue(ANN, datetime.now(UTC))
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


def encoded(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


@pytest.fixture(scope="module")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Forge:
    return Forge(tmp_path_factory.mktemp("data"))


def test_one_of_ours_says_who_signed_in(forge: Forge) -> None:
    caller = forge.tokens.caller(forge.good, "c-1")
    expires_at = datetime.fromtimestamp(forge.claims["exp"], UTC) + LEEWAY  # when it is refused, and no sooner
    assert caller == ANN.model_copy(update={"correlation_id": "c-1", "scopes": SESSION, "expires_at": expires_at})


def test_one_has_what_an_access_token_has(forge: Forge) -> None:
    now = int(datetime.now(UTC).timestamp())
    claims = forge.claims
    assert jwt.get_unverified_header(forge.good) == {"alg": "ES256", "typ": "at+jwt", "kid": forge.kid}
    assert (claims["iss"], claims["aud"]) == ("https://tickler.example", AUDIENCE)
    assert claims["exp"] - claims["iat"] == ACCESS_LIFETIME.total_seconds()
    assert claims["nbf"] == claims["iat"]
    assert abs(claims["iat"] - now) <= 60
    assert UUID(claims["jti"]) != UUID(
        jwt.decode(forge.signed(jti=str(uuid4())), options={"verify_signature": False})["jti"]
    )


def test_one_made_by_hand_with_our_key_holds(forge: Forge) -> None:
    """So that what the tests below change is what is refused."""
    assert forge.tokens.caller(forge.signed(), "").user_id == ANN.user_id


def test_clocks_may_differ_a_little(forge: Forge) -> None:
    now, leeway = datetime.now(UTC).timestamp(), LEEWAY.total_seconds()
    forge.tokens.caller(forge.signed(exp=now - leeway + 5), "")
    forge.tokens.caller(forge.signed(nbf=now + leeway - 5, iat=now + leeway - 5), "")


PUBLIC_FORMS = {
    "PEM": (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    "DER": (Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    "point": (Encoding.X962, PublicFormat.UncompressedPoint),
}


def _mac(secret: bytes) -> Callable[[bytes], bytes]:
    return lambda said: hmac.digest(secret, said, sha256)


def wrong(forge: Forge) -> dict[str, str]:
    now = datetime.now(UTC).timestamp()
    other = ec.generate_private_key(ec.SECP256R1())
    stranger = new_key()
    header, payload, signature = forge.good.split(".")
    half = len(signature) // 2
    public = forge.private.public_key()
    ours = {"typ": "at+jwt", "kid": forge.kid}
    confused = {
        f"HS256 by the public key, {name}": forge.raw({**ours, "alg": "HS256"}, _mac(public.public_bytes(*form)))
        for name, form in PUBLIC_FORMS.items()
    }
    return {
        **confused,
        "alg none": forge.raw({**ours, "alg": "none"}, lambda _: b""),
        "alg None": forge.raw({**ours, "alg": "None"}, lambda _: b""),
        "alg none with the signature": f"{encoded({**ours, 'alg': 'none'})}.{payload}.{signature}",
        "no alg": f"{encoded(ours)}.{payload}.{signature}",
        "HS256 by nothing": forge.raw({**ours, "alg": "HS256"}, _mac(b"")),
        "another key": forge.signed(key=other),
        "another key with its own id": forge.signed({"kid": stranger.kid}, key=stranger.private),
        "another key in the header": forge.signed(
            {"jwk": stranger.published(), "kid": stranger.kid}, key=stranger.private
        ),
        "an id that is no text": f"{encoded({'alg': 'ES256', 'typ': 'at+jwt', 'kid': 5})}.{payload}.{signature}",
        "an id that is a path": forge.signed({"kid": "../../dev/null"}),
        "no id": jwt.encode(forge.claims, forge.private, algorithm="ES256", headers={"typ": "at+jwt"}),
        "an id token": forge.signed({"typ": "JWT"}),
        "a critical extension": forge.signed({"crit": ["x"], "x": 1}),
        "an empty signature": f"{header}.{payload}.",
        "a signature cut off": f"{header}.{payload}.{signature[:half]}",
        "a signature of zeros": f"{header}.{payload}.{base64.urlsafe_b64encode(bytes(64)).decode().rstrip('=')}",
        "another payload": f"{header}.{encoded({**forge.claims, 'sub': str(uuid4())})}.{signature}",
        "no dots": "".join(forge.good.split(".")),
        "one dot": f"{header}.{payload}",
        "four dots": f"{forge.good}.{header}.{payload}",
        "truncated": forge.good[:-10],
        "oversized": forge.signed(name="a" * MAX_TOKEN),
        "expired": forge.signed(exp=now - 60),
        "not yet valid": forge.signed(nbf=now + 60),
        "issued in the future": forge.signed(iat=now + 60),
        "an expiry that is text": forge.signed(exp="tomorrow"),
        "an expiry without end": forge.signed(exp=1e400),
        "another issuer": forge.signed(iss="https://tickler.example.evil"),
        "the issuer with a slash": forge.signed(iss="https://tickler.example/"),
        "another audience": forge.signed(aud="other"),
        "a subject that is no id": forge.signed(sub="ann"),
        "a subject that is null": forge.signed(sub=None),
        "a scope that is a list": forge.signed(scope=["write"]),
        "a name that is a number": forge.signed(name=5),
        "claims that are a list": forge.good.replace(payload, base64.urlsafe_b64encode(b"[1]").decode().rstrip("=")),
        **{f"no {name}": forge.signed(without=name) for name in forge.claims if name not in ("name", "email")},
    }


WRONG = [
    *(f"HS256 by the public key, {name}" for name in PUBLIC_FORMS),
    "alg none", "alg None", "alg none with the signature", "no alg", "HS256 by nothing", "another key",
    "another key with its own id", "another key in the header", "an id that is no text", "an id that is a path",
    "no id", "an id token", "a critical extension", "an empty signature", "a signature cut off", "a signature of zeros",
    "another payload", "no dots", "one dot", "four dots", "truncated", "oversized", "expired", "not yet valid",
    "issued in the future", "an expiry that is text", "an expiry without end", "another issuer",
    "the issuer with a slash", "another audience", "a subject that is no id", "a subject that is null",
    "a scope that is a list", "a name that is a number", "claims that are a list",
    *(f"no {name}" for name in ("iss", "aud", "sub", "iat", "nbf", "exp", "jti", "sid", "scope")),
]  # fmt: skip


@pytest.mark.parametrize("why", WRONG)
def test_a_token_that_is_wrong_is_refused_with_the_same_words(forge: Forge, why: str) -> None:
    with pytest.raises(Unauthenticated, match=f"^{REFUSED}$") as error:
        forge.tokens.caller(wrong(forge)[why], "")
    assert error.value.__cause__ is None


def test_each_of_them_is_tried(forge: Forge) -> None:
    assert set(wrong(forge)) == set(WRONG)


@given(st.text(max_size=200) | st.from_regex(r"ey[A-Za-z0-9_-]*\.[A-Za-z0-9_=-]*\.[A-Za-z0-9_-]*", fullmatch=True))
@example("eyJhbGciOiJFUzI1NiJ9..")
@example("ey" + "[" * 5000)
@example(encoded({"alg": "ES256", "typ": "at+jwt", "kid": "a"}) + ".e30.AA")
def test_no_text_does_anything_else(forge: Forge, text: str) -> None:
    with pytest.raises(Unauthenticated):
        forge.tokens.caller(text, "")


def test_one_of_before_a_key_was_made_anew_somewhere_else_is_refused(forge: Forge, tmp_path: Path) -> None:
    with pytest.raises(Unauthenticated):
        Forge(tmp_path).tokens.caller(forge.good, "")


def test_a_name_with_any_characters_comes_back_as_it_was(forge: Forge) -> None:
    caller = ANN.model_copy(update={"name": 'Ännä "O\'Neil" 日本', "email": None})
    token = forge.tokens.issue(caller, datetime.now(UTC) - timedelta(minutes=1))
    assert forge.tokens.caller(token, "").name == caller.name
