"""A PostgreSQL for the session, and a fresh migrated database for each module."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from functions.store.devices import Devices
from functions.store.migrate import migrate
from functions.store.users import Users
from functions.tasks.models import Caller
from tests.store.notices import Case
from tests.store.world import World
from tools import postgres
from tools.processes import Supervisor

NewDatabase = Callable[..., str]

_MIGRATED = "migrated"
_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[Callable[[str], str]]:
    """The embedded PostgreSQL, that keeps nothing after the session; gives the URL of a database of it."""
    # Below /tmp, whatever TMPDIR says: a Unix socket's path is 104 bytes at most.
    folder = Path(tempfile.mkdtemp(prefix="tickler-store-", dir="/tmp"))
    folder.chmod(0o755)  # PostgreSQL runs as another user where the tests run as root
    supervisor = _supervisor(folder)
    try:
        url = postgres.start(supervisor, folder, os.environ)
        with psycopg.connect(url, autocommit=True) as connection:
            for setting in ("fsync", "full_page_writes", "synchronous_commit"):
                connection.execute(sql.SQL("alter system set {} = off").format(sql.Identifier(setting)))
            connection.execute("select pg_reload_conf()")
        yield lambda name: url.replace("/tickler?", f"/{name}?")
    finally:
        supervisor.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _supervisor(logs: Path) -> Supervisor:
    """One that leaves Ctrl-C to pytest."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        return Supervisor(logs)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@pytest.fixture(scope="session")
def new_database(server: Callable[[str], str]) -> NewDatabase:
    """Makes a database: an empty one, or with `migrated=True` one with this version's schema."""

    def create(name: str, template: str) -> str:
        with psycopg.connect(server("postgres"), autocommit=True) as connection:
            # As tools/postgres.py does: sorting and case do not depend on the machine's locales.
            connection.execute(
                sql.SQL(
                    "create database {} template {} encoding 'UTF8' locale_provider builtin"
                    " builtin_locale 'C.UTF-8' locale 'C'"
                ).format(sql.Identifier(name), sql.Identifier(template))
            )
        return server(name)

    migrate(create(_MIGRATED, "template0"))

    def new(*, migrated: bool = False) -> str:
        return create(f"test_{next(_NUMBERS)}", _MIGRATED if migrated else "template0")

    return new


@pytest.fixture(scope="module")
def world(new_database: NewDatabase) -> Iterator[World]:
    """The store on a database that no other module has."""
    with World(new_database(migrated=True)) as made:
        yield made


@pytest.fixture
def devices(world: World) -> Devices:
    return world.devices


@pytest.fixture
def users(world: World) -> Users:
    return world.users


@pytest.fixture
def caller(world: World) -> Caller:
    """A user of the test's own, whom the store knows."""
    caller = world.user(f"{uuid4().hex[:8]}@example.org")
    world.rows(
        "insert into users (user_id, name, email) values (%s, %s, %s)", caller.user_id, caller.name, caller.email
    )
    return caller


@pytest.fixture
def case(world: World, caller: Caller) -> Case:
    return Case(world.database, caller)
