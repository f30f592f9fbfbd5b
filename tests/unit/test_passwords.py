"""Passwords: which are taken, and how they are kept."""

from __future__ import annotations

import threading
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import argon2
import pytest

from functions.runtime.passwords import AT_ONCE, WAITING, Passwords
from functions.tasks.accounts import MAX_PASSWORD, email_key, new_password, plain_password
from functions.tasks.errors import InvalidInput, TooManyRequests

QUICK = Passwords(memory_kib=64, iterations=1)


def test_are_argon2id_with_the_parameters_that_owasp_names() -> None:
    assert Passwords().hash("correct horse").startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_are_known_again_and_no_other_is() -> None:
    kept = QUICK.hash("correct horse")
    assert QUICK.verify(kept, "correct horse")
    for wrong in ("Correct horse", "correct horse ", "", "correct hors", "correct horse\x00"):
        assert not QUICK.verify(kept, wrong)
    assert QUICK.hash("correct horse") != kept


def test_nobodys_is_never_right() -> None:
    assert not QUICK.verify(None, "correct horse")
    assert not QUICK.verify(None, "")
    assert not QUICK.verify("no hash", "correct horse")


def test_nobodys_takes_as_long_to_refuse_as_a_wrong_one() -> None:
    passwords = Passwords(memory_kib=8 * 1024, iterations=8)
    kept = passwords.hash("correct horse")
    passwords.verify(None, "x")

    def seconds(hashed: str | None) -> float:
        began = time.thread_time()
        passwords.verify(hashed, "wrong horse")
        return time.thread_time() - began

    times = [(seconds(kept), seconds(None)) for _ in range(9)]
    known, unknown = (median(column) for column in zip(*times, strict=True))
    assert 0.5 < unknown / known < 2


def test_of_older_parameters_hold_and_are_known_as_such() -> None:
    old = QUICK.hash("correct horse")
    new = Passwords(memory_kib=128, iterations=1)
    assert new.verify(old, "correct horse")
    assert new.is_outdated(old)
    assert not new.is_outdated(new.hash("correct horse"))


def test_are_hashed_a_few_at_a_time_and_too_many_are_asked_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords = Passwords(memory_kib=64, iterations=1)
    going, running, most = threading.Event(), [0], [0]
    lock = threading.Lock()
    real = argon2.PasswordHasher.hash

    def slow(hasher: argon2.PasswordHasher, password: str) -> str:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        going.wait(10)
        with lock:
            running[0] -= 1
        return real(hasher, password)

    monkeypatch.setattr(argon2.PasswordHasher, "hash", slow)
    with ThreadPoolExecutor(AT_ONCE + WAITING + 4) as pool:
        asked = [pool.submit(passwords.hash, "correct horse") for _ in range(AT_ONCE + WAITING + 4)]
        refused = [error for each in asked[-4:] if isinstance(error := each.exception(10), TooManyRequests)]
        going.set()
        assert sum(each.exception() is None for each in asked) == AT_ONCE + WAITING
    assert len(refused) == 4
    assert most[0] == AT_ONCE
    assert passwords.hash("again")


@pytest.mark.parametrize(
    "password",
    [
        "12345678",
        "        x",
        "a" * MAX_PASSWORD + "",
        "correct horse battery staple",
        "pässwörter",
        "🔑🔒🔑🔒🔑🔒🔑🔒",
        "ann and ben",
    ],
)
def test_of_any_characters_are_taken(password: str) -> None:
    if len(set(password)) > 1:
        assert new_password("password", password, "ann@example.org") == unicodedata.normalize("NFKC", password)


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("", "8 to 256"),
        ("1234567", "8 to 256"),
        ("ab" * 128 + "c", "8 to 256"),
        ("aaaaaaaaaaa", "repeated"),
        ("long.name", "email address"),
        ("Long.Name@Example.org", "email address"),
        ("correct\x00horse", "NUL"),
        ("correct\ud800horse", "Unicode"),
    ],
)
def test_that_do_not_do_are_said_by_name_and_not_repeated(password: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as error:
        new_password("new", password, "long.name@example.org")
    assert error.value.field == "new"
    assert len(password) < 3 or password not in str(error.value)


def test_spelled_with_other_code_points_are_the_same() -> None:
    one, other = "pa\N{LATIN SMALL LETTER E WITH ACUTE}ssword", "pae\N{COMBINING ACUTE ACCENT}ssword"
    assert one != other
    assert plain_password(one) == plain_password(other) == new_password("password", other, None)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Ann@Example.org", "ann@example.ORG", True),
        ("straße@example.org", "STRASSE@example.org", True),
        ("\N{LATIN SMALL LETTER E WITH ACUTE}@example.org", "e\N{COMBINING ACUTE ACCENT}@example.org", True),
        ("ann@example.org", "ann@example.com", False),
        ("ann+x@example.org", "ann@example.org", False),
    ],
)
def test_an_address_is_one_account_however_it_is_spelled(one: str, other: str, same: bool) -> None:
    assert (email_key(one) == email_key(other)) == same
