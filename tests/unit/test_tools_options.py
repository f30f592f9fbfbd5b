"""What the operator chooses for `make run`."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tools.console import OperatorError, Progress
from tools.options import Options, check_port


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
