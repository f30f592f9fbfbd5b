"""The system on Kafka, which the tests of this folder share: with functions added by the steps of the README."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.checkout import with_added_functions
from tests.support.system import System
from tools.kafka import obtain


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_added_functions(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="session")
def kafka(checkout: Path) -> Iterator[System]:
    obtain()  # a new machine downloads it, which is no part of a start
    with System.running(mode="kafka", root=checkout) as system:
        yield system
