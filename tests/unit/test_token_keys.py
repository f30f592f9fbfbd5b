"""The keys of access tokens: made once, rotated without anybody noticing, and given by settings or the secret store."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from functions.runtime import token_keys
from functions.runtime.settings import Settings
from functions.runtime.sidecar import Sidecar
from functions.runtime.token_keys import RETIRED, TokenKey, TokenKeys, main, new_key, read_keys, rotate, written
from functions.runtime.tokens import Tokens
from functions.tasks.errors import Unauthenticated, Unavailable
from functions.tasks.models import Caller

ANN = Caller(user_id=uuid4(), name="Ann", sign_in=uuid4())


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path)


def keys_of(settings: Settings) -> TokenKeys:
    return TokenKeys(settings, Sidecar(settings))


def test_are_made_once_and_readable_by_us_only(settings: Settings, tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        kids = set(pool.map(lambda _: keys_of(settings).signing()[0], range(16)))
    assert len(kids) == 1
    (kept,) = (tmp_path / "secrets").iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600


def test_have_the_thumbprint_of_rfc_7638_for_an_id() -> None:
    """Two keys cannot have one id, and one key cannot have two."""
    one = new_key()
    (again,) = read_keys(written([one]).replace(one.kid, "another"), "here")
    assert again.kid == one.kid
    assert new_key().kid != one.kid


def test_are_published_without_their_private_part(settings: Settings) -> None:
    (published,) = keys_of(settings).published()
    assert set(published) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    assert (published["use"], published["alg"]) == ("sig", "ES256")


class TestRotate:
    def test_has_a_new_key_sign_while_the_old_one_verifies(self, settings: Settings) -> None:
        tokens = Tokens(settings, keys_of(settings))
        before = tokens.issue(ANN, datetime.now(UTC))
        key = rotate(settings)
        after = tokens.issue(ANN, datetime.now(UTC))
        assert tokens.keys.signing()[0] == key.kid
        for token in (before, after):
            assert tokens.caller(token, "").user_id == ANN.user_id
        assert len(tokens.keys.published()) == 2

    def test_is_seen_by_who_only_verifies(self, settings: Settings) -> None:
        verifier, issuer = (Tokens(settings, keys_of(settings)) for _ in range(2))
        verifier.caller(issuer.issue(ANN, datetime.now(UTC)), "")
        rotate(settings)
        verifier.caller(issuer.issue(ANN, datetime.now(UTC)), "")

    def test_ends_the_old_key_once_its_tokens_have_expired(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tokens = Tokens(settings, keys_of(settings))
        before = tokens.issue(ANN, datetime.now(UTC))
        key = rotate(settings)
        monkeypatch.setattr(time, "time", lambda: time.time_ns() / 1e9 + RETIRED + 1)
        with pytest.raises(Unauthenticated):
            tokens.caller(before, "")
        assert [published["kid"] for published in tokens.keys.published()] == [key.kid]
        rotate(settings)
        assert len(json.loads((settings.data / "secrets" / "tokens").read_text())["keys"]) == 2

    def test_takes_the_private_part_of_the_old_key_away(self, settings: Settings) -> None:
        keys_of(settings).load()
        rotate(settings)
        private = ["d" in key for key in json.loads((settings.data / "secrets" / "tokens").read_text())["keys"]]
        assert private == [True, False]

    def test_at_once_loses_no_key(self, settings: Settings) -> None:
        with ThreadPoolExecutor(8) as pool:
            made = {key.kid for key in pool.map(lambda _: rotate(settings), range(8))}
        assert made <= {key["kid"] for key in keys_of(settings).published()}

    def test_is_not_for_keys_that_are_elsewhere(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("TICKLER_TOKEN_KEYS", written([new_key()]))
        assert main() == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert "TICKLER_TOKEN_KEYS" in line

    def test_says_so(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        monkeypatch.setenv("TICKLER_DATA", str(tmp_path))
        assert main() == 0
        assert keys_of(Settings(data=tmp_path)).signing()[0] in capsys.readouterr().out


class TestSettings:
    def test_give_keys(self, settings: Settings, tmp_path: Path) -> None:
        first, second = new_key(), new_key()
        keys = keys_of(settings.model_copy(update={"token_keys": written([first, second])}))
        assert keys.signing()[0] == first.kid
        assert keys.find(second.kid) is not None
        assert not (tmp_path / "secrets").exists()

    def test_may_give_keys_that_only_verify(self, settings: Settings) -> None:
        key = new_key()
        keys = keys_of(settings.model_copy(update={"token_keys": written([TokenKey(key.kid, key.public)])}))
        assert keys.find(key.kid) is not None
        with pytest.raises(Unavailable):
            keys.signing()

    @pytest.mark.parametrize(
        "text", ["x", "{}", "[]", '{"keys": []}', '{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}', '{"keys": [5]}']
    )
    def test_that_are_no_keys_are_said_in_one_line_that_does_not_tell_them(self, settings: Settings, text: str) -> None:
        with pytest.raises(ValueError, match=r"^TICKLER_TOKEN_KEYS ") as error:
            keys_of(settings.model_copy(update={"token_keys": text})).load()
        assert "c2VjcmV0" not in str(error.value)

    def test_of_another_curve_are_refused(self, settings: Settings) -> None:
        from cryptography.hazmat.primitives.asymmetric import ec
        from jwt.algorithms import ECAlgorithm

        other = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP384R1()), as_dict=True)
        with pytest.raises(ValueError, match="P-256"):
            read_keys(json.dumps({"keys": [other]}), "here")


class Store(Sidecar):
    """A secret store with one secret, that may be down."""

    def __init__(self) -> None:
        self.text: str | None = None
        self.asked = 0

    def secret(self, name: str) -> str:
        assert name == "keys"
        self.asked += 1
        if self.text is None:
            raise Unavailable("the secret keys cannot be read")
        return self.text


class TestSecretStore:
    @pytest.fixture
    def store(self) -> Store:
        return Store()

    @pytest.fixture
    def keys(self, store: Store, settings: Settings) -> TokenKeys:
        return TokenKeys(settings.model_copy(update={"token_keys_secret": "keys"}), store)

    def test_that_is_down_is_no_reason_not_to_start(self, keys: TokenKeys, store: Store) -> None:
        keys.load()
        with pytest.raises(Unavailable):
            keys.signing()
        for _ in range(50):
            with pytest.raises(Unavailable):
                keys.find("x")
        assert store.asked == 1

    def test_is_asked_again_for_a_key_that_is_not_known_but_not_each_time(
        self, keys: TokenKeys, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, second = new_key(), new_key()
        store.text = written([first])
        assert keys.signing()[0] == first.kid
        store.text = written([second, first])
        for _ in range(50):
            assert keys.find(second.kid) is None
        assert store.asked == 1
        monkeypatch.setattr(token_keys, "REREAD", 0.0)
        assert keys.find(second.kid) is not None

    def test_that_went_down_leaves_what_is_known(
        self, keys: TokenKeys, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        key = new_key()
        store.text = written([key])
        keys.signing()
        store.text = None
        monkeypatch.setattr(token_keys, "STALE", 0.0)
        assert keys.find(key.kid) is not None
        assert store.asked > 1
