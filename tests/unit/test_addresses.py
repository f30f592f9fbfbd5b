"""Where a request came from: what the edge says, and what counts as one address."""

from __future__ import annotations

import pytest

from functions.issue_token import network
from functions.runtime.interceptor import Invocation


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1, 10.0.0.7, 10.0.0.8", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("", ""),
    ],
)
def test_the_first_is_what_the_edge_saw_and_the_rest_are_sidecars(forwarded: str, address: str) -> None:
    assert Invocation("POST", "", {"x-forwarded-for": forwarded}, "c-1").address == address


def test_who_came_by_no_edge_has_none() -> None:
    assert Invocation("POST", "", {}, "c-1").address == ""
    assert network("") == network("no address") == ""


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
