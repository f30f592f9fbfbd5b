"""The general rate limits of a process."""

from __future__ import annotations

import threading
import time

import pytest

from functions.runtime.rates import Rates, network
from functions.tasks.errors import TooManyRequests


class Clock:
    """time.monotonic_ns, under the test's hand."""

    def __init__(self) -> None:
        self.now = 10**18

    def __call__(self) -> int:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += round(seconds * 10**9)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("functions.runtime.rates.time.monotonic_ns", clock)
    return clock


def taken(rates: Rates, key: str, tries: int) -> int:
    passed = 0
    for _ in range(tries):
        try:
            rates.take(key)
            passed += 1
        except TooManyRequests:
            pass
    return passed


def test_a_burst_passes_then_the_rate_and_others_are_not_concerned(clock: Clock) -> None:
    limit = Rates("user", 5)
    assert taken(limit, "one", 100) == 20
    assert taken(limit, "other", 100) == 20
    clock.passes(1)
    assert taken(limit, "one", 100) == 5
    clock.passes(3600)
    assert taken(limit, "one", 100) == 20


def test_a_refusal_says_when_the_next_passes_and_does_not_count(clock: Clock) -> None:
    limit = Rates("user", 0.5)
    assert taken(limit, "one", 3) == 2
    for _ in range(50):
        with pytest.raises(TooManyRequests) as refusal:
            limit.take("one")
    # Up to a second early: another replica's clock, in the limits that all count together.
    assert 1 <= refusal.value.retry_after <= 2
    clock.passes(refusal.value.retry_after)
    limit.take("one")


def test_zero_is_no_limit() -> None:
    assert taken(Rates("user", 0), "one", 10_000) == 10_000


def test_who_is_gone_is_forgotten(clock: Clock) -> None:
    limit = Rates("address", 100)
    for number in range(1000):
        limit.take(str(number))
    clock.passes(10)
    limit.take("one")
    assert len(limit) == 1


def test_of_many_at_once_the_limit_passes() -> None:
    limit, passed = Rates("user", 0.25), []
    threads = [
        threading.Thread(target=lambda: passed.append(taken(limit, "one", 50)), name=f"t{number}")
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(passed) == 1


def test_taking_is_quick() -> None:
    limit, began = Rates("address", 1_000_000), time.perf_counter()
    for number in range(5_000):
        limit.take(str(number))
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("localhost", "localhost"),
    ],
)
def test_an_ipv6_network_counts_as_one(address: str, counted: str) -> None:
    assert network(address) == counted
