"""Waiting for what is down: how long between attempts, and for the database until it answers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import TypeVar

from functions.runtime.logs import logger
from functions.tasks.errors import Outage

Result = TypeVar("Result")

FIRST, LONGEST = 0.4, 2.0
"""Seconds between attempts, doubled each time: all attempts at a message, with what they take, are well within the
lease of a delivery (functions/store/reminders.py)."""


def pauses() -> Iterator[float]:
    """Seconds to wait after each attempt, without end."""
    return (min(FIRST * 2**number, LONGEST) for number in itertools.count())


class Outages:
    """Waits for the database where giving up would lose what was done already, or blame a message for it."""

    def __init__(self, stopped: Callable[[float], bool]) -> None:
        """`stopped` waits so many seconds and says whether the host is told to stop, which ends every wait."""
        self._stopped = stopped

    def sit_out(self, work: Callable[[], Result]) -> Result:
        """What `work` answers, once the database does. Raises Outage when the host is told to stop before."""
        for pause in pauses():
            try:
                return work()
            except Outage as error:
                logger().warning("waiting", error=str(error), retry_seconds=pause)
                if self._stopped(pause):
                    raise
        raise AssertionError("unreachable")
