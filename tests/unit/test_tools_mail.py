"""The mail sink, spoken to by SMTP."""

from __future__ import annotations

import signal
import smtplib
import subprocess
import sys
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from tests.support.system import free_port
from tests.support.waiting import eventually
from tools.mail import main, read
from tools.ports import accepts


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """The port of a sink that stores in `tmp_path / "mail"`; at the end SIGTERM must end it well."""
    chosen = free_port()
    command = [sys.executable, "-m", "tools.mail", "serve", "--port", str(chosen)]
    with subprocess.Popen([*command, "--directory", tmp_path / "mail"], stdout=subprocess.DEVNULL) as sink:
        eventually(lambda: accepts(chosen), what="the sink listens")
        yield chosen
        sink.send_signal(signal.SIGTERM)
        assert sink.wait(10) == 0


def send(port: int, subject: str, text: str, *to: str) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "tickler@localhost", "everybody@localhost", subject
    message.set_content(text)
    with smtplib.SMTP("127.0.0.1", port) as client:
        client.send_message(message, to_addrs=list(to))


def test_what_is_accepted_is_stored_and_read_in_order(port: int, tmp_path: Path) -> None:
    send(port, "Blumen gießen 🌻", "Heute.\n.\nEin Punkt allein.", "ada@localhost")
    send(port, "second", "x", "ada@localhost", "bob@localhost")
    first, second = read(tmp_path / "mail")
    assert (first.subject, first.recipients) == ("Blumen gießen 🌻", ("ada@localhost",))
    assert first.text.splitlines() == ["Heute.", ".", "Ein Punkt allein."]
    assert second.recipients == ("ada@localhost", "bob@localhost")
    assert first.received <= second.received


def test_show_prints_the_newest_last_and_nothing_that_moves_the_cursor(
    port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    send(port, "first", "line one\nred \x1b[31m", "ada@localhost")
    send(port, "second", "two", "bob@localhost")
    assert main(["show", "--directory", str(tmp_path / "mail")]) == 0
    shown = capsys.readouterr().out
    assert shown.index("first") < shown.index("red \ufffd[31m") < shown.index("second")
    assert "\x1b" not in shown
    assert shown.splitlines()[-1].startswith("2 mails in ")


def test_show_prints_the_text_of_html(port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = "Subject: s\nContent-Type: text/html\n\n<!doctype html><html><p>one &lt;b&gt;</p><p>two</p></html>"
    with smtplib.SMTP("127.0.0.1", port) as client:
        client.sendmail("tickler@localhost", ["ada@localhost"], message)
    main(["show", "--directory", str(tmp_path / "mail")])
    assert "    one <b>\n    two\n" in capsys.readouterr().out


def test_a_mail_that_is_too_large_is_refused_and_not_kept(port: int, tmp_path: Path) -> None:
    with pytest.raises(smtplib.SMTPException):
        send(port, "large", "x" * 11_000_000, "ada@localhost")
    assert read(tmp_path / "mail") == []


def test_show_without_mail_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "--directory", str(tmp_path / "none")]) == 0
    assert "no mail yet" in capsys.readouterr().out


def test_a_port_in_use_is_one_line(port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--port", str(port), "--directory", str(tmp_path / "other")]) == 1
    error = capsys.readouterr().err
    assert str(port) in error
    assert error.count("\n") == 1
