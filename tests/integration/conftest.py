"""What the integration tests share: a user whom bad input must leave alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import unique_user
from tests.support.system import System
from tests.support.victim import Victim
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def someone(system: System) -> Iterator[Victim]:
    client = system.client(unique_user("victim"))
    task = client.create("untouched", tags=["one", "two"], due_date="2027-01-01T09:00:00Z", reminder_offset="PT1H")
    eventually(lambda: len(client.activity()) == 3, what="the activity log has the task and its tags")
    someone = Victim(system, client, task, client.tags()[0])
    before = someone.seen()
    yield someone
    assert someone.seen() == before


@pytest.fixture
def victim(someone: Victim) -> Iterator[Victim]:
    """Whatever a test asks of this user must change nothing."""
    before = someone.rows()
    yield someone
    assert someone.rows() == before
