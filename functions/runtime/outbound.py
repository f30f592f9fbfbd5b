"""HTTP requests to places that users name: guarded, so that none of them leads into the operator's own network.

Dapr's http binding resolves names by itself and follows redirects (components-contrib bindings/http), so what was
checked before would not be what is connected to. Here a name is resolved once, every address it has is checked,
and the connection goes to a checked address, with the name in Host, SNI and the certificate.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from functions.tasks.devices import is_public
from functions.tasks.errors import Unavailable, Undeliverable

ATTEMPT = 5.0
"""Seconds that an exchange may take in all. Four of them, and the pauses between, stay within the lease of a
delivery (functions/store/reminders.py)."""

Resolve = Callable[[str, int], list[str]]


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, each once. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True)
class Answer:
    """What is read of an answer: its status, and the seconds after which the peer wants to be asked again. Its body
    is not, however long it is."""

    status: int
    retry_after: float | None

    @property
    def accepted(self) -> bool:
        return 200 <= self.status < 300

    @property
    def retryable(self) -> bool:
        """Whether the same request may be accepted later (RFC 9110 section 15, RFC 6585)."""
        return self.status in (408, 425, 429) or self.status >= 500


class Outbound:
    """Posts to URLs. With `allow_private`, private addresses are reached too, and loopback ones by http."""

    def __init__(
        self,
        *,
        allow_private: bool = False,
        resolve: Resolve = resolve,
        tls: ssl.SSLContext | None = None,
        seconds: float = ATTEMPT,
    ) -> None:
        self.allow_private = allow_private
        self._resolve = resolve
        self._tls = tls or ssl.create_default_context()
        self._seconds = seconds

    def check(self, url: str) -> None:
        """Raises Undeliverable for a URL that leads to an address which must not be reached. A name that does not
        resolve now may later."""
        with contextlib.suppress(Unavailable):
            self._addresses(url, time.monotonic() + self._seconds)

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """One exchange. Redirects are not followed: the answer says 3xx.

        Raises Undeliverable for a refused address, Unavailable where nothing answers in time.
        """
        until = time.monotonic() + self._seconds
        parts = urlsplit(url)
        host, port, addresses = self._addresses(url, until)
        tls = self._tls if parts.scheme == "https" else None
        connection = _Connection(host, port, addresses, tls, until)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            with _aborted(connection, until):
                connection.request("POST", target, body, {"User-Agent": "Tickler", **headers})
                answer = connection.getresponse()
                if time.monotonic() >= until:
                    raise TimeoutError  # to http.client, headers that were cut off are whole
                return Answer(answer.status, _delay(answer.headers.get("Retry-After")))
        except ssl.SSLCertVerificationError as error:
            raise Unavailable(f"{host}: its certificate does not hold: {error.verify_message}"[:300]) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            if time.monotonic() >= until:
                raise Unavailable(f"{host} did not answer within {self._seconds:g} seconds") from error
            raise Unavailable(f"{host} does not answer: {_said(error)}") from error
        finally:
            connection.close()

    def _addresses(self, url: str, until: float) -> tuple[str, int, list[str]]:
        """Host, port and the addresses to try. Raises Undeliverable or Unavailable."""
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
        if not host or parts.scheme not in ("https", "http"):
            raise Undeliverable("not an https URL")
        addresses = self._resolved(host, port, until)
        for address in addresses:
            if not self.allow_private and not is_public(address):
                raise Undeliverable("the address is not a public one")
        loopback = all(ipaddress.ip_address(address.partition("%")[0]).is_loopback for address in addresses)
        if parts.scheme == "http" and not (self.allow_private and loopback):
            raise Undeliverable("not an https URL")
        return host, port, addresses

    def _resolved(self, host: str, port: int, until: float) -> list[str]:
        """getaddrinfo knows no deadline, so a thread waits for it."""
        outcome: list[list[str] | OSError] = []

        def work() -> None:
            try:
                outcome.append(self._resolve(host, port))
            except (OSError, UnicodeError) as error:
                outcome.append(error if isinstance(error, OSError) else OSError(str(error)))

        thread = threading.Thread(target=work, name="resolve", daemon=True)
        thread.start()
        thread.join(max(0.0, until - time.monotonic()))
        if not outcome or isinstance(outcome[0], OSError) or not outcome[0]:
            raise Unavailable(f"{host} does not resolve")
        return outcome[0]


class _Connection(http.client.HTTPConnection):
    """To one of the given addresses, whatever the host's name resolves to by now."""

    def __init__(self, host: str, port: int, addresses: list[str], tls: ssl.SSLContext | None, until: float) -> None:
        super().__init__(host, port)
        self.default_port = 443 if tls else 80  # decides whether Host names the port
        self._addresses = addresses
        self._tls = tls
        self._until = until

    def connect(self) -> None:
        """Tries each address in the time that is left. Raises OSError."""
        failure: OSError = TimeoutError("no time left")
        for address in self._addresses:
            left = self._until - time.monotonic()
            if left <= 0:
                break
            try:
                plain = socket.create_connection((address, self.port), timeout=left)
            except OSError as error:
                failure = error
                continue
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sock = plain
            if self._tls is not None:
                self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)
            return
        raise failure


@contextlib.contextmanager
def _aborted(connection: _Connection, until: float) -> Iterator[None]:
    """Cuts the connection at `until`: a socket's own timeout starts anew with every byte that a slow peer sends."""

    def cut() -> None:
        if connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(0.0, until - time.monotonic()), cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _delay(value: str | None) -> float | None:
    """Retry-After (RFC 9110 section 10.2.3) in seconds; its date form is not read."""
    return float(value) if value is not None and value.isascii() and value.isdigit() and len(value) < 10 else None


def _said(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
