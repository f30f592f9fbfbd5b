"""The system on Kafka, which the tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.system import System


@pytest.fixture(scope="session")
def kafka() -> Iterator[System]:
    with System.running(mode="kafka") as system:
        yield system
