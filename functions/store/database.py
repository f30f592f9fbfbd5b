"""The connection pool, whose rows a statement sees, and what a failing database means to a caller."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Connection, DataError, OperationalError
from psycopg.errors import QueryCanceled
from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from functions.tasks.errors import InvalidInput, Outage, Unavailable

Row = dict[str, Any]

ATTEMPTS = 3
BACK_OFF = 0.1
"""Seconds before the second attempt; doubled before the third."""

_SAID = "the database does not answer: try again"
_OUTAGES = ("08", "53", "57P", "58")
"""How the SQLSTATE begins of a server that is there and cannot work: its connections, its resources (a full disk), its
starting and stopping, its input and output (https://www.postgresql.org/docs/current/errcodes-appendix.html)."""


@dataclass(frozen=True)
class Scope:
    """Whose rows a statement sees and changes: a setting of its transaction, sent in the same round trip.

    The policies of migration 0006 read it. A connection is `tickler_user`, who without a user's id sees no row.
    """

    setting: bytes
    params: tuple[str, ...] = ()


ALL_USERS = Scope(b"select set_config('role', 'tickler_system', true)")


def one_user(user_id: UUID) -> Scope:
    return Scope(b"select set_config('tickler.user_id', %s, true)", (str(user_id),))


class Database:
    """A pool of autocommit connections: each call is one statement, one transaction and one round trip.

    Every statement is of one user, `of(user_id)`, and then sees no row of another one whatever it says; or it is for
    all users, `system`: what ticks, publishers and consumers of several users' messages do.

    A statement that fails because the connection broke is sent again: every write here is idempotent, also where
    the first one was committed and only its answer lost (it knows its own event again, by an id made before).
    Raises Outage when the database does not answer, another Unavailable when it answers and cannot do this in time,
    and InvalidInput for a value that PostgreSQL cannot hold.
    """

    def __init__(self, url: str, *, size: int = 20, timeout: float = 5.0, notifies: bool = False) -> None:
        """`size` connections at most; a call waits `timeout` seconds for one. With `notifies` each commit tells those
        who listen (listening.py) of what it appended to a change log."""
        self.on_change: Callable[[Iterable[UUID]], None] = lambda users: None
        """Called after a commit that appended to these users' change logs."""
        self._pool: ConnectionPool[Connection[DictRow]] = ConnectionPool(
            url,
            min_size=1,
            max_size=size,
            timeout=timeout,
            open=False,
            name="tickler",
            kwargs={
                "autocommit": True,
                "row_factory": dict_row,
                "prepare_threshold": 2,
                "connect_timeout": 5,
                "options": "-c role=tickler_user -c timezone=UTC -c statement_timeout=30s"
                + (" -c tickler.notifies=on" if notifies else ""),
            },
        )

    def open(self) -> None:
        """Begins to connect, in the background: a database that is down yet is no reason not to start."""
        self._pool.open(wait=False)

    def close(self) -> None:
        self._pool.close()

    def of(self, user_id: UUID) -> Statements:
        """Statements of one user."""
        return Statements(self, one_user(user_id))

    @property
    def system(self) -> Statements:
        """Statements for all users; each place that makes one is listed in tests/store/test_isolation.py."""
        return Statements(self, ALL_USERS)

    def run(self, scope: Scope, query: str, params: Row | Sequence[Any]) -> list[Row]:
        """The rows of one statement."""
        pause = BACK_OFF
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self._pool.connection() as connection:
                    with connection.pipeline():
                        connection.execute(scope.setting, scope.params)
                        cursor = connection.execute(query.encode(), params)
                    return cursor.fetchall() if cursor.description else []
            except (DataError, UnicodeEncodeError) as error:
                # No attempt can succeed. Validation should have named the field; this is what is behind it.
                raise InvalidInput("body", "has a value that cannot be stored") from error
            except PoolTimeout as error:
                raise Outage(_SAID) from error
            except QueryCanceled as error:
                raise Unavailable(_SAID) from error
            except OperationalError as error:
                if attempt == ATTEMPTS:
                    answered = error.sqlstate is not None and not error.sqlstate.startswith(_OUTAGES)
                    raise (Unavailable if answered else Outage)(_SAID) from error
                self._pool.check()  # after a restart of the server every idle connection is broken
            time.sleep(pause)
            pause *= 2
        raise AssertionError("unreachable")

    @contextmanager
    def transaction(self, scope: Scope) -> Iterator[Any]:
        """A connection of the pool in a transaction, for what needs more than one statement."""
        with self._pool.connection() as connection, connection.transaction():
            connection.execute(scope.setting, scope.params)
            yield connection


@dataclass(frozen=True)
class Statements:
    """What a database answers in one scope."""

    _database: Database
    _scope: Scope

    def all(self, query: str, params: Row | Sequence[Any] = ()) -> list[Row]:
        """The rows of one statement."""
        return self._database.run(self._scope, query, params)

    def one(self, query: str, params: Row | Sequence[Any] = ()) -> Row | None:
        """The first row of one statement, or None."""
        rows = self.all(query, params)
        return rows[0] if rows else None

    def transaction(self) -> AbstractContextManager[Any]:
        """A connection in a transaction, for what needs more than one statement."""
        return self._database.transaction(self._scope)


def json_time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
