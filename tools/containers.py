"""Kafka, Redis and PostgreSQL as Docker containers, reachable from this machine only.

Their names and volumes belong to the data folder: the next run replaces what a killed one left, and finds its data
(`docker ps --filter label=tickler`, `docker volume ls --filter name=tickler-`).
"""

import atexit
import base64
import contextlib
import hashlib
import ipaddress
import logging
import os
import secrets
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import psycopg
from docker.errors import DockerException, NotFound
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.docker_client import DockerClient
from testcontainers.core.exceptions import ContainerStartException

from tools import kafka, redis
from tools.console import OperatorError, Progress, step
from tools.options import LOOPBACK
from tools.processes import Supervisor

IMAGES = {
    kafka.NAME: f"apache/kafka:{kafka.VERSION}",
    redis.NAME: "redis:8-alpine",
    "postgres": "postgres:18-alpine",
}
_GIVEN = {
    kafka.NAME: "TICKLER_KAFKA_BROKERS",
    redis.NAME: "TICKLER_REDIS_URL",
    "postgres": "TICKLER_DATABASE_URL",
}
_ANSWER_SECONDS = 3
_STOP_SECONDS = 20
_FAILURES = (DockerException, OSError)
"""What docker-py raises: its own, and those of the HTTP client below it, which are OSErrors."""

logging.getLogger("testcontainers").setLevel(logging.WARNING)
testcontainers_config.ryuk_disabled = True  # a further image; here names tell what a killed run left


def answers() -> bool:
    """True when a Docker engine of this machine answers; one elsewhere has another loopback address."""
    with contextlib.suppress(*_FAILURES, ValueError):
        client = DockerClient(timeout=_ANSWER_SECONDS).client
        host = urlsplit(client.api.base_url).hostname or "localhost"
        return bool((host == "localhost" or ipaddress.ip_address(host).is_loopback) and client.ping())
    return False


@dataclass(frozen=True)
class _Server:
    """How a container is run. `port` is the one inside."""

    port: int
    volume: str
    command: list[str] | None = None
    env: dict[str, str] = field(default_factory=dict)


