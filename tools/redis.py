"""Redis: a server from PATH, which the virtual environment's wheel is on, and whether one answers."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import redis

from tools.console import OperatorError
from tools.options import LOOPBACK
from tools.processes import Supervisor

NAME = "redis"
_MEND = "correct it, or unset TICKLER_REDIS_URL to have one started"
SETTINGS = ("--appendonly", "yes", "--save", "")
"""Every write goes to a log, and no snapshots beside it."""


def start(supervisor: Supervisor, data: Path, env: Mapping[str, str], port: int) -> str:
    """Starts the server on `<data>/redis`, made when absent; returns its URL."""
    program = shutil.which("redis-server", path=env.get("PATH"))
    if program is None:
        raise OperatorError(
            "redis-server is not on PATH; install Redis, or set TICKLER_REDIS_URL to a Redis of your own"
        )
    folder = data / "redis"
    folder.mkdir(exist_ok=True)
    command: list[str | Path] = [program, "--port", str(port), "--bind", LOOPBACK, "--dir", folder, *SETTINGS]
    supervisor.start(NAME, command, env=env, cwd=folder)
    supervisor.until(lambda: answers(port), what="Redis did not start", timeout=120)
    return f"redis://{LOOPBACK}:{port}"


def answers(port: int) -> bool:
    """True when the server at the loopback port serves: after a crash it reads its log first."""
    try:
        return _ping(f"redis://{LOOPBACK}:{port}", seconds=1)
    except redis.RedisError:
        return False


def check(url: str) -> None:
    """OperatorError unless the Redis that the operator named answers. Never shows the password."""
    try:
        _ping(url, seconds=5)
    except ValueError:
        raise OperatorError(f"TICKLER_REDIS_URL is not a URL (redis://:password@host:6379); {_MEND}") from None
    except redis.RedisError as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise OperatorError(f"Redis of TICKLER_REDIS_URL does not answer: {reason}; {_MEND}") from None


def _ping(url: str, *, seconds: float) -> bool:
    with redis.Redis.from_url(url, socket_connect_timeout=seconds, socket_timeout=seconds) as client:
        return bool(client.ping())
