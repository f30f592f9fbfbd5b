"""How much of a list one answer holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from pydantic import BaseModel

Item = TypeVar("Item", bound=BaseModel)

PAGE_BYTES = 2_000_000
"""A page is closed before it is longer: a sidecar carries 4 MiB, and refuses an answer that is more."""


def fitting(items: Sequence[Item], max_bytes: int = PAGE_BYTES) -> list[Item]:
    """The first of these items that are no longer than `max_bytes` as JSON; one at least."""
    size = 0
    for n, item in enumerate(items):
        size += len(item.model_dump_json().encode())
        if n and size > max_bytes:
            return list(items[:n])
    return list(items)
