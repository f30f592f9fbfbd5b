"""Migrations: each once, in order, whole or not at all, whoever runs them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from functions.store import migrate as module
from functions.store.migrate import MigrationError, migrate
from tests.store.conftest import NewDatabase

ROOT = Path(__file__).parents[2]
FILES = [*sorted(path.name for path in (module.FOLDER / "migrations").glob("*.sql")), "routines.sql"]


@pytest.fixture
def url(new_database: NewDatabase) -> str:
    """An empty database."""
    return new_database()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The migrations, to be changed."""
    shutil.copytree(module.FOLDER / "migrations", tmp_path / "migrations")
    shutil.copy(module.FOLDER / "routines.sql", tmp_path)
    monkeypatch.setattr(module, "FOLDER", tmp_path)
    return tmp_path


def applied(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [name for (name,) in connection.execute("select name from schema_migrations order by name")]


def tables(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        return {name for (name,) in connection.execute("select tablename from pg_tables where schemaname = 'public'")}


def test_from_nothing_applies_all_in_order(url: str) -> None:
    assert migrate(url) == FILES
    assert applied(url) == sorted(FILES)
    assert {"users", "tasks", "tags", "reminders", "deliveries", "events", "activity"} <= tables(url)


def test_a_second_time_applies_nothing(url: str) -> None:
    migrate(url)
    assert migrate(url) == []


def test_from_two_processes_at_once_each_file_is_applied_once(url: str) -> None:
    command = [sys.executable, "-m", "functions.store.migrate"]
    environment = os.environ | {"TICKLER_DATABASE_URL": url}
    processes = [
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outcomes = [(*process.communicate(timeout=60), process.returncode) for process in processes]
    assert [(errors, code) for _, errors, code in outcomes] == [("", 0)] * 2
    said = [line for output, *_ in outcomes for line in output.splitlines()]
    assert said == [f"applied {name}" for name in FILES]


def test_a_file_that_was_changed_after_it_was_applied_is_refused(url: str, folder: Path) -> None:
    migrate(url)
    with (folder / "migrations" / FILES[0]).open("a") as file:
        file.write("\ncreate table later (id integer);\n")
    with pytest.raises(MigrationError, match=FILES[0]):
        migrate(url)
    assert "later" not in tables(url)


def test_a_database_of_a_newer_version_is_refused(url: str, folder: Path) -> None:
    (folder / "migrations" / "9999_later.sql").write_text("create table later (id integer);")
    migrate(url)
    (folder / "migrations" / "9999_later.sql").unlink()
    with pytest.raises(MigrationError, match=r"newer.*9999_later\.sql"):
        migrate(url)


def test_a_new_file_is_applied_by_itself_and_data_stays(url: str, folder: Path) -> None:
    migrate(url)
    with psycopg.connect(url) as connection:
        connection.execute("insert into users (user_id, name) values (gen_random_uuid(), 'Ann')")
    (folder / "migrations" / "0999_later.sql").write_text("create table later (id integer);")
    assert migrate(url) == ["0999_later.sql"]
    with psycopg.connect(url) as connection:
        assert connection.execute("select name from users").fetchall() == [("Ann",)]


def test_routines_are_applied_again_when_they_changed(url: str, folder: Path) -> None:
    migrate(url)
    with (folder / "routines.sql").open("a") as file:
        file.write("\ncreate function later() returns integer language sql as 'select 7';\n")
    assert migrate(url) == ["routines.sql"]
    assert migrate(url) == []
    with psycopg.connect(url) as connection:
        assert connection.execute("select later()").fetchone() == (7,)


def test_a_file_that_fails_leaves_nothing_of_itself(url: str, folder: Path) -> None:
    (folder / "migrations" / "0999_broken.sql").write_text("create table half (id integer); select 1 / 0;")
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(url)
    assert "half" not in tables(url)
    assert "0999_broken.sql" not in applied(url)
    (folder / "migrations" / "0999_broken.sql").write_text("create table whole (id integer);")
    assert migrate(url) == ["0999_broken.sql", "routines.sql"]


class TestCommand:
    def said(self, capsys: pytest.CaptureFixture[str]) -> str:
        (line,) = capsys.readouterr().err.splitlines()
        return line

    def test_says_what_it_applied(
        self, url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("TICKLER_DATABASE_URL", url)
        assert module.main() == 0
        assert capsys.readouterr().out.splitlines() == [f"applied {name}" for name in FILES]

    def test_without_a_url_says_what_to_set(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.delenv("TICKLER_DATABASE_URL", raising=False)
        assert module.main() == 2
        assert "TICKLER_DATABASE_URL" in self.said(capsys)

    def test_without_a_server_says_so_in_one_line(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        monkeypatch.setenv("TICKLER_DATABASE_URL", f"postgresql://ann:s3cret@/none?host={tmp_path}")
        assert module.main() == 1
        line = self.said(capsys)
        assert line.startswith("migrations: ")
        assert "s3cret" not in line

    def test_of_a_refused_database_says_what_to_do(
        self, url: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("TICKLER_DATABASE_URL", url)
        (folder / "migrations" / "9999_later.sql").write_text("select 1;")
        migrate(url)
        (folder / "migrations" / "9999_later.sql").unlink()
        assert module.main() == 1
        assert "run the newer version" in self.said(capsys)
