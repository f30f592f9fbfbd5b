"""A Redis that a test takes down."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import redis

from tests.support.waiting import eventually
from tools.options import LOOPBACK
from tools.stack import free_ports


class RedisServer:
    """On a fixed port, with nothing on disk: a restart begins empty."""

    def __init__(self, folder: Path) -> None:
        (self._port,) = free_ports(1)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.address = f"{LOOPBACK}:{self._port}"
        self.client = redis.Redis(LOOPBACK, self._port, socket_timeout=2)

    def start(self) -> None:
        installed = shutil.which("redis-server") or Path(sys.executable).parent / "redis-server"
        command = [installed, "--port", str(self._port), "--bind", LOOPBACK, "--save", "", "--dir", self._folder]
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