class Containers:
    """The containers of a data folder. `name` is kafka, redis or postgres; each start waits until the server serves."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._secret = _secret(data / "containers")
        self._id = hashlib.sha256(self._secret.encode()).hexdigest()
        self._client: Any = DockerClient().client
        self._started: list[DockerContainer] = []

    def kafka(self, supervisor: Supervisor, port: int) -> str:
        """Starts Kafka; returns its brokers, `127.0.0.1:port`."""
        folder = "/var/lib/kafka/data"
        settings = kafka.server_settings(port, _other(port), folder, listen="0.0.0.0")
        env = {f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in settings.items()}
        cluster = base64.urlsafe_b64encode(bytes.fromhex(self._id[:32])).decode().rstrip("=")
        server = _Server(port, folder, env={**env, "CLUSTER_ID": cluster, "KAFKA_HEAP_OPTS": kafka.HEAP})
        self._start(supervisor, kafka.NAME, server, port, kafka.probe(port))
        return f"{LOOPBACK}:{port}"

    def redis(self, supervisor: Supervisor, port: int) -> str:
        """Starts Redis; returns its URL."""
        command = ["redis-server", *redis.SETTINGS, "--protected-mode", "no"]  # it is published on loopback only
        server = _Server(6379, "/data", command)
        self._start(supervisor, redis.NAME, server, port, lambda: redis.answers(port))
        return f"redis://{LOOPBACK}:{port}"

    def postgres(self, supervisor: Supervisor, port: int) -> str:
        """Starts PostgreSQL; returns the URL of its database, with its password.

        The collation is the server's own C.UTF-8, as that of the embedded one.
        """
        url = f"postgresql://postgres:{self._secret}@{LOOPBACK}:{port}/tickler"
        env = {
            "POSTGRES_PASSWORD": self._secret,
            "POSTGRES_DB": "tickler",
            "POSTGRES_INITDB_ARGS": "--encoding=UTF8 --locale=C --locale-provider=builtin --builtin-locale=C.UTF-8",
        }
        command = ["postgres", "-c", "max_connections=300", "-c", "timezone=UTC"]
        server = _Server(5432, "/var/lib/postgresql", command, env)
        self._start(supervisor, "postgres", server, port, lambda: _connects(url))
        return url

    def kill(self, name: str) -> None:
        """SIGKILL for a server, which then stays down."""
        self._client.containers.get(self.container(name)).kill()

    def restart(self, name: str) -> None:
        """Starts one that was killed, at the same port; it is up some time later."""
        self._client.containers.get(self.container(name)).start()

    def container(self, name: str) -> str:
        """The name of a server's container and of its volume."""
        return f"tickler-{self._id[:12]}-{name}"

    def stop(self) -> None:
        """Stops and removes what this object started, the last first. The volumes stay."""
        while self._started:
            container = self._started.pop()
            with contextlib.suppress(*_FAILURES, ContainerStartException):  # the latter: it was never made
                container.get_wrapped_container().stop(timeout=_STOP_SECONDS)
                container.stop()

    def _start(self, supervisor: Supervisor, name: str, server: _Server, port: int, serves: Callable[[], bool]) -> None:
        image = IMAGES[name]
        container = DockerContainer(
            image,
            name=self.container(name),
            env=server.env,
            volumes=[(self.container(name), server.volume, "rw")],
            labels={"tickler": str(self._data)},
            restart_policy={"Name": "on-failure", "MaximumRetryCount": 5},
        )
        if server.command:
            container.with_command(server.command)
        # Its with_bind_ports would publish on every address.
        cast(dict[str, Any], container.ports)[f"{server.port}/tcp"] = (LOOPBACK, port)
        otherwise = f"or set {_GIVEN[name]} to one of your own, or TICKLER_CONTAINERS=never to do without Docker"
        try:
            self._replace(name)
            self._pull(supervisor, container.image, otherwise)
            if not self._started:
                atexit.register(self.stop)
            self._started.append(container)
            container.start()
        except _FAILURES as error:
            raise OperatorError(f"Docker cannot start {image}: {_line(error)}; mend that, {otherwise}") from None

        def serves_unless_ended() -> bool:
            wrapped = container.get_wrapped_container()
            wrapped.reload()
            if wrapped.status == "exited":
                said: Sequence[str] = wrapped.logs(tail=1).decode(errors="replace").split("\n")
                raise OperatorError(f"{image} ended: {said[0].strip()[:300]}; mend that, {otherwise}")
            return serves()

        supervisor.until(serves_unless_ended, what=f"{image} did not answer", timeout=300)

    def _replace(self, name: str) -> None:
        """Removes the container that a killed run left."""
        with contextlib.suppress(NotFound):
            left = self._client.containers.get(self.container(name))
            left.stop(timeout=_STOP_SECONDS)
            left.remove()

    def _pull(self, supervisor: Supervisor, image: str, otherwise: str) -> None:
        with contextlib.suppress(NotFound):
            self._client.images.get(image)
            return
        step(f"Docker pulls {image}")
        failure: list[str] = []

        def pull() -> None:
            try:
                self._client.images.pull(image)
            except _FAILURES as error:
                failure.append(_line(error))

        thread = threading.Thread(target=pull, daemon=True)
        thread.start()
        progress = Progress(f"Docker pulls {image}")
        while thread.is_alive():
            supervisor.check()
            progress.tick()
            thread.join(0.1)
        if failure:
            raise OperatorError(f"Docker has no image {image} and cannot pull it: {failure[0]}; mend that, {otherwise}")


def _secret(file: Path) -> str:
    """What the volumes are named after and PostgreSQL's password, made at first use: it goes with the data folder."""
    with contextlib.suppress(FileNotFoundError):
        return file.read_text()
    made = secrets.token_hex(16)
    with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False) as draft:  # mode 0600
        draft.write(made)
    os.replace(draft.name, file)
    return made


def _other(port: int) -> int:
    return port + 1 if port < 65535 else port - 1


def _connects(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _line(error: Exception) -> str:
    explanation = getattr(error, "explanation", None) or str(error) or type(error).__name__
    return " ".join(str(explanation).split())[:300]
