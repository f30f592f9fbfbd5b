"""The virtual environment's maker says what it lacks."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tools import venv


def test_an_old_python_is_told_so_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(venv, "NEEDED", (9, 9))
    with pytest.raises(SystemExit, match=r"^tickler: Python 3\.11 or newer is needed, .*; name another: make PYTHON="):
        venv.main("runtime")


def test_an_old_python_can_read_it() -> None:
    ast.parse(Path(venv.__file__).read_text(), feature_version=(3, 6))


def test_what_is_installed_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    monkeypatch.setattr(venv, "VENV", str(tmp_path))
    monkeypatch.setattr(venv, "PYTHON", str(tmp_path / "python"))

    def install(wanted: str) -> None:
        made.append(wanted)
        venv.write(wanted, venv.digest(wanted))

    def create() -> None:
        made.append("environment")
        (tmp_path / "python").touch()
        venv.write("place", venv.place())

    monkeypatch.setattr(venv, "create", create)
    monkeypatch.setattr(venv, "install", install)
    for _ in range(2):
        venv.main("runtime")
    assert made == ["environment", "runtime"]
    venv.write("runtime", "another lock")
    venv.main("runtime")
    assert made == ["environment", "runtime", "runtime"]
    venv.write("place", "another folder")
    venv.main("runtime")
    assert made == ["environment", "runtime", "runtime", "environment"]
