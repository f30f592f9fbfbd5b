"""What the operator chose by environment variables."""

import contextlib
import errno
import ipaddress
import os
import socket
from dataclasses import dataclass, replace
from pathlib import Path

from tools.console import REPOSITORY, OperatorError

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Options:
    """What the operator chose by environment variables."""

    host: str
    port: int
    data: Path
    smtp_host: str | None

    @classmethod
    def from_environment(cls) -> "Options":
        """Reads the variables; OperatorError for a value that cannot be."""
        port = os.environ.get("TICKLER_PORT") or "8080"
        if not port.isdecimal() or int(port) > 65535:
            raise OperatorError(f"TICKLER_PORT is {port!r}; it must be a number from 0 to 65535")
        return cls(
            host=os.environ.get("TICKLER_HOST") or LOOPBACK,
            port=int(port),
            data=Path(os.environ.get("TICKLER_DATA") or REPOSITORY / ".tickler").resolve(),
            smtp_host=os.environ.get("TICKLER_SMTP_HOST") or None,
        )

    def with_port(self, port: int) -> "Options":
        """The same with another port."""
        return replace(self, port=port)

    def url(self) -> str:
        """Where the product is to be found."""
        host = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

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
