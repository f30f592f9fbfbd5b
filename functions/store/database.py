"""The connection pool, whose rows a statement sees, and what a failing database means to a caller."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from psycopg import Connection, Cursor, DataError, OperationalError
from psycopg.errors import QueryCanceled
from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from functions.tasks.errors import InvalidInput, Outage, Unavailable

Row = dict[str, Any]
Result = TypeVar("Result")

Statement = tuple[str, Row | Sequence[Any]]

ATTEMPTS = 3
BACK_OFF = 0.1
"""Seconds before the second attempt; doubled before the third."""

_UNSTORABLE = "has a value that cannot be stored"
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


@dataclass
class _Unit:
    """A transaction that holds all statements of one scope that a thread makes."""

    database: Database
    scope: Scope
    connection: Connection[DictRow]
    changed: set[UUID] = field(default_factory=set)
    before: list[bytes] = field(default_factory=list)
    """What goes with the next statement, in its round trip."""
    saved: bool = False

    def rows(self, query: str, params: Row | Sequence[Any]) -> list[Row]:
        before, self.before = self.before, []
        if not before:
            return _rows(self.connection.execute(query.encode(), params))
        self.saved = True
        with self.connection.pipeline():
            for statement in before:
                self.connection.execute(statement)
            cursor = self.connection.execute(query.encode(), params)
        return _rows(cursor)


_UNIT: ContextVar[_Unit | None] = ContextVar("unit", default=None)


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
        """Called after a commit that appended to these users' change logs. Who writes calls `changed`."""
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
        unit = self._unit()
        if unit is not None and unit.scope == scope:
            return unit.rows(query, params)

        def work() -> list[Row]:
            with self._pool.connection() as connection:
                with connection.pipeline():
                    connection.execute(scope.setting, scope.params)
                    cursor = connection.execute(query.encode(), params)
                return _rows(cursor)

        return self._attempt(work)

    def _attempt(self, work: Callable[[], Result]) -> Result:
        pause = BACK_OFF
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return work()
            except (DataError, UnicodeEncodeError) as error:
                # No attempt can succeed. Validation should have named the field; this is what is behind it.
                raise InvalidInput("body", _UNSTORABLE) from error
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

    def _unit(self) -> _Unit | None:
        unit = _UNIT.get()
        return unit if unit is not None and unit.database is self else None

    def changed(self, users: Iterable[UUID]) -> None:
        """Tells of a change of these users' logs, once it is committed."""
        unit = self._unit()
        if unit is None:
            self.on_change(users)
        else:
            unit.changed.update(users)

    def once(
        self, scope: Scope, begin: Statement, work: Callable[[list[Row]], tuple[Result, Statement | None]]
    ) -> Result:
        """What `work` answers, in one transaction: it is given the rows of `begin`, and all statements of this scope
        that the thread makes meanwhile are in it, and the one that it answers, which comes last.

        What `work` raises undoes all of it. When the connection broke, all of it is done again, `work` too, whether it
        was committed or not: `begin` has to tell.
        """

        def attempt() -> Result:
            with self._pool.connection() as connection:  # which rolls back what was not committed
                with connection.pipeline():
                    connection.execute(b"begin")
                    connection.execute(scope.setting, scope.params)
                    cursor = connection.execute(begin[0].encode(), begin[1])
                unit = _Unit(self, scope, connection)
                token = _UNIT.set(unit)
                try:
                    answer, last = work(_rows(cursor))
                finally:
                    _UNIT.reset(token)
                with connection.pipeline():
                    if last is not None:
                        connection.execute(last[0].encode(), last[1])
                    connection.execute(b"commit")
            if unit.changed:
                self.on_change(unit.changed)
            return answer

        return self._attempt(attempt)

    @contextmanager
    def undoing(self) -> Iterator[None]:
        """Within `once`: what is raised inside undoes what was done inside."""
        unit = self._unit()
        assert unit is not None
        unit.before = [b"release savepoint undoing"] * unit.saved + [b"savepoint undoing"]
        try:
            yield
        except OperationalError:
            raise  # of the connection: nothing more can be done on it
        except Exception as error:
            if not unit.before:
                unit.connection.execute(b"rollback to savepoint undoing")
            if isinstance(error, DataError | UnicodeEncodeError):
                raise InvalidInput("body", _UNSTORABLE) from error
            raise
        finally:
            unit.before = []

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

    def once(self, begin: Statement, work: Callable[[list[Row]], tuple[Result, Statement | None]]) -> Result:
        """What `work` answers, in one transaction with all statements of this scope that it makes (Database.once)."""
        return self._database.once(self._scope, begin, work)

    def transaction(self) -> AbstractContextManager[Any]:
        """A connection in a transaction, for what needs more than one statement."""
        return self._database.transaction(self._scope)


def _rows(cursor: Cursor[DictRow]) -> list[Row]:
    return cursor.fetchall() if cursor.description else []


def json_time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
