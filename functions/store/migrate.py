"""Brings a database to this version's schema: `python -m functions.store.migrate`.

Each file of `migrations/` is applied once, in order, in a transaction of its own, and its checksum kept;
`routines.sql` is applied again whenever it changed. Safe to run from several places at once.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import psycopg

FOLDER = Path(__file__).parent
LOCK = 7_400_711
"""The advisory lock that migrations of one database take turns by."""


class MigrationError(Exception):
    """A database that this version cannot bring up to date; the text says what to do."""


def migrate(url: str) -> list[str]:
    """Applies what is missing; answers the names applied. Raises MigrationError or psycopg.Error."""
    applied: list[str] = []
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(%s)", (LOCK,))
        connection.execute(
            "create table if not exists schema_migrations"
            " (name text primary key, checksum text not null, applied_at timestamptz not null default now())"
        )
        known: dict[str, str] = dict(connection.execute("select name, checksum from schema_migrations").fetchall())
        files = sorted((FOLDER / "migrations").glob("*.sql"))
        unknown = set(known) - {file.name for file in files} - {"routines.sql"}
        if unknown:
            raise MigrationError(f"the database is newer than this version ({max(unknown)}): run the newer version")
        for file in [*files, FOLDER / "routines.sql"]:
            script = file.read_bytes()
            checksum = hashlib.sha256(script).hexdigest()
            if known.get(file.name) == checksum:
                continue
            if file.name in known and file.name != "routines.sql":
                raise MigrationError(f"{file.name} was changed after it was applied: add a new migration instead")
            with connection.transaction():
                connection.execute(script)
                connection.execute(
                    "insert into schema_migrations (name, checksum) values (%s, %s)"
                    " on conflict (name) do update set checksum = excluded.checksum, applied_at = now()",
                    (file.name, checksum),
                )
            applied.append(file.name)
    return applied


def main() -> int:
    url = os.environ.get("TICKLER_DATABASE_URL", "")
    if not url:
        print("migrations: set TICKLER_DATABASE_URL to the database's libpq URL", file=sys.stderr)
        return 2
    try:
        for name in migrate(url):
            print(f"applied {name}")
    except (MigrationError, psycopg.Error) as error:
        print(f"migrations: {str(error).splitlines()[0]}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
