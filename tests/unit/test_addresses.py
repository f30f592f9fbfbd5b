"""Where a request came from: what the edge says, and what counts as one address."""

from __future__ import annotations

import pytest

from functions.runtime.interceptor import Invocation
from functions.runtime.rates import network


def test_is_what_the_edge_saw_and_not_what_is_said_elsewhere() -> None:
    headers = {"x-real-ip": "192.0.2.1", "x-forwarded-for": "198.51.100.1", "forwarded": "for=198.51.100.1"}
    assert Invocation("POST", "", headers, "c-1").address == "192.0.2.1"


def test_who_came_by_no_edge_has_none() -> None:
    assert Invocation("POST", "", {"x-forwarded-for": "192.0.2.1"}, "c-1").address == ""
    assert network("") == ""


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2", True),
    ],
)
def test_one_subscriber_of_ipv6_is_one_address(one: str, other: str, same: bool) -> None:
    assert (network(one) == network(other)) == same
