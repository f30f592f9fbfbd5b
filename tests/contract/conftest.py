"""Fixtures: the life of a user on the functions themselves, on a database of its own."""

from __future__ import annotations

import pytest

from tests.contract.life import Life
from tests.store.conftest import new_database, server, world
from tests.store.world import World

__all__ = ["new_database", "server", "world"]


@pytest.fixture(scope="module")
def life(world: World) -> Life:
    """One in which every function that can publish did, and every type of event happened."""
    life = Life(world)
    life.live()
    return life
