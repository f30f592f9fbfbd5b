"""The servers that the product stands on, each by one rule: the one that the environment names, else a container where
Docker answers, else a process of this machine.

    TICKLER_KAFKA_BROKERS (host:port,...), TICKLER_REDIS_URL, TICKLER_DATABASE_URL   name one
    TICKLER_CONTAINERS (auto; never)                                                 whether Docker is asked
"""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tools import kafka, postgres, redis
from tools.console import OperatorError, shown, step
from tools.ports import free_ports
from tools.processes import Supervisor

if TYPE_CHECKING:
    from tools.containers import Containers


class Servers:
    """Starts what is not given, and answers where it is. Containers are stopped by `stop`, and at the end of Python."""

    def __init__(self, supervisor: Supervisor, data: Path, env: Mapping[str, str]) -> None:
        self._supervisor, self._data, self._env = supervisor, data, env

    @cached_property
    def containers(self) -> "Containers | None":
        """The containers of the data folder; None where there are to be none."""
        choice = self._env.get("TICKLER_CONTAINERS") or "auto"
        if choice not in {"auto", "never"}:
            raise OperatorError(f"TICKLER_CONTAINERS is {choice!r}; it must be auto or never")
        if choice == "never":
            return None
        from tools import containers  # half a second, only where it is wanted

        return containers.Containers(self._data) if containers.answers() else None

    def kafka(self) -> str:
        """Kafka's brokers: host:port[,host:port]."""
        if given := self._env.get("TICKLER_KAFKA_BROKERS"):
            step("Kafka of TICKLER_KAFKA_BROKERS")
            kafka.check(given)
            return given
        (port,) = free_ports(1)
        if self.containers:
            step("Kafka in a container")
            return self.containers.kafka(self._supervisor, port)
        step(f"Kafka in {shown(self._data / 'kafka')}")
        return kafka.start(self._supervisor, self._data, self._env, port)

    def redis(self) -> str:
        """The URL of Redis: redis://[:password@]host:port."""
        if given := self._env.get("TICKLER_REDIS_URL"):
            step("Redis of TICKLER_REDIS_URL")
            redis.check(given)
            return given
        (port,) = free_ports(1)
        if self.containers:
            step("Redis in a container")
            return self.containers.redis(self._supervisor, port)
        step(f"Redis in {shown(self._data / 'redis')}")
        return redis.start(self._supervisor, self._data, self._env, port)

    def postgres(self) -> str:
        """The URL of PostgreSQL's database."""
        if given := self._env.get("TICKLER_DATABASE_URL"):
            step("PostgreSQL of TICKLER_DATABASE_URL")
            postgres.check(given)
            return given
        if self.containers:
            (port,) = free_ports(1)
            step("PostgreSQL in a container")
            return self.containers.postgres(self._supervisor, port)
        first = "" if (self._data / "postgres").exists() else " (the first time takes some seconds more)"
        step(f"PostgreSQL in {shown(self._data / 'postgres')}{first}")
        return postgres.start(self._supervisor, self._data, self._env)

    def stop(self) -> None:
        """Stops the containers; what are processes, the supervisor stops."""
        if containers := self.__dict__.get("containers"):  # the cached property, where it was asked for
            containers.stop()
