"""Tokens of an issuer elsewhere: what of them is believed, and what happens while it is down."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from functions.runtime import oidc
from functions.runtime.oidc import IssuedElsewhere
from functions.runtime.settings import Settings
from functions.runtime.tokens import SESSION
from functions.tasks.errors import Unauthenticated, Unavailable
from tests.support.issuer import AUDIENCE, Issuer


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer() as issuer:
        yield issuer


def trusting(issuer: Issuer, **given: Any) -> IssuedElsewhere:
    return IssuedElsewhere(Settings(**{"oidc_issuer": issuer.url, "oidc_audience": AUDIENCE, **given}))


def test_one_is_whose_the_subject_is(issuer: Issuer) -> None:
    tokens = trusting(issuer)
    ann = tokens.caller(issuer.token("ann", name="Ann", email="ann@example.org", email_verified=True), "c-1")
    assert (ann.name, ann.email, ann.correlation_id, ann.scopes) == ("Ann", "ann@example.org", "c-1", SESSION)
    assert tokens.caller(issuer.token("ann", name="Anna"), "").user_id == ann.user_id
    assert tokens.caller(issuer.token("ben"), "").user_id != ann.user_id


def test_one_subject_of_two_issuers_is_two_users(issuer: Issuer) -> None:
    with Issuer() as other:
        assert (
            trusting(issuer).caller(issuer.token("ann"), "").user_id
            != trusting(other).caller(other.token("ann"), "").user_id
        )


def test_one_says_as_much_as_can_be_kept(issuer: Issuer) -> None:
    tokens = trusting(issuer)
    said = tokens.caller(issuer.token("ann", name="A\x00nn\n" + "a" * 5000, email=5), "")
    assert said.name.startswith("Anna")
    assert len(said.name) <= 320
    assert said.email is None
    assert tokens.caller(issuer.token("ann", email="ben@example.org", email_verified=False), "").email is None
    assert tokens.caller(issuer.token("ann"), "").name == ""


def test_the_settings_say_which_claims(issuer: Issuer) -> None:
    tokens = trusting(issuer, oidc_user_claim="oid", oidc_email_claim="mail", oidc_name_claim="nick")
    caller = tokens.caller(issuer.token("x", oid="ann", mail="ann@example.org", nick="Ann"), "")
    assert (caller.name, caller.email) == ("Ann", "ann@example.org")
    assert caller.user_id == trusting(issuer).caller(issuer.token("ann"), "").user_id
    with pytest.raises(Unauthenticated):
        tokens.caller(issuer.token("ann"), "")


def wrong(issuer: Issuer) -> dict[str, str]:
    now, other = int(time.time()), rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return {
        "another key": issuer.token("ann", key=other),
        "another audience": issuer.token("ann", aud="other"),
        "another issuer": issuer.token("ann", iss="https://other.example"),
        "expired": issuer.token("ann", exp=now - 60),
        "not yet valid": issuer.token("ann", nbf=now + 60),
        "no end": issuer.token("ann", exp=None),
        "no audience": issuer.token("ann", aud=None),
        "no subject": issuer.token(None),
        "an empty subject": issuer.token(""),
        "a subject that is long": issuer.token("a" * 256),
        "HS256": issuer.token("ann", key=b"k" * 32, algorithm="HS256"),
        "another algorithm": issuer.token("ann", algorithm="PS256"),
        "alg none": issuer.token("ann", key="", algorithm="none"),
    }


def test_what_is_wrong_is_refused_with_the_same_words(issuer: Issuer) -> None:
    tokens = trusting(issuer)
    said = set()
    for why, token in wrong(issuer).items():
        with pytest.raises(Unauthenticated) as error:
            tokens.caller(token, "")
        said.add(str(error.value))
        assert len(said) == 1, why


class TestKeys:
    def test_are_fetched_once(self, issuer: Issuer) -> None:
        tokens = trusting(issuer)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: tokens.caller(issuer.token(f"u{n}"), ""), range(16)))
        assert issuer.asked == ["/realm/.well-known/openid-configuration", "/realm/keys"]

    def test_are_where_the_settings_say(self, issuer: Issuer) -> None:
        trusting(issuer, oidc_jwks_url=f"{issuer.url}/keys").caller(issuer.token("ann"), "")
        assert issuer.asked == ["/realm/keys"]

    def test_are_fetched_again_for_one_that_is_not_known_but_not_each_time(
        self, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tokens = trusting(issuer, oidc_jwks_url=f"{issuer.url}/keys")
        tokens.caller(issuer.token("ann"), "")
        issuer.new_key("second")
        for _ in range(20):
            with pytest.raises(Unauthenticated):
                tokens.caller(issuer.token("ann", kid="second"), "")
        assert len(issuer.asked) == 1
        monkeypatch.setattr(oidc, "REFETCH", 0.0)
        tokens.caller(issuer.token("ann", kid="second"), "")
        assert len(issuer.asked) == 2

    def test_that_are_known_serve_while_the_issuer_is_down(
        self, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tokens = trusting(issuer)
        tokens.caller(issuer.token("ann"), "")
        issuer.is_down = True
        monkeypatch.setattr(oidc, "REFETCH", 0.0)
        monkeypatch.setattr(oidc, "STALE", 0.0)
        tokens.caller(issuer.token("ann"), "")
        issuer.new_key("second")
        with pytest.raises(Unavailable):
            tokens.caller(issuer.token("ann", kid="second"), "")
        issuer.is_down = False
        tokens.caller(issuer.token("ann", kid="second"), "")

    def test_that_were_never_had_are_a_503_and_one_request(self, issuer: Issuer) -> None:
        issuer.is_down = True
        tokens = trusting(issuer)
        for _ in range(20):
            with pytest.raises(Unavailable):
                tokens.caller(issuer.token("ann"), "")
        assert len(issuer.asked) == 1

    @pytest.mark.parametrize(
        "says",
        [{"issuer": "https://other.example"}, {"jwks_uri": "http://keys.example"}, {"jwks_uri": "file:///etc/passwd"}],
    )
    def test_of_another_issuer_or_on_an_open_way_are_not_taken(self, issuer: Issuer, says: dict[str, str]) -> None:
        issuer.says = says
        with pytest.raises(Unavailable):
            trusting(issuer).caller(issuer.token("ann"), "")
        assert issuer.asked == ["/realm/.well-known/openid-configuration"]
