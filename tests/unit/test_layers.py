"""The boundaries: `tasks/` is pure, `store/` alone knows PostgreSQL, `runtime/` alone knows Dapr and gRPC, and `hub/`
alone knows the web server."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import functions

ROOT = Path(functions.__file__).parent
DAPR = ("dapr", "grpc", "grpc_status", "google", "cloudevents")
POSTGRESQL = ("psycopg", "psycopg_pool", "psycopg2", "asyncpg")
CLOCKS = {"now", "utcnow", "today", "time", "time_ns", "monotonic", "perf_counter", "localtime", "gmtime"}


def modules(*layers: str) -> list[Path]:
    return [path for layer in layers for path in sorted((ROOT / layer).rglob("*.py"))]


def capabilities() -> list[Path]:
    return sorted(ROOT.glob("*.py"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it, by its full name."""
    package = ["functions", *path.relative_to(ROOT).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def strays(path: Path, *forbidden: str) -> list[str]:
    return [name for name in imported(path) if name.split(".")[0] in forbidden or name.startswith(forbidden)]


@pytest.mark.parametrize("path", modules("tasks"), ids=name_of)
def test_the_domain_imports_nothing_around_it(path: Path) -> None:
    assert strays(path, "functions.store", "functions.runtime", *DAPR, *POSTGRESQL) == []


@pytest.mark.parametrize("path", modules("tasks"), ids=name_of)
def test_the_domain_never_looks_at_a_clock(path: Path) -> None:
    assert "time" not in set(imported(path))
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert not (node.value.id in ("datetime", "date", "time") and node.attr in CLOCKS), node.lineno


@pytest.mark.parametrize("path", modules("store"), ids=name_of)
def test_the_store_knows_neither_dapr_nor_what_runs_it(path: Path) -> None:
    assert strays(path, "functions.runtime", *DAPR) == []


@pytest.mark.parametrize("path", [*modules("tasks", "runtime", "hub"), *capabilities()], ids=name_of)
def test_only_the_store_knows_postgresql(path: Path) -> None:
    assert strays(path, *POSTGRESQL) == []


@pytest.mark.parametrize("path", [*modules("tasks", "store", "hub"), *capabilities()], ids=name_of)
def test_only_the_runtime_knows_dapr(path: Path) -> None:
    assert strays(path, *DAPR) == []


@pytest.mark.parametrize("path", [*modules("tasks", "store", "runtime"), *capabilities()], ids=name_of)
def test_only_the_hub_knows_the_web_server(path: Path) -> None:
    """And nobody knows the hub: it is told through Redis or PostgreSQL."""
    assert strays(path, "starlette", "uvicorn", "websockets", "functions.hub") == []


def test_only_the_topics_job_knows_kafka() -> None:
    """Everything else speaks to the broker through Dapr."""
    assert [name_of(path) for path in ROOT.rglob("*.py") if strays(path, "confluent_kafka")] == ["runtime/topics.py"]


@pytest.mark.parametrize("path", capabilities(), ids=name_of)
def test_functions_do_not_know_each_other(path: Path) -> None:
    others = tuple(f"functions.{other.stem}" for other in capabilities() if not other.stem.startswith("_"))
    assert strays(path, *others) == []


def test_no_module_has_grown_a_second_noun() -> None:
    assert [name_of(path) for path in ROOT.rglob("*.py") if len(path.read_text().splitlines()) > 300] == []
