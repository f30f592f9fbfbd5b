"""What the operator chooses for `make run`."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from tools.console import OperatorError, Progress
from tools.options import LOOPBACK, Options, check_port


@pytest.mark.parametrize("port", ["abc", "-1", "65536", "80 80", "8080.0"])
def test_a_port_that_cannot_be_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    monkeypatch.setenv("TICKLER_PORT", port)
    with pytest.raises(OperatorError, match=r"TICKLER_PORT is .* 0 to 65535"):
        Options.from_environment()


def test_defaults_and_empty_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOST", "PORT", "DATA", "DATABASE_URL", "SMTP_HOST"):
        monkeypatch.setenv(f"TICKLER_{name}", "")
    options = Options.from_environment()
    assert options.url() == "http://127.0.0.1:8080"
    assert options.data.name == ".tickler"
    assert options.smtp_host is None


@pytest.mark.parametrize(
    ("host", "url", "loopback"),
    [
        ("127.0.0.1", "http://127.0.0.1:80", True),
        ("localhost", "http://localhost:80", True),
        ("::1", "http://[::1]:80", True),
        ("0.0.0.0", "http://127.0.0.1:80", False),
        ("::", "http://[::1]:80", False),
        ("192.0.2.7", "http://192.0.2.7:80", False),
        ("tasks.example", "http://tasks.example:80", False),
    ],
)
def test_url_and_loopback(host: str, url: str, loopback: bool) -> None:
    options = Options(host, 80, Path(), None)
    assert options.url() == url
    assert options.is_loopback() is loopback


def test_a_hostname_makes_the_edge_speak_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICKLER_HOSTNAME", "tasks.example.org")
    monkeypatch.setenv("TICKLER_PORT", "443")
    options = Options.from_environment()
    assert options.url() == "https://tasks.example.org"
    assert options.with_port(8443).url() == "https://tasks.example.org:8443"
    edge = options.edge_environment()
    assert edge["TICKLER_SITE"] == "https://tasks.example.org:443, https://:443"
    assert edge["TICKLER_CERT_ISSUER"] == "acme"
    assert edge["TICKLER_AUTO_HTTPS"] == "ignore_loaded_certs"
    assert options.with_port(8443).edge_environment()["TICKLER_AUTO_HTTPS"] == "disable_redirects"
    hosts = re.compile(edge["TICKLER_HOSTS"])
    assert hosts.search("tasks.example.org")
    assert hosts.search("tasks.example.org:443")
    assert not [n for n in ("tasks-example.org", "x.tasks.example.org", "tasks.example.org.x") if hosts.search(n)]
    monkeypatch.setenv("TICKLER_TLS", "internal")
    assert Options.from_environment().edge_environment()["TICKLER_CERT_ISSUER"] == "internal"


def test_without_one_it_speaks_http(monkeypatch: pytest.MonkeyPatch) -> None:
    options = Options(LOOPBACK, 8080, Path(), None)
    assert options.edge_environment() == {"TICKLER_SITE": "http://:8080"}
    assert Options("0.0.0.0", 80, Path(), None).edge_environment()["TICKLER_HOSTS"] == ".*"


@pytest.mark.parametrize(
    ("name", "tls", "said"),
    [
        ("tasks example", "", "TICKLER_HOSTNAME is 'tasks example'"),
        ("https://tasks.example.org", "", "it must be a name like"),
        ("tasks.example.org:443", "", "it must be a name like"),
        ("*.example.org", "", "it must be a name like"),
        ("x { respond y }", "", "it must be a name like"),
        ("tasks.example.org", "yes", "TICKLER_TLS is 'yes'; it must be acme or internal"),
        ("", "internal", "set TICKLER_HOSTNAME, too"),
    ],
)
def test_a_hostname_that_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, tls: str, said: str) -> None:
    monkeypatch.setenv("TICKLER_HOSTNAME", name)
    monkeypatch.setenv("TICKLER_TLS", tls)
    with pytest.raises(OperatorError) as refusal:
        Options.from_environment()
    assert said in str(refusal.value)


def test_a_port_in_use_is_named_with_the_way_to_mend_it() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(OperatorError, match=rf"port {port} on 127.0.0.1 is in use; .*TICKLER_PORT=\d+ make run"):
            check_port("127.0.0.1", port)
    assert check_port("127.0.0.1", port) == port


def test_port_0_becomes_a_free_one() -> None:
    assert check_port("127.0.0.1", 0) > 0


def test_a_host_that_is_not_ours_is_named() -> None:
    with pytest.raises(OperatorError, match=r"TICKLER_HOST is '192\.0\.2\.7', which is not an address of this machine"):
        check_port("192.0.2.7", 18080)


def test_progress_tells_the_elapsed_time_once_an_interval(capsys: pytest.CaptureFixture[str]) -> None:
    now = [100.0]
    progress = Progress("building", interval=10, clock=lambda: now[0])
    for now[0] in (105.0, 111.0, 112.0, 121.0):
        progress.tick()
    assert capsys.readouterr().out == "  building: 11 s so far\n  building: 21 s so far\n"
