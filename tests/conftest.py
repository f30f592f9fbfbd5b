"""Fixtures: the real system, as a user starts it, and users of it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Generator, Iterator
from typing import Any, cast
from uuid import uuid4

import pytest
from hypothesis import settings

from tests.support.client import Api, Client, Spelling
from tests.support.system import System
from tools.stack import Mode

NewSystem = Callable[..., System]

MODE = cast(Mode, os.environ.get("TICKLER_TEST_MODE") or "embedded")
"""What the system runs on that all tests share: `TICKLER_TEST_MODE=kafka pytest tests/integration` has it on Kafka."""

# Properties are tried without a deadline: the machine may be busy. CI tries the same examples each time, so that it
# fails for a change and for nothing else; a developer's run explores.
settings.register_profile("tickler", settings.default, deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("tickler")


@pytest.fixture(scope="session")
def system() -> Iterator[System]:
    """The system that all tests share. At the end it must stop as Ctrl-C does, and leave no process.

    It limits sign-ups by address as it would for others, so that tests can try that: each person has an address.
    """
    with System.running(mode=MODE, env={"TICKLER_LIMIT_ADDRESSES": "true"}) as system:
        yield system


@pytest.fixture
def new_system() -> Iterator[NewSystem]:
    """Makes a system of the test's own, to be killed; `new_system(env)` is not started yet."""
    systems: list[System] = []

    def make(env: dict[str, str] | None = None) -> System:
        systems.append(System(env))
        return systems[-1]

    yield make
    for system in systems:
        system.discard()


@pytest.fixture
def user(request: pytest.FixtureRequest) -> str:
    """A user whom no other test has."""
    return unique_user(request.node.name)


def unique_user(name: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:40]
    return f"{plain}-{uuid4().hex[:8]}"


@pytest.fixture
def client(system: System, user: str) -> Client:
    return system.client(user)


@pytest.fixture(params=["rest", "dapr"])
def api(request: pytest.FixtureRequest, client: Client) -> Api:
    """The operations of the API for a new user, in each spelling that changes things."""
    spelling: Spelling = request.param
    return Api(client, spelling)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure shows the end of the logs of every system that runs."""
    report = yield
    if report.failed:
        for system in System.started:
            report.sections.append((f"logs of {system.url}", system.log_tails()))
    return report
