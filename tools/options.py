"""What the operator chose by environment variables."""

import contextlib
import errno
import ipaddress
import os
import re
import socket
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tools.console import REPOSITORY, OperatorError

LOOPBACK = "127.0.0.1"
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOSTNAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*", re.ASCII | re.IGNORECASE)
"""RFC 1123 section 2.1."""


@dataclass(frozen=True)
class Options:
    """What the operator chose by environment variables."""

    host: str
    port: int
    data: Path
    smtp_host: str | None
    hostname: str = ""
    """Where it is set, the edge speaks TLS and answers to this name only."""
    issuer: Literal["acme", "internal"] = "acme"
    """Who signs its certificate: Let's Encrypt, or Caddy's own authority."""

    @classmethod
    def from_environment(cls) -> "Options":
        """Reads the variables; OperatorError for a value that cannot be."""
        port = os.environ.get("TICKLER_PORT") or "8080"
        if not port.isdecimal() or int(port) > 65535:
            raise OperatorError(f"TICKLER_PORT is {port!r}; it must be a number from 0 to 65535")
        hostname, tls = (os.environ.get(name) or "" for name in ("TICKLER_HOSTNAME", "TICKLER_TLS"))
        if hostname and not _HOSTNAME.fullmatch(hostname):
            raise OperatorError(f"TICKLER_HOSTNAME is {hostname!r}; it must be a name like tasks.example.org")
        if tls not in ("", "acme", "internal"):
            raise OperatorError(f"TICKLER_TLS is {tls!r}; it must be acme or internal")
        if tls and not hostname:
            raise OperatorError("TICKLER_TLS needs the name that the certificate is for: set TICKLER_HOSTNAME, too")
        return cls(
            host=os.environ.get("TICKLER_HOST") or LOOPBACK,
            port=int(port),
            data=Path(os.environ.get("TICKLER_DATA") or REPOSITORY / ".tickler").resolve(),
            smtp_host=os.environ.get("TICKLER_SMTP_HOST") or None,
            hostname=hostname,
            issuer="internal" if tls == "internal" else "acme",
        )

    def with_port(self, port: int) -> "Options":
        """The same with another port."""
        return replace(self, port=port)

    def url(self) -> str:
        """Where the product is to be found."""
        if self.hostname:
            return f"https://{self.hostname}" + (f":{self.port}" if self.port != 443 else "")
        host = self.address()
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def address(self) -> str:
        """Where this machine reaches the edge."""
        return {"0.0.0.0": LOOPBACK, "::": "::1"}.get(self.host, self.host)

    def edge_environment(self) -> dict[str, str]:
        """What components/edge/Caddyfile reads of it."""
        if not self.hostname:
            hosts = {} if self.is_loopback() else {"TICKLER_HOSTS": ".*"}
            return {"TICKLER_SITE": f"http://:{self.port}", **hosts}
        redirects = self.issuer == "acme" and self.port == 443
        return {
            # The second address, which has no certificate, is for other names in Host: they get a 421.
            "TICKLER_SITE": f"https://{self.hostname}:{self.port}, https://:{self.port}",
            "TICKLER_HOSTS": rf"^{re.escape(self.hostname)}(:\d+)?$",
            "TICKLER_CERT_ISSUER": self.issuer,
            "TICKLER_AUTO_HTTPS": "ignore_loaded_certs" if redirects else "disable_redirects",
        }

    def is_private(self) -> bool:
        """True when only who is on this machine is meant to come: a host name says that others are, through a proxy."""
        return self.is_loopback() and not self.hostname

    def is_loopback(self) -> bool:
        """True when only this machine can reach the edge."""
        with contextlib.suppress(ValueError):
            return ipaddress.ip_address(self.host).is_loopback
        return self.host == "localhost"


def check_port(host: str, port: int) -> int:
    """The port, or a free one for 0; OperatorError unless it can be listened at."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen()
            chosen: int = probe.getsockname()[1]
            return chosen
    except OSError as error:
        if error.errno in {errno.EADDRINUSE, errno.EACCES}:
            reason = "in use" if error.errno == errno.EADDRINUSE else "not allowed to you"
            other = port + 1 if 1024 <= port < 65535 else 8081
            raise OperatorError(
                f"port {port} on {host} is {reason}; stop what uses it, or choose another: "
                f"TICKLER_PORT={other} make run"
            ) from error
        raise OperatorError(f"TICKLER_HOST is {host!r}, which is not an address of this machine") from error
