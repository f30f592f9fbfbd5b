"""Which devices may be registered, and which addresses are not to be reached."""

from __future__ import annotations

import base64
import ipaddress
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from functions.tasks.devices import ManageDevices, Registration, check_registration, decode_key, is_public
from functions.tasks.errors import InvalidInput

POINT = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
KEYS = {"p256dh": base64.urlsafe_b64encode(POINT).decode().rstrip("="), "auth": "MDEyMzQ1Njc4OWFiY2RlZg"}


def check(insecure: bool = False, **fields: Any) -> Registration:
    return check_registration(ManageDevices.model_validate(fields), insecure=insecure)


def refused(insecure: bool = False, **fields: Any) -> str:
    with pytest.raises(InvalidInput) as refusal:
        check(insecure, **fields)
    return refusal.value.field


class TestRegistration:
    @pytest.mark.parametrize(
        "address",
        [
            "ann@example.org",
            "a.b+c@example.co.uk",
            "o'neil@example.org",
            "x@localhost",
            "jörg@münchen.example",
            "a@1.example",
        ],
    )
    def test_takes_an_email_address(self, address: str) -> None:
        assert check(kind="email", endpoint=address).name == address

    @pytest.mark.parametrize(
        "address",
        [
            "ann", "@example.org", "ann@", "ann@@example.org", "a b@example.org", "ann@example..org", "ann@.example",
            "ann@example.org\r\nBcc: eve@example.org", "ann@example.org, eve@example.org", "<ann@example.org>",
            "Ann <ann@example.org>", "ann@example.org\x00", "a" * 65 + "@example.org", "ann@" + "a" * 254, "ann@-x.org",
            "ann@example.org ", "ann(x)@example.org", '"ann"@example.org', "ann@[127.0.0.1]",
        ],
    )  # fmt: skip
    def test_refuses_what_is_no_email_address(self, address: str) -> None:
        assert refused(kind="email", endpoint=address) == "endpoint"

    def test_takes_a_webhook(self) -> None:
        device = check(kind="webhook", endpoint="https://hooks.example.org:8443/a?b=c", name="Home")
        assert (device.endpoint, device.name) == ("https://hooks.example.org:8443/a?b=c", "Home")

    @pytest.mark.parametrize(
        "url",
        [
            "http://example.org/", "ftp://example.org/", "example.org", "https://", "https:///x", "https://u:p@example.org/",
            "https://u@example.org/", "https://example.org:99999/", "https://example.org:0/", "https://example.org/#x",
            "https://example.org/\r\nX: y", "https://exa mple.org/", "https://example.org/ö", "javascript:alert(1)",
            "https://[::1", "file:///etc/passwd",
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("kind", ["webhook", "web_push"])
    def test_refuses_what_is_no_https_url(self, kind: str, url: str) -> None:
        assert refused(kind=kind, endpoint=url, keys=KEYS) == "endpoint"

    def test_takes_http_for_development_only(self) -> None:
        assert check(True, kind="webhook", endpoint="http://127.0.0.1:9/x").endpoint == "http://127.0.0.1:9/x"
        assert refused(True, kind="webhook", endpoint="ftp://127.0.0.1/") == "endpoint"

    def test_takes_a_subscription_as_a_browser_makes_it(self) -> None:
        device = check(kind="web_push", endpoint="https://push.example.org/s/1", expirationTime=None, keys=KEYS)
        assert (device.p256dh, device.auth, device.name) == (KEYS["p256dh"], KEYS["auth"], "push.example.org")

    @pytest.mark.parametrize(
        ("keys", "field"),
        [
            (None, "keys"),
            ({**KEYS, "auth": "c2hvcnQ"}, "keys.auth"),
            ({**KEYS, "auth": "!" * 22}, "keys.auth"),
            ({**KEYS, "p256dh": KEYS["p256dh"][:-4]}, "keys.p256dh"),
            ({**KEYS, "p256dh": base64.urlsafe_b64encode(b"\x04" + b"\x01" * 64).decode()}, "keys.p256dh"),
            ({**KEYS, "p256dh": base64.urlsafe_b64encode(b"\x02" + POINT[1:]).decode()}, "keys.p256dh"),
        ],
    )
    def test_refuses_keys_that_nothing_can_be_encrypted_for(self, keys: Any, field: str) -> None:
        assert refused(kind="web_push", endpoint="https://push.example.org/s/1", keys=keys) == field

    @pytest.mark.parametrize(
        ("fields", "field"),
        [
            ({}, "kind"),
            ({"kind": "email"}, "endpoint"),
            ({"endpoint": "ann@example.org"}, "kind"),
            ({"kind": "email", "endpoint": "ann@example.org", "keys": KEYS}, "keys"),
            ({"kind": "email", "endpoint": "ann@example.org", "device_id": uuid4()}, "device_id"),
        ],
    )
    def test_names_the_field_that_is_missing_or_too_much(self, fields: dict[str, Any], field: str) -> None:
        assert refused(**fields) == field


@given(st.binary(max_size=100))
def test_a_key_reads_back(raw: bytes) -> None:
    assert decode_key(base64.urlsafe_b64encode(raw).decode()) == raw


@pytest.mark.parametrize("text", ["a b", "é", "=a", "a=b", "a+/b"])
def test_a_key_of_other_characters_is_none(text: str) -> None:
    assert decode_key(text) is None


PRIVATE = [
    "0.0.0.0", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254", "168.63.129.16",
    "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.168.1.1", "198.18.0.1",
    "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
]  # fmt: skip
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.215.14",
    "100.63.255.255",
    "100.128.0.0",
    "172.15.0.1",
    "172.32.0.1",
    "223.255.255.1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_refused_however_it_is_carried(address: str) -> None:
    number = int(ipaddress.IPv4Address(address))
    assert not is_public(address)
    assert not is_public(f"::ffff:{address}")
    assert not is_public(f"64:ff9b::{address}")
    assert not is_public(f"::{address}")
    assert not is_public(str(ipaddress.IPv6Address(0x2002 << 112 | number << 80)))


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_reached_however_it_is_carried(address: str) -> None:
    assert is_public(address)
    assert is_public(f"::ffff:{address}")
    assert is_public(f"64:ff9b::{address}")


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("::", False), ("::1", False), ("fe80::1", False), ("fe80::1%eth0", False), ("fc00::1", False),
        ("fd00:ec2::254", False), ("fec0::1", False), ("ff02::1", False), ("2001:db8::1", False),
        ("2001::1", False), ("100::1", False),
        ("64:ff9b:1::1", False), ("2606:4700:4700::1111", True), ("2a00:1450:4001:831::200e", True),
    ],
)  # fmt: skip
def test_an_ipv6_address_is_refused_unless_it_is_public(address: str, public: bool) -> None:
    assert is_public(address) is public


@given(st.ip_addresses())
def test_no_address_passes_that_python_knows_as_private(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified:
        assert not is_public(str(address))
