"""The local mail sink: `serve` takes mail by SMTP into a Maildir, `show` prints it. No mail leaves."""

import argparse
import asyncio
import email
import email.policy
import mailbox
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import formatdate
from html.parser import HTMLParser
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from tools.console import REPOSITORY, OperatorError, fail, shown

_SIZE_LIMIT = 10_000_000


@dataclass(frozen=True)
class Mail:
    """A mail as the sink took it."""

    received: datetime
    recipients: tuple[str, ...]
    subject: str
    text: str


class Sink:
    """An aiosmtpd handler that keeps every mail: it is on disk before the sender hears 250."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._maildir = mailbox.Maildir(directory, create=True)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Stores the mail with its envelope as Return-Path and Delivered-To (RFC 5321 4.4)."""
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        trace = [f"Return-Path: <{envelope.mail_from or ''}>", f"Received: by tickler; {formatdate()}"]
        trace += [f"Delivered-To: {recipient}" for recipient in envelope.rcpt_tos]
        self._maildir.add("".join(f"{line}\r\n" for line in trace).encode() + content)  # fsyncs the file
        folder = os.open(self._directory / "new", os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return "250 OK"


async def serve(host: str, port: int, directory: Path) -> None:
    """Takes mail until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    sink = Sink(directory)
    server = await loop.create_server(
        lambda: SMTP(sink, data_size_limit=_SIZE_LIMIT, enable_SMTPUTF8=True, ident="tickler", loop=loop),
        host,
        port,
    )
    print(f"mail sink listens on {host}:{port}, stores in {directory}", flush=True)
    async with server:
        await stop.wait()


def read(directory: Path) -> list[Mail]:
    """The mails in a sink's Maildir, in the order in which they came; [] when there is none."""
    return sorted(_read(directory), key=lambda mail: mail.received)


def _read(directory: Path) -> Iterator[Mail]:
    for path in (directory / "new").glob("*"):
        message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        body = message.get_body(("plain", "html"))
        content = body.get_payload(decode=True) if body is not None else None
        yield Mail(
            received=datetime.fromtimestamp(path.stat().st_mtime).astimezone(),
            recipients=tuple(str(value) for value in message.get_all("Delivered-To", [])),
            subject=str(message.get("Subject", "")),
            text=content.decode(errors="replace") if isinstance(content, bytes) else "",
        )


def show(directory: Path) -> None:
    """Prints the mails, the newest last."""
    mails = read(directory)
    for mail in mails:
        print(f"{mail.received:%Y-%m-%d %H:%M:%S %z}  to {_printable(', '.join(mail.recipients))}")
        print(f"  {_printable(mail.subject)}\n")
        for line in _readable(mail.text).strip().splitlines():
            print(f"    {_printable(line)}".rstrip())
        print()
    print(f"{len(mails)} mails in {shown(directory)}" if mails else f"no mail yet in {shown(directory)}")


class _Text(HTMLParser):
    """The text of an HTML mail, a line for each paragraph."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.feed(html)
        self.close()

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_endtag(self, tag: str) -> None:
        if tag in {"p", "div", "li", "tr", "h1", "h2", "h3"}:
            self.text += "\n"


def _readable(text: str) -> str:
    return _Text(text).text if text.lstrip().lower().startswith(("<!doctype html", "<html")) else text


def _printable(text: str) -> str:
    """A mail holds what users typed; control characters must not reach the terminal."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    default = Path(os.environ.get("TICKLER_DATA") or REPOSITORY / ".tickler") / "mail"
    parser = argparse.ArgumentParser(prog="python -m tools.mail", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    serving = commands.add_parser("serve", help="take mail by SMTP")
    serving.add_argument("--host", default="127.0.0.1")
    serving.add_argument("--port", type=int, default=2525)
    showing = commands.add_parser("show", help="print the mails")
    for command in (serving, showing):
        command.add_argument("--directory", type=Path, default=default)
    options = parser.parse_args(arguments)
    try:
        if options.command == "show":
            show(options.directory)
        else:
            asyncio.run(serve(options.host, options.port, options.directory))
    except OSError as error:
        return fail(OperatorError(f"mail sink on {options.directory}: {error}"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
