"""What the embedded PostgreSQL does before its server starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tools.console import OperatorError
from tools.postgres import _clear_stale_lock, _socket_folder, check


def test_the_lock_file_of_a_killed_server_is_removed_whoever_has_its_pid_now(tmp_path: Path) -> None:
    lock = tmp_path / "postmaster.pid"
    lock.write_text(f"{os.getpid()}\n{tmp_path}\n")
    _clear_stale_lock(tmp_path)
    assert not lock.exists()


def test_a_server_that_still_works_in_the_folder_is_stopped(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], cwd=tmp_path) as server:
        (tmp_path / "postmaster.pid").write_text(f"{server.pid}\n")
        _clear_stale_lock(tmp_path)
        assert server.wait(10) in {-signal.SIGINT, 1, 0}


@pytest.mark.parametrize("content", [None, "", "not a pid\n"])
def test_no_lock_file_or_a_torn_one_is_no_trouble(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "postmaster.pid").write_text(content)
    _clear_stale_lock(tmp_path)


def test_the_socket_is_in_the_data_folder_unless_its_path_is_too_long(tmp_path: Path) -> None:
    short, long = Path("/tmp/data/postgres"), Path("/tmp") / ("x" * 100) / "postgres"
    assert _socket_folder(short, None) == short
    other = _socket_folder(long, None)
    assert len(bytes(other / ".s.PGSQL.5432")) < 100
    assert other.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://user:secret@127.0.0.1:1/x", "does not answer: .*port 1 failed"),
        ("secret", "is not a connection URL"),
        ("postgresql://user:secret@[", "is not a connection URL"),
    ],
)
def test_a_database_that_cannot_be_used_is_one_line_without_its_password(url: str, expected: str) -> None:
    with pytest.raises(OperatorError, match=expected) as failure:
        check(url)
    assert "\n" not in str(failure.value)
    assert "secret" not in str(failure.value)
