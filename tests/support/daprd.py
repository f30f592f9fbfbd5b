"""A daprd of a test's own: without an app, with the component files that the test gives it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from functions.runtime.settings import Settings
from functions.runtime.sidecar import Sidecar
from tests.support.waiting import eventually
from tools import sidecar
from tools.daprd import obtain
from tools.options import LOOPBACK
from tools.stack import free_ports

START_SECONDS = 40.0


@dataclass(frozen=True)
class Daprd:
    process: subprocess.Popen[bytes]
    http_port: int
    grpc_port: int
    log: Path

    def client(self) -> Sidecar:
        """The sidecar as a function sees it, over a connection of its own."""
        return Sidecar(Settings(dapr_grpc_port=self.grpc_port))

    def ready(self) -> bool:
        """Whether every component is loaded."""
        assert self.process.poll() is None, f"daprd ended: {self.tail()}"
        return sidecar.get(self.http_port, "/v1.0/healthz/outbound")[0] == 204

    def refuses_to_start(self) -> str:
        """Waits until it has given up, and says the end of its log."""
        eventually(lambda: self.process.poll() is not None, timeout=START_SECONDS, what="daprd ends")
        return self.tail()

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]


@contextlib.contextmanager
def start_daprd(
    app_id: str, files: Iterable[Path], folder: Path, env: Mapping[str, str] | None = None
) -> Iterator[Daprd]:
    """Starts one with these component files, in a folder of its own; it is not ready yet."""
    home = folder / app_id
    resources = home / "resources"
    resources.mkdir(parents=True)
    for file in files:
        shutil.copy(file, resources)
    http_port, grpc_port, internal, metrics = free_ports(4)
    command: list[str | Path] = [obtain(), "--app-id", app_id, "--resources-path", resources, "--log-as-json"]
    for flag in ("--dapr-listen-addresses", "--dapr-internal-grpc-listen-address", "--metrics-listen-address"):
        command += [flag, LOOPBACK]
    for flag, port in (
        ("--dapr-http-port", http_port),
        ("--dapr-grpc-port", grpc_port),
        ("--dapr-internal-grpc-port", internal),
        ("--metrics-port", metrics),
    ):
        command += [flag, str(port)]
    command += ["--placement-host-address", "", "--scheduler-host-address", "", "--disable-builtin-k8s-secret-store"]
    command += ["--dapr-graceful-shutdown-seconds", "1"]
    log = home / "daprd.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **(env or {})},
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Daprd(process, http_port, grpc_port, log)
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def running_daprd(
    app_id: str, files: Iterable[Path], folder: Path, env: Mapping[str, str] | None = None
) -> Iterator[Daprd]:
    """The same, once it is ready."""
    with start_daprd(app_id, files, folder, env) as daprd:
        eventually(daprd.ready, timeout=START_SECONDS, what=f"the sidecar of {app_id} is ready")
        yield daprd
