"""`python -m functions.hub`: holds the sockets of open devices, at APP_PORT, until it is told to stop."""

from __future__ import annotations

import gc
import resource
import sys

import uvicorn

from functions.hub.app import make_app
from functions.hub.protocol import Protocol
from functions.runtime.fanout import HUB
from functions.runtime.logs import configure, logger
from functions.runtime.settings import Settings

MAX_MESSAGE = 16 << 10
"""Bytes of what a device may send: a token."""

COLLECTED_AFTER = (50_000, 20, 100)
"""How many allocations, and collections of the younger, make a generation be collected (gc.set_threshold)."""


def main() -> int:
    try:
        settings = Settings()
        app = make_app(settings)
    except ValueError as error:
        print(str(error).splitlines()[0], file=sys.stderr)
        return 2
    configure(settings.log_level)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a socket is a file
    # Sockets live long: to look at all of them for garbage over and over stops each for a quarter of a second.
    gc.set_threshold(*COLLECTED_AFTER)
    logger().info("serving", functions=[HUB], port=settings.app_port)
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.app_port,
        loop="uvloop",
        http="httptools",
        ws=Protocol,
        ws_max_size=MAX_MESSAGE,
        ws_per_message_deflate=False,  # some 100 KB a socket
        ws_ping_interval=None,  # heartbeats do that, and are seen by the device too
        # Its lines have whole URLs, and so tokens; what it says at `warning` does not.
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=max(1, round(settings.grace_seconds)),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
