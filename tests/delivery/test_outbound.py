"""The guard of requests to places that users name."""

from __future__ import annotations

import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from functions.runtime.outbound import Outbound, resolve
from functions.tasks.errors import Unavailable, Undeliverable
from tests.delivery.certificates import contexts
from tests.delivery.peers import Peer

NAMED = {
    "home.example": ["10.0.0.7"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "metadata.example": ["169.254.169.254"],
    "mixed.example": ["93.184.215.14", "192.168.1.1"],  # one that rebinds half the time
    "six.example": ["fe80::1%eth0"],
    "carrier.example": ["100.64.1.1"],
    "nat64.example": ["64:ff9b::7f00:1"],
}


def named(host: str, port: int) -> list[str]:
    return NAMED[host] if host in NAMED else resolve(host, port)


@pytest.mark.parametrize(
    "url",
    [
        *(f"https://{name}/hook" for name in NAMED),
        "https://127.0.0.1/", "https://localhost/", "https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://0.0.0.0/",
        "https://2130706433/", "https://0x7f000001/", "https://0177.0.0.1/", "https://127.1/", "https://0/",
        "https://10.0.0.1/", "https://169.254.169.254/latest/meta-data/", "https://192.168.0.1:8443/",
        "https://[fe80::1]/", "https://[fd00::1]/", "https://[64:ff9b::10.0.0.1]/", "https://[2002:7f00:1::]/",
        "https://100.64.0.1/", "https://224.0.0.1/", "https://255.255.255.255/", "https://LOCALHOST/",
    ],
)  # fmt: skip
def test_what_leads_inside_is_refused_before_anything_is_sent(url: str) -> None:
    guard = Outbound(resolve=named)
    with pytest.raises(Undeliverable, match="not a public one"):
        guard.check(url)
    with pytest.raises(Undeliverable, match="not a public one"):
        guard.post(url, b"", {})


def test_a_name_that_does_not_resolve_now_may_later() -> None:
    def unknown(host: str, port: int) -> list[str]:
        raise OSError("Name or service not known")

    Outbound(resolve=unknown).check("https://hooks.example/")
    with pytest.raises(Unavailable, match="does not resolve"):
        Outbound(resolve=unknown).post("https://hooks.example/", b"", {})


def test_a_resolver_that_hangs_takes_no_longer_than_an_attempt() -> None:
    def slow(host: str, port: int) -> list[str]:
        time.sleep(3)
        return ["93.184.215.14"]

    began = time.monotonic()
    with pytest.raises(Unavailable, match="does not resolve"):
        Outbound(resolve=slow, seconds=0.2).post("https://hooks.example/", b"", {})
    assert time.monotonic() - began < 1


def test_a_name_is_resolved_once_so_that_it_cannot_change_in_between(tmp_path: Path) -> None:
    asked: list[str] = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    server, client = contexts(tmp_path, "hooks.example")
    with Peer(tls=server) as peer:
        guard = Outbound(allow_private=True, resolve=rebinding, tls=client, seconds=2)
        assert guard.post(f"https://hooks.example:{peer.port}/a?b=c", b"{}", {"X-A": "b"}).status == 201
    assert asked == ["hooks.example"]
    (request,) = peer.requests
    assert request.headers["host"] == f"hooks.example:{peer.port}"  # the name, in Host, SNI and the certificate
    assert (request.path, request.body, request.headers["x-a"]) == ("/a?b=c", b"{}", "b")


def test_a_certificate_of_another_name_is_refused(tmp_path: Path) -> None:
    server, client = contexts(tmp_path, "other.example")
    with Peer(tls=server) as peer:
        guard = Outbound(allow_private=True, resolve=lambda host, port: ["127.0.0.1"], tls=client, seconds=2)
        with pytest.raises(Unavailable, match="certificate"):
            guard.post(f"https://hooks.example:{peer.port}/", b"", {})
    assert peer.requests == []


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path, outbound: Outbound) -> None:
    server, _ = contexts(tmp_path, "127.0.0.1")
    with Peer(tls=server) as peer, pytest.raises(Unavailable, match="certificate"):
        outbound.post(peer.url(), b"", {})
    assert peer.requests == []


def test_the_second_address_is_tried_where_the_first_does_not_answer() -> None:
    with Peer() as peer:
        guard = Outbound(allow_private=True, resolve=lambda host, port: ["::1", "127.0.0.1"], seconds=2)
        assert guard.post(f"http://twice.example:{peer.port}/", b"", {}).status == 201


def test_http_is_for_loopback_only_whatever_is_allowed() -> None:
    guard = Outbound(allow_private=True, resolve=lambda host, port: ["10.0.0.7"])
    with pytest.raises(Undeliverable, match="https"):
        guard.check("http://home.example/")
    with pytest.raises(Undeliverable):
        Outbound().check("http://127.0.0.1/")
    with pytest.raises(Undeliverable, match="https"):
        Outbound(resolve=lambda host, port: ["93.184.215.14"]).check("http://hooks.example/")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int, outbound: Outbound) -> None:
    with Peer() as inside, Peer(answers=[(status, {"Location": inside.url("/secret")})]) as peer:
        assert outbound.post(peer.url(), b"", {}).status == status
    assert inside.requests == []


def test_retry_after_is_read_in_seconds(outbound: Outbound) -> None:
    delays = ["7", "Wed, 21 Oct 2015 07:28:00 GMT", "-1", "1e9", "9" * 30]
    with Peer(answers=[(429, {"Retry-After": delay}) for delay in delays]) as peer:
        assert [outbound.post(peer.url(), b"", {}).retry_after for _ in delays] == [7.0, None, None, None, None]


def _drip(handler: BaseHTTPRequestHandler) -> bool:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for _ in range(200):
        try:
            handler.wfile.write(b"X-Slow: yes\r\n")
            handler.wfile.flush()
        except OSError:
            break
        time.sleep(0.05)
    return False


def _endless(handler: BaseHTTPRequestHandler) -> bool:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n")
    for _ in range(100):
        try:
            handler.wfile.write(b"x" * 65536)
        except OSError:
            break
    return False


def test_an_answer_that_drips_is_given_up_in_time() -> None:
    with Peer(before_answer=_drip) as peer:
        began = time.monotonic()
        with pytest.raises(Unavailable, match=r"within 0.5 seconds"):
            Outbound(allow_private=True, seconds=0.5).post(peer.url(), b"", {})
        assert time.monotonic() - began < 2


def test_an_endless_answer_costs_nothing(outbound: Outbound) -> None:
    with Peer(before_answer=_endless) as peer:
        assert outbound.post(peer.url(), b"", {}).status == 200


def test_a_peer_that_says_nonsense_or_hangs_up_is_tried_again(outbound: Outbound) -> None:
    def nonsense(handler: BaseHTTPRequestHandler) -> bool:
        handler.wfile.write(b"SSH-2.0-OpenSSH\r\n\r\n")
        handler.close_connection = True
        return False

    with Peer(before_answer=nonsense) as peer, pytest.raises(Unavailable):
        outbound.post(peer.url(), b"", {})
    with pytest.raises(Unavailable, match="refused"):
        outbound.post(peer.url(), b"", {})
