"""The installation's keys: made once, kept to ourselves, and what links are signed with."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from functions.runtime.keys import Keys
from functions.runtime.settings import Settings
from functions.tasks.devices import decode_key
from functions.tasks.errors import InvalidInput


def test_are_made_once_and_readable_by_us_only(settings: Settings, tmp_path: Path) -> None:
    first, again = Keys(settings), Keys(settings)
    assert first.vapid_public == again.vapid_public
    raw = decode_key(first.vapid_public)
    assert raw is not None
    assert (len(raw), raw[0]) == (65, 4)
    first.unsubscribe_token(uuid4(), "a")
    kept = sorted((tmp_path / "secrets").iterdir())
    assert [path.name for path in kept] == ["signing", "vapid"]  # and no drafts
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in kept)
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700


def test_are_the_same_for_all_that_make_them_at_once(settings: Settings) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: Keys(settings).vapid_public, range(16)))) == 1


def test_are_those_of_the_settings(settings: Settings, tmp_path: Path) -> None:
    own = (Keys(settings).vapid_public, (tmp_path / "secrets" / "vapid").read_text())
    elsewhere = settings.model_copy(update={"data": tmp_path / "none", "vapid_private_key": own[1], "signing_key": "k"})
    assert Keys(elsewhere).vapid_public == own[0]
    Keys(elsewhere).unsubscribe_token(uuid4(), "a")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("key", ["x", "AAAA", "é"])
def test_a_setting_that_is_no_key_is_said(settings: Settings, key: str) -> None:
    with pytest.raises(ValueError, match="TICKLER_VAPID_PRIVATE_KEY"):
        _ = Keys(settings.model_copy(update={"vapid_private_key": key})).vapid


def test_a_folder_that_cannot_be_is_said_in_one_line(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"^TICKLER_DATA: .*file/secrets must be a folder .*: Not a directory$"):
        Keys(settings.model_copy(update={"data": tmp_path / "file"})).load()


def test_a_token_reads_back(keys: Keys) -> None:
    user_id = uuid4()
    for what in ("ann@example.org", "digest", "jörg/x@münchen.example"):
        assert keys.read_unsubscribe_token(keys.unsubscribe_token(user_id, what)) == (user_id, what)


def test_a_token_that_was_changed_or_made_elsewhere_is_refused(keys: Keys, tmp_path: Path, settings: Settings) -> None:
    token = keys.unsubscribe_token(uuid4(), "ann@example.org")
    other = Keys(settings.model_copy(update={"data": tmp_path / "other"}))
    said, _, signature = token.partition(".")
    mallory = other.unsubscribe_token(uuid4(), "ann@example.org")
    for wrong in (
        "",
        ".",
        "a.b",
        said,
        f"{said}.",
        f"x{token}",
        f"{mallory.partition('.')[0]}.{signature}",
        mallory,
        "é.é",
        f"{token}.x",
    ):
        with pytest.raises(InvalidInput) as refusal:
            keys.read_unsubscribe_token(wrong)
        assert refusal.value.field == "token"
