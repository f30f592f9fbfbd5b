"""What the tests of sockets share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.sockets import Hub, hub
from tests.support.system import System


@pytest.fixture(scope="module")
def own(system: System) -> Iterator[Hub]:
    """A hub beside the system's own, with narrow limits."""
    with hub(system, {"TICKLER_HUB_SOCKETS_PER_USER": "3", "TICKLER_HUB_SOCKETS": "12"}) as made:
        yield made
