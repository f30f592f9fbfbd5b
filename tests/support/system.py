"""The product as a user starts it: `python -m tools.run`, with a port and a data folder of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import grpc
import psutil
import psycopg
from dapr.proto import api_service_v1
from psycopg.rows import dict_row

from tests.support.client import Client, Json
from tests.support.tokens import SignedIn
from tests.support.waiting import eventually
from tools.containers import Containers
from tools.mail import Mail, read
from tools.stack import Mode

REPOSITORY = Path(__file__).parents[2]
START_SECONDS = 120.0
STOP_SECONDS = 40.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class _Shows(grpc.UnaryUnaryClientInterceptor):
    """Shows a sidecar's API token with every call."""

    def __init__(self, token: str) -> None:
        self._token = token

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return continuation(details._replace(metadata=(("dapr-api-token", self._token),)), request)


class System:
    """One system with a data folder of its own, which keeps its port and data over restarts."""

    started: ClassVar[list[System]] = []
    """Those that run now, whose logs a failing test shows."""

    def __init__(
        self, env: Mapping[str, str] | None = None, *, mode: Mode = "embedded", root: Path = REPOSITORY
    ) -> None:
        """`root` is the checkout that it is started from."""
        self._command = [sys.executable, "-m", "tools.run", *(["kafka"] if mode == "kafka" else [])]
        self._root = root
        # Below /tmp, whatever TMPDIR says: a Unix socket's path is 104 bytes at most.
        self.data = Path(tempfile.mkdtemp(prefix="tickler-test-", dir="/tmp"))
        self.data.chmod(0o755)  # PostgreSQL runs as another user where the tests run as root
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._env = {
            **{name: value for name, value in os.environ.items() if name != "MAKELEVEL"},
            "TICKLER_PORT": str(self.port),
            "TICKLER_DATA": str(self.data),
            **(env or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._family: set[psutil.Process] = set()
        self._connection: psycopg.Connection[Json] | None = None

    # Start and stop.

    def start(self) -> None:
        """Starts it and waits for its line with `ready`."""
        output = self.data / "output.txt"
        with output.open("ab") as file:
            file.truncate(0)
            self._process = subprocess.Popen(
                self._command,
                cwd=self._root,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.started.append(self)
        process = self._process
        try:
            eventually(
                lambda: process.poll() is not None or "ready" in self.output,
                timeout=START_SECONDS,
                what="the system prints `ready`",
            )
            assert process.poll() is None, f"the system ended: {self.output}"
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log_tails()}") from None
        self._family = set(psutil.Process(process.pid).children(recursive=True))

    def stop(self) -> None:
        """Stops it as Ctrl-C does; AssertionError if that fails, or leaves a process."""
        assert self._process is not None
        assert self._process.poll() is None, f"it had ended by itself: {self.output}"
        family = self._family | set(psutil.Process(self._process.pid).children(recursive=True))
        self._process.send_signal(signal.SIGINT)
        try:
            status = self._process.wait(STOP_SECONDS)
        finally:
            left = self._sweep(family)
        assert status == 0, f"it ended with status {status}: {self.output}"
        assert not left, f"left behind: {left}"

    def wait_ended(self) -> int:
        """Waits until the supervisor has given up by itself, because a part of it died; its exit status."""
        assert self._process is not None
        status = self._process.wait(STOP_SECONDS)
        left = self._sweep(self._family)
        assert not left, f"left behind: {left}"
        return status

    def kill(self, name: str) -> None:
        """`kill -9` of one part: postgres, mail, functions, daprd, edge; or `supervisor`, the process over them.

        On Kafka, where what ended starts again: a function by its app-id, its sidecar (`<app-id>-daprd`), kafka, redis.
        What a killed supervisor leaves is for its next start to stop.
        """
        if name in ("kafka", "redis", "postgres") and name not in self._children():  # it is a container
            containers = Containers(self.data)
            containers.kill(name)
            containers.restart(name)
            return
        os.kill(self.pid(name), signal.SIGKILL)
        if name == "supervisor":
            assert self._process is not None
            self._process.wait()
            self.started.remove(self)

    @classmethod
    @contextlib.contextmanager
    def running(cls, **given: Any) -> Iterator[System]:
        """One that is started, and at the end stopped as Ctrl-C stops it; nothing is left after a failure either."""
        system = cls(**given)
        try:
            system.start()
            yield system
            system.stop()
        finally:
            system.discard()

    def discard(self) -> None:
        """Ends whatever is left and removes the data: for the end of a test that may have failed anywhere."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            self._process.wait()
        self._sweep(self._family, patience=0)
        shutil.rmtree(self.data, ignore_errors=True)

    def _sweep(self, family: set[psutil.Process], patience: float = 5) -> list[str]:
        """Kills what still lives of a stopped system, and says what that was."""
        if self in self.started:
            self.started.remove(self)
        _, alive = psutil.wait_procs(family, timeout=patience)
        alive += [process for process in psutil.process_iter() if self._owns(process)]
        names = []
        for process in set(alive):
            with contextlib.suppress(psutil.Error):
                names.append(f"{process.pid} {' '.join(process.cmdline())[:200]}")
                process.kill()
        return names

    def _owns(self, process: psutil.Process) -> bool:
        if process.pid == os.getpid():
            return False
        with contextlib.suppress(psutil.Error, OSError):
            return process.environ().get("TICKLER_DATA") == str(self.data) or any(
                str(self.data) in argument for argument in process.cmdline()
            )
        return False

    # What it is made of.

    @property
    def run(self) -> Json:
        """run.json: what the supervisor says of this run."""
        facts: Json = json.loads((self.data / "run.json").read_text())
        return facts

    def pid(self, name: str) -> int:
        if name == "supervisor":
            assert self._process is not None
            return self._process.pid
        return self._children()[name]

    def _children(self) -> dict[str, int]:
        """Their pids by their names."""
        return {child["name"]: int(child["pid"]) for child in self.run["children"]}

    @property
    def output(self) -> str:
        return (self.data / "output.txt").read_text(errors="replace")

    def processes(self) -> set[psutil.Process]:
        """The supervisor and all that it started."""
        supervisor = psutil.Process(self.pid("supervisor"))
        return {supervisor, *supervisor.children(recursive=True)}

    def send(self, request: bytes) -> bytes:
        """What the edge answers to these bytes, until it closes the connection or is silent for 0.3 seconds."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=0.3) as connection:
            connection.sendall(request)
            answer = b""
            with contextlib.suppress(TimeoutError, ConnectionError):
                while part := connection.recv(65536):
                    answer += part
            return answer

    def client(self, user: str | None, headers: Mapping[str, str] | None = None) -> Client:
        """A client of a user whom this name means; None sends no token."""
        return Client(self.url, user, headers, None if user is None else self.signed_in(user))

    def signed_in(self, user: str) -> SignedIn:
        """Tokens for a user, by the keys with which this system signs them."""
        caller = Client(self.url, user)
        name = self._env.get("TICKLER_HOSTNAME")
        issuer = f"https://{name}:{self.port}" if name else self.url
        return SignedIn(self.data, issuer, caller.user_id, user, caller.email)

    def sql(self, query: str, *params: Any) -> list[Json]:
        """The rows of a statement on its database."""
        for kept in (self._connection, None):
            if kept is None:
                url = self.run["database_url"]
                kept = psycopg.connect(url, autocommit=True, row_factory=dict_row, connect_timeout=5)
            self._connection = kept
            with contextlib.suppress(psycopg.OperationalError):
                cursor = kept.execute(query.encode(), params)
                return cursor.fetchall() if cursor.description else []
            kept.close()
        raise AssertionError("the database does not answer")

    @property
    def mail(self) -> Path:
        """The Maildir of the local mail sink."""
        return self.data / "mail"

    def mails(self, address: str) -> list[Mail]:
        """The mails that the sink has for an address, in the order in which they came."""
        return [mail for mail in read(self.mail) if address in mail.recipients]

    @property
    def publisher(self) -> str:
        """The app-id of a function whose sidecar may publish on every topic."""
        return "tickler" if "tickler" in self.run["apps"] else "publish-outbox"

    @contextlib.contextmanager
    def sidecar(self, app_id: str, token: str | None = None) -> Iterator[api_service_v1.DaprStub]:
        """The gRPC API of an app's sidecar, as the app uses it, or with another token ("": none)."""
        app = self.run["apps"][app_id]
        token = app["api_token"] if token is None else token
        with grpc.insecure_channel(f"127.0.0.1:{app['grpc']}") as channel:
            shown = grpc.intercept_channel(channel, _Shows(token)) if token else channel
            yield api_service_v1.DaprStub(shown)  # type: ignore[no-untyped-call]  # generated code

    def log(self, name: str) -> list[str]:
        """The lines that a part has logged since it started; `functions`, `daprd`: all of them, wherever each runs."""
        apps = sorted(self.run["apps"].keys() - {"tickler", "gateway"})
        parts = {"functions": apps, "daprd": [f"{app}-daprd" for app in apps]}.get(name) or [name]
        texts = [(self.data / "logs" / f"{part}.log").read_text(errors="replace") for part in parts]
        return [line for text in texts for line in text.splitlines()]

    def log_tails(self, lines: int = 12) -> str:
        """The end of everything that the system said."""
        said = {"output": self.output if (self.data / "output.txt").exists() else ""}
        for file in sorted((self.data / "logs").glob("*.log*")):
            said[file.name] = file.read_text(errors="replace")
        return "\n".join(
            f"--- {name}\n" + "\n".join(line[:300] for line in text.splitlines()[-lines:])
            for name, text in said.items()
        )
