"""Mail by SMTP (RFC 5321), directly: Dapr's smtp binding sends HTML only, takes no header of ours, and keeps
recipient and subject in memory that concurrent requests share (components-contrib bindings/smtp/smtp.go)."""

from __future__ import annotations

import contextlib
import ipaddress
import queue
import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from email.header import Header
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime, parseaddr
from hashlib import sha256
from typing import Any

from functions.runtime.settings import Settings
from functions.runtime.sidecar import Sidecar
from functions.tasks.errors import Unavailable, Undeliverable
from functions.tasks.mail import Mail

STEP = 8.0
"""Seconds that the server may take for one answer."""
ATTEMPT = 10.0
"""Seconds that sending one mail may take in all. Four of them, and the pauses between, stay within the lease of a
delivery (functions/store/reminders.py)."""
IDLE = 8
"""Connections that are kept for the next mails."""


class Mailer:
    """Connections to one server, each used again until it fails."""

    def __init__(self, settings: Settings, sidecar: Sidecar) -> None:
        self._settings = settings
        self._sidecar = sidecar
        self._tls = ssl.create_default_context()
        self._idle: queue.LifoQueue[smtplib.SMTP] = queue.LifoQueue(IDLE)

    def send(self, mail: Mail) -> None:
        """Returns once the server has taken the mail.

        Raises Undeliverable where it refuses the mail for good (5yz), Unavailable where it may take it later.
        """
        message = message_of(mail, self._settings.mail_from)
        try:
            with self._connection() as server:
                server.send_message(message)
        except smtplib.SMTPRecipientsRefused as error:
            raise _refused(*next(iter(error.recipients.values()))) from error
        except (smtplib.SMTPAuthenticationError, smtplib.SMTPConnectError, smtplib.SMTPHeloError) as error:
            # Not about this mail: once the operator or the server is back to order it can be sent.
            raise Unavailable(f"the mail server refuses us: {error.smtp_code}") from error
        except smtplib.SMTPResponseException as error:
            raise _refused(error.smtp_code, error.smtp_error) from error
        except smtplib.SMTPNotSupportedError as error:
            raise Undeliverable(f"the mail server cannot: {error}"[:300]) from error
        except (smtplib.SMTPException, OSError) as error:
            raise Unavailable(f"the mail server does not answer: {_said(error)}") from error

    @contextlib.contextmanager
    def _connection(self) -> Iterator[smtplib.SMTP]:
        server = self._take()
        fresh = server is None
        if server is None:
            name = socket.gethostname()  # smtplib would ask the DNS for it
            if self._settings.smtp_port == 465:
                server = smtplib.SMTP_SSL(local_hostname=name, timeout=STEP, context=self._tls)
            else:
                server = smtplib.SMTP(local_hostname=name, timeout=STEP)
        timer = threading.Timer(ATTEMPT, _cut, (server,))
        timer.daemon = True
        timer.start()
        kept = False
        try:
            if fresh:
                self._connect(server)
            yield server
            with contextlib.suppress(queue.Full):
                self._idle.put_nowait(server)
                kept = True
        finally:
            timer.cancel()
            if not kept:
                with contextlib.suppress(smtplib.SMTPException, OSError):
                    server.close()

    def _take(self) -> smtplib.SMTP | None:
        """A connection that was kept and still answers. A mail is begun on no other: what breaks in between may
        have been taken or not."""
        while True:
            try:
                server = self._idle.get_nowait()
            except queue.Empty:
                return None
            with contextlib.suppress(smtplib.SMTPException, OSError):
                if server.noop()[0] == 250:
                    return server
            server.close()

    def _connect(self, server: smtplib.SMTP) -> None:
        settings = self._settings
        # The name that the server's certificate must have; only smtplib's constructor sets it, and that connects.
        server._host = settings.smtp_host  # type: ignore[attr-defined]
        server.connect(settings.smtp_host, settings.smtp_port)
        server.ehlo_or_helo_if_needed()
        if not isinstance(server, smtplib.SMTP_SSL) and server.has_extn("starttls"):
            server.starttls(context=self._tls)
            server.ehlo()
        if settings.smtp_user:
            if not isinstance(server.sock, ssl.SSLSocket) and not _is_loopback(server.sock):
                raise smtplib.SMTPException("it offers no TLS, so it does not get the password")
            password = settings.smtp_password or self._sidecar.secret(settings.smtp_password_secret)
            server.login(settings.smtp_user, password)


class _Policy(EmailPolicy):
    """Writes a subject so that it reads as it was meant: the library's own takes one that looks like an encoded word
    (`=?utf-8?q?x?=`, RFC 2047) for one."""

    def header_store_parse(self, name: str, value: Any) -> tuple[str, Any]:
        return (name, value) if name == "Subject" else super().header_store_parse(name, value)

    def header_fetch_parse(self, name: str, value: str) -> Any:
        return value if name == "Subject" else super().header_fetch_parse(name, value)

    def fold(self, name: str, value: str) -> str:
        if name != "Subject" or (value.isascii() and "=?" not in value):
            return str(super().fold(name, value))
        encoded = Header(value, "utf-8", header_name=name).encode(linesep=self.linesep)
        return f"{name}: {encoded}{self.linesep}"

    def fold_binary(self, name: str, value: str) -> bytes:
        return self.fold(name, value).encode() if name == "Subject" else super().fold_binary(name, value)


POLICY = _Policy(linesep="\r\n", max_line_length=998)
"""Lines as long as may be (RFC 5322 section 2.1.1): the links have no place to fold at, and would be encoded."""


def message_of(mail: Mail, sender: str) -> EmailMessage:
    """The mail as it is sent: text and HTML, with what receivers need to see a repeat, not to answer it by a
    machine (RFC 3834), and to end it with one click (RFC 8058)."""
    domain = parseaddr(sender)[1].rpartition("@")[2] or "localhost"
    message = EmailMessage(policy=POLICY)
    message["From"] = sender
    message["To"] = mail.to
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = f"<{sha256(mail.key.encode()).hexdigest()[:40]}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    if mail.unsubscribe_url:
        message["List-Unsubscribe"] = f"<{mail.unsubscribe_url}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content(mail.text)
    message.add_alternative(mail.html, subtype="html")
    return message


def _refused(code: int, text: bytes | str) -> Unavailable | Undeliverable:
    said = text.decode(errors="replace") if isinstance(text, bytes) else text
    reason = f"the mail server refuses: {code} {' '.join(said.split())}"[:300]
    return Undeliverable(reason) if 500 <= code < 600 else Unavailable(reason)


def _is_loopback(connected: socket.socket | None) -> bool:
    return connected is not None and ipaddress.ip_address(connected.getpeername()[0]).is_loopback


def _cut(server: smtplib.SMTP) -> None:
    """Ends what is under way: a socket's own timeout starts anew with every byte that a slow peer sends."""
    if server.sock is not None:
        with contextlib.suppress(OSError):
            server.sock.shutdown(socket.SHUT_RDWR)


def _said(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)[:200] or type(error).__name__
