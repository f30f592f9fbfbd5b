"""A device's socket, and hubs of a test's own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from functions.runtime.settings import Settings
from functions.runtime.sidecar import Sidecar
from functions.runtime.token_keys import TokenKeys
from functions.runtime.tokens import Tokens
from functions.tasks.accounts import ACCESS_LIFETIME
from functions.tasks.models import Caller
from tests.support.client import Client, Json
from tests.support.system import REPOSITORY, System, free_port
from tests.support.tokens import SignedIn
from tests.support.waiting import eventually

PATH = "/api/ws/tasks"


def token_of(client: Client) -> str:
    auth = client.http.auth
    assert isinstance(auth, SignedIn), "nobody is signed in"
    return auth.token


def address(url: str, **query: Any) -> str:
    """Of the sockets behind an http URL."""
    said = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in query.items() if value is not None)
    site = urlsplit(url)
    return f"ws://{site.netloc}{site.path}{PATH}?{said}"


class Device:
    """One socket. `url` is the edge's or a hub's."""

    def __init__(
        self,
        url: str,
        token: str | None = None,
        after: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        self._connect = connect(
            address(url, token=token, after=after),
            additional_headers=headers,
            compression=None,
            proxy=None,
            open_timeout=20,
            **options,
        )
        self.socket: ClientConnection = self._connect.__enter__()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connect.__exit__(kind, error, trace)

    def say(self, **message: Any) -> None:
        self.socket.send(json.dumps(message))

    def next(self, timeout: float = 15) -> Json:
        """The next message of any kind."""
        message: Json = json.loads(self.socket.recv(timeout))
        return message

    def changes(self, count: int, timeout: float = 15) -> list[Json]:
        """The next changes; heartbeats are passed over."""
        found: list[Json] = []
        while len(found) < count:
            message = self.next(timeout)
            if message["type"] != "heartbeat":
                found.append(message)
        return found

    def ready(self) -> int:
        """Waits for the heartbeat that a socket begins with, once it was told all that it lacked; its seq."""
        while (message := self.next())["type"] != "heartbeat":
            pass
        seq: int = message["latest"]
        return seq

    def closed(self, timeout: float = 15) -> int:
        """The code that the hub closes it with; what comes before that is passed over."""
        try:
            while True:
                self.socket.recv(timeout)
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006


class Hub:
    """A hub beside those of a system, on its database."""

    def __init__(self, system: System, env: Mapping[str, str] | None = None) -> None:
        self._system = system
        self._env = dict(env or {})
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = system.data / "logs" / f"hub-{self.port}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        run = self._system.run
        redis = urlsplit(run["redis_url"]) if "redis_url" in run else None
        env = {
            **os.environ,
            "APP_PORT": str(self.port),
            "TICKLER_AUTH": "local",
            "TICKLER_PORT": str(self._system.port),
            "TICKLER_DATA": str(self._system.data),
            "TICKLER_DATABASE_URL": run["database_url"],
            **({"TICKLER_REDIS_HOST": f"{redis.hostname}:{redis.port}"} if redis else {}),
            **self._env,
        }
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "functions.hub"], cwd=REPOSITORY, env=env, stdout=output, stderr=output
            )
        eventually(self._answers, timeout=60, what="the hub answers")

    def _answers(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return bool(self.health()["status"] == "ok")
        return False

    def health(self) -> Json:
        answer: Json = httpx.get(f"{self.url}/healthz", trust_env=False, timeout=5).json()
        return answer

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def terminate(self) -> int:
        """SIGTERM; its exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(20)

    def discard(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()


@contextlib.contextmanager
def hub(system: System, env: Mapping[str, str] | None = None) -> Iterator[Hub]:
    made = Hub(system, env)
    try:
        made.start()
        yield made
    finally:
        made.discard()


def access_token(system: System, client: Client, seconds: float) -> str:
    """A token of the client's user that holds for so long from now: issued in the past, by the system's own key. The
    leeway that clocks have comes on top."""
    settings = Settings(data=system.data, port=system.port)
    caller = Caller(user_id=client.user_id, name="", sign_in=client.user_id)
    issued = datetime.fromtimestamp(datetime.now(UTC).timestamp() + seconds, UTC) - ACCESS_LIFETIME
    return Tokens(settings, TokenKeys(settings, Sidecar(settings))).issue(caller, issued)
