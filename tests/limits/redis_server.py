"""A Redis that a test takes down, and TLS in front of one."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import redis

from tests.support.waiting import eventually
from tools.options import LOOPBACK
from tools.ports import free_ports


class RedisServer:
    """On a fixed port, with nothing on disk: a restart begins empty."""

    def __init__(self, folder: Path, password: str = "") -> None:
        (self.port,) = free_ports(1)
        self._password = password
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.address = f"{LOOPBACK}:{self.port}"
        self.client = redis.Redis(LOOPBACK, self.port, password=password or None, socket_timeout=2)

    def start(self) -> None:
        installed = shutil.which("redis-server") or Path(sys.executable).parent / "redis-server"
        command: list[str | Path] = [installed, "--port", str(self.port), "--bind", LOOPBACK, "--dir", self._folder]
        command += ["--save", ""]
        if self._password:
            command += ["--requirepass", self._password]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
        )
        eventually(self._answers, what="Redis answers")

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False

    def stop(self) -> None:
        """As a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """It neither answers nor breaks a connection."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def tls_in_front(port: int, context: ssl.SSLContext) -> Iterator[str]:
    """host:port of a server that takes TLS and hands everything on to a loopback port, as managed Redis has it. (The
    Redis of the tests is built without TLS.)"""
    listening: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]] = Future()

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65536):
                target.write(data)
                await target.drain()
        target.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_connection(LOOPBACK, port)
        await asyncio.gather(copy(reader, behind_writer), copy(behind_reader, writer))

    async def listen() -> None:
        stop = asyncio.Event()
        server = await asyncio.start_server(serve, LOOPBACK, 0, ssl=context)
        listening.set_result((asyncio.get_running_loop(), stop, server.sockets[0].getsockname()[1]))
        await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(listen()), daemon=True)
    thread.start()
    loop, stop, chosen = listening.result(10)
    try:
        yield f"{LOOPBACK}:{chosen}"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
