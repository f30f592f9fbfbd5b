"""Fixtures: a database with the schema for each test, on the server that tests of the store have."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from functions.store.database import Database
from tests.series.support import Household
from tests.store.conftest import NewDatabase, new_database, server

__all__ = ["new_database", "server"]


def dropping(server: Callable[[str], str], url: str) -> Iterator[str]:
    """The URL of a database, which is dropped after its use: some of them are large."""
    yield url
    name = sql.Identifier(str(conninfo_to_dict(url)["dbname"]))
    with psycopg.connect(server("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(name))


@pytest.fixture
def url(server: Callable[[str], str], new_database: NewDatabase) -> Iterator[str]:
    yield from dropping(server, new_database(migrated=True))


@pytest.fixture(scope="module")
def lasting_url(server: Callable[[str], str], new_database: NewDatabase) -> Iterator[str]:
    """One for all tests of a module."""
    yield from dropping(server, new_database(migrated=True))


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
