"""Access tokens: one that holds, and every way in which one does not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import jwt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from functions.runtime.settings import Settings
from functions.runtime.tokens import AUDIENCE, LEEWAY, REFUSED, SESSION
from functions.tasks.accounts import ACCESS_LIFETIME
from functions.tasks.errors import Unauthenticated
from functions.tasks.models import Caller
from tests.support.forge import WRONG, Forge, encoded

ANN = Caller(user_id=uuid4(), name="Ann", email="ann@example.org", sign_in=uuid4())


def of(folder: Path) -> Settings:
    return Settings(data=folder, public_url="https://tickler.example")


@pytest.fixture(scope="module")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Forge:
    return Forge(of(tmp_path_factory.mktemp("data")), ANN)


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


@pytest.mark.parametrize("why", WRONG)
def test_a_token_that_is_wrong_is_refused_with_the_same_words(forge: Forge, why: str) -> None:
    with pytest.raises(Unauthenticated, match=f"^{REFUSED}$") as error:
        forge.tokens.caller(forge.wrong()[why], "")
    assert error.value.__cause__ is None


def test_each_of_them_is_tried(forge: Forge) -> None:
    assert set(forge.wrong()) == set(WRONG)


@given(st.text(max_size=200) | st.from_regex(r"ey[A-Za-z0-9_-]*\.[A-Za-z0-9_=-]*\.[A-Za-z0-9_-]*", fullmatch=True))
@example("eyJhbGciOiJFUzI1NiJ9..")
@example("ey" + "[" * 5000)
@example(encoded({"alg": "ES256", "typ": "at+jwt", "kid": "a"}) + ".e30.AA")
def test_no_text_does_anything_else(forge: Forge, text: str) -> None:
    with pytest.raises(Unauthenticated):
        forge.tokens.caller(text, "")


def test_one_of_before_a_key_was_made_anew_somewhere_else_is_refused(forge: Forge, tmp_path: Path) -> None:
    with pytest.raises(Unauthenticated):
        Forge(of(tmp_path), ANN).tokens.caller(forge.good, "")


def test_a_name_with_any_characters_comes_back_as_it_was(forge: Forge) -> None:
    caller = ANN.model_copy(update={"name": 'Ännä "O\'Neil" 日本', "email": None})
    token = forge.tokens.issue(caller, datetime.now(UTC) - timedelta(minutes=1))
    assert forge.tokens.caller(token, "").name == caller.name
