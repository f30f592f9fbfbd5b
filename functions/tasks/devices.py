"""Devices: where, beyond the app itself, a user's notifications go."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from typing import Annotated, Literal
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from functions.tasks.errors import InvalidInput
from functions.tasks.models import Input
from functions.tasks.values import Instant, Title

DeviceKind = Literal["email", "web_push", "webhook"]

LIMIT = 50
"""Devices a user."""

_EMAIL = re.compile(r"[^\s@\"(),:;<>\[\]\\\x00-\x1f\x7f]{1,64}@(?=.{1,253}$)[^\W_](?:[\w.-]*[^\W_])?", re.UNICODE)
_URL = re.compile(r"[\x21-\x7e]+", re.ASCII)


class PushKeys(Input):
    """`keys` of a browser's PushSubscription (https://www.w3.org/TR/push-api/), base64url."""

    p256dh: Annotated[str, StringConstraints(max_length=200)]
    auth: Annotated[str, StringConstraints(max_length=100)]


class Device(BaseModel):
    """One place of a user. `secret` signs a webhook's bodies: answered once, when the device is made."""

    id: UUID
    kind: DeviceKind
    name: str
    endpoint: str
    created_at: Instant
    secret: str | None = None


class DeviceList(BaseModel):
    """`vapid_public_key` is the `applicationServerKey` that a browser subscribes with (RFC 8292 section 3.2)."""

    items: list[Device]
    vapid_public_key: str


class DeviceTested(BaseModel):
    id: UUID
    delivered: Literal[True] = True


class ManageDevices(Input):
    """`action` follows from the path and the verb unless given; in the Dapr spelling POST means create.

    An email device has an address as its `endpoint`, a webhook an https URL; a web push one is a browser's
    PushSubscription (`endpoint` and `keys`) as it is. Registering an endpoint again changes its name and keys.
    """

    action: Literal["list", "create", "delete", "test"] = "create"
    device_id: UUID | None = None
    kind: DeviceKind | None = None
    endpoint: Annotated[str, StringConstraints(min_length=1, max_length=2000)] | None = None
    keys: PushKeys | None = None
    name: Annotated[Title, Field(max_length=100)] | None = None
    expiration_time: float | None = Field(
        default=None, alias="expirationTime", description="of a PushSubscription; not used"
    )


class Registration(BaseModel):
    """A device as asked for, checked."""

    kind: DeviceKind
    endpoint: str
    name: str
    p256dh: str | None = None
    auth: str | None = None


def check_device_id(command: ManageDevices) -> UUID:
    """Raises InvalidInput where `device_id` is missing."""
    if command.device_id is None:
        raise InvalidInput("device_id", "is required")
    return command.device_id


def is_email(text: str) -> bool:
    """Whether mail can be addressed to this text; whether it arrives nobody knows."""
    return len(text) <= 254 and _EMAIL.fullmatch(text) is not None and ".." not in text


def check_registration(command: ManageDevices, *, insecure: bool = False) -> Registration:
    """The device that a command registers. Raises InvalidInput naming the field.

    `insecure` lets http URLs pass, for development; where a URL may lead is for the sender to check.
    """
    if command.device_id is not None:
        raise InvalidInput("device_id", "is not for create")
    for name, value in (("kind", command.kind), ("endpoint", command.endpoint)):
        if value is None:
            raise InvalidInput(name, "is required")
    kind, endpoint = command.kind, command.endpoint
    assert kind is not None
    assert endpoint is not None
    keys = command.keys
    if kind == "email":
        if not is_email(endpoint):
            raise InvalidInput("endpoint", "must be an email address")
    else:
        endpoint = _checked_url(endpoint, insecure)
    if kind == "web_push":
        if keys is None:
            raise InvalidInput("keys", "is required")
        _check_keys(keys)
    elif keys is not None:
        raise InvalidInput("keys", f"is not for {kind}")
    return Registration(
        kind=kind,
        endpoint=endpoint,
        name=command.name or (endpoint if kind == "email" else urlsplit(endpoint).hostname or "")[:100],
        p256dh=keys.p256dh if keys else None,
        auth=keys.auth if keys else None,
    )


def _checked_url(url: str, insecure: bool) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidInput("endpoint", "must be a URL") from None
    if _URL.fullmatch(url) is None or not parts.hostname or port == 0:
        raise InvalidInput("endpoint", "must be a URL, of printable ASCII")
    if parts.scheme != "https" and not (insecure and parts.scheme == "http"):
        raise InvalidInput("endpoint", "must be an https URL")
    if parts.username is not None or parts.password is not None:
        raise InvalidInput("endpoint", "must not hold a user name or password")
    if parts.fragment:
        raise InvalidInput("endpoint", "must not have a fragment")
    return url


def _check_keys(keys: PushKeys) -> None:
    """RFC 8291 section 2: `p256dh` is an uncompressed P-256 point (65 bytes), `auth` has 16 bytes."""
    point = decode_key(keys.p256dh)
    if point is None or not _on_p256(point):
        raise InvalidInput("keys.p256dh", "must be an uncompressed P-256 public key, base64url")
    secret = decode_key(keys.auth)
    if secret is None or len(secret) != 16:
        raise InvalidInput("keys.auth", "must be 16 bytes, base64url")


def _on_p256(point: bytes) -> bool:
    """Whether these bytes are an uncompressed point of the curve y^2 = x^3 - 3x + b (FIPS 186-4 D.1.2.3)."""
    if len(point) != 65 or point[0] != 4:
        return False
    prime = 2**256 - 2**224 + 2**192 + 2**96 - 1
    b = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
    x, y = int.from_bytes(point[1:33], "big"), int.from_bytes(point[33:], "big")
    return max(x, y) < prime and (y * y - (x**3 - 3 * x + b)) % prime == 0


def decode_key(text: str) -> bytes | None:
    """base64url with or without padding; None for anything else."""
    stripped = text.rstrip("=")
    if re.fullmatch(r"[A-Za-z0-9_-]*", stripped, re.ASCII) is None:
        return None
    try:
        return base64.urlsafe_b64decode(stripped + "=" * (-len(stripped) % 4))
    except binascii.Error:
        return None


_REFUSED = [
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
        "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16",
        "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "168.63.129.16/32",  # Azure's metadata and DNS, on a public address
        "::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "3fff::/20", "5f00::/16",
        "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
    )
]  # fmt: skip
"""What the IANA special-purpose address registries list as not for the public (RFC 6890), and multicast."""


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet. An IPv6 address that carries an IPv4 one (mapped,
    RFC 4291; NAT64, RFC 6052; 6to4, RFC 3056) is judged by that."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        embedded = ip.ipv4_mapped or ip.sixtofour
        if embedded is None and ip in ipaddress.ip_network("64:ff9b::/96"):
            embedded = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if embedded is not None:
            return is_public(str(embedded))
    return not any(ip.version == network.version and ip in network for network in _REFUSED)
