"""The edge with a host name, as an operator on the internet has it: TLS, and limits per user and per address."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import httpx
import pytest

from tests.conftest import MODE, unique_user
from tests.support.client import refused
from tests.support.system import System
from tests.support.waiting import eventually

NAME = "tasks.example.org"
PER_USER, PER_ADDRESS, BURST = 1, 10, 4


@pytest.fixture(scope="module")
def public() -> Iterator[System]:
    env = {
        "TICKLER_HOSTNAME": NAME,
        "TICKLER_TLS": "internal",
        "TICKLER_RATE_PER_USER": str(PER_USER),
        "TICKLER_RATE_PER_ADDRESS": str(PER_ADDRESS),
    }
    with System.running(env=env, mode=MODE) as system:
        yield system


@pytest.fixture(scope="module")
def trust(public: System) -> ssl.SSLContext:
    """The authority that Caddy made for itself, and no other."""
    (authority,) = public.data.glob("caddy/**/root.crt")
    return ssl.create_default_context(cafile=authority)


class Visitor:
    """Somebody at an address of their own, whose certificate checks are a browser's."""

    def __init__(self, system: System, trust: ssl.SSLContext, address: str) -> None:
        self._system = system
        transport = httpx.HTTPTransport(verify=trust, local_address=address)
        self._http = httpx.Client(base_url=f"https://127.0.0.1:{system.port}", transport=transport, timeout=30)

    def get(self, path: str, user: str | None = None, *, host: str = NAME, **headers: str) -> httpx.Response:
        token = {} if user is None else {"Authorization": f"Bearer {self._system.signed_in(user).token}"}
        return self._http.get(path, headers={"Host": host, **token, **headers}, extensions={"sni_hostname": NAME})


def test_the_name_is_served_over_tls_and_nothing_else_is(public: System, trust: ssl.SSLContext) -> None:
    visitor = Visitor(public, trust, "127.0.0.1")
    answer = visitor.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    assert f"https://{NAME}:{public.port}" in public.output
    for host in ("127.0.0.1", "localhost", "evil.example", f"{NAME}.evil.example"):
        refused(visitor.get("/healthz", host=host), 421)
    assert public.send(f"GET /healthz HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode()).startswith(b"HTTP/1.0 400")
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"https://127.0.0.1:{public.port}/healthz", verify=trust, trust_env=False)


def test_no_user_is_made_where_others_can_sign_in(public: System) -> None:
    assert not (public.data / "secrets" / "local-user").exists()
    assert f"sign up: POST {public.run['url']}/api/auth/signup" in public.output


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_old_tls_is_refused(public: System, version: ssl.TLSVersion) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = version
    visitor = Visitor(public, old, "127.0.0.1")
    with pytest.raises(httpx.ConnectError):
        visitor.get("/healthz")


def test_a_user_who_asks_too_often_waits_and_others_do_not(public: System, trust: ssl.SSLContext) -> None:
    visitor = Visitor(public, trust, "127.0.0.2")
    busy, calm = unique_user("busy"), unique_user("calm")
    answers = [visitor.get("/api/tags", busy) for _ in range(PER_USER * BURST + 2)]
    assert [answer.status_code for answer in answers[: PER_USER * BURST]] == [200] * PER_USER * BURST
    error = refused(answers[-1], 429, code=8)
    assert answers[-1].headers["retry-after"] == "1"
    assert [detail["@type"].rpartition(".")[2] for detail in error["details"]] == ["RetryInfo", "RequestInfo"]
    assert visitor.get("/api/tags", calm).status_code == 200
    eventually(lambda: visitor.get("/api/tags", busy).status_code == 200, what="it passes again")


def test_an_address_that_asks_too_often_waits_whoever_it_says_it_is(public: System, trust: ssl.SSLContext) -> None:
    visitor, other = Visitor(public, trust, "127.0.0.3"), Visitor(public, trust, "127.0.0.4")
    statuses = [visitor.get("/api/tags").status_code for _ in range(PER_ADDRESS * BURST * 2)]
    assert set(statuses) == {401, 429}
    assert statuses[: PER_ADDRESS * BURST] == [401] * PER_ADDRESS * BURST
    for headers in ({"X-Forwarded-For": "192.0.2.1"}, {"Forwarded": "for=192.0.2.1"}, {"X-Real-IP": "192.0.2.1"}):
        several = [visitor.get("/api/tags", **headers).status_code for _ in range(PER_ADDRESS)]
        assert 429 in several, headers
    assert other.get("/api/tags").status_code == 401
    assert other.get("/api/tags", **{"X-Forwarded-For": "127.0.0.3", "X-Real-IP": "127.0.0.3"}).status_code == 401
    assert visitor.get("/healthz").status_code == 200
    eventually(lambda: visitor.get("/api/tags").status_code == 401, what="it passes again")
