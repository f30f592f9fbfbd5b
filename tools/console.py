"""What the operator reads: progress lines, and one line for each mistake."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


class OperatorError(Exception):
    """One line that says what is wrong and how to mend it."""


def step(text: str) -> None:
    """Prints a progress line at once, also where the output is a pipe."""
    print(f"  {text}", flush=True)


def fail(error: OperatorError) -> int:
    """Prints the error as its one line and returns the exit status for it."""
    print(f"tickler: {error}", file=sys.stderr, flush=True)
    return 1


def shown(path: Path) -> str:
    """The path as the operator would type it: relative where it lies below the working directory."""
    path = path.resolve()
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


class Progress:
    """Tells that a long step is still under way: a line with the elapsed time every `interval` seconds."""

    def __init__(self, what: str, *, interval: float = 10, clock: Callable[[], float] = time.monotonic) -> None:
        self._what, self._interval, self._clock = what, interval, clock
        self._started = clock()
        self._next = self._started + interval

    def tick(self) -> None:
        """Call it often; it prints when an interval has passed."""
        now = self._clock()
        if now >= self._next:
            self._next = now + self._interval
            step(f"{self._what}: {now - self._started:.0f} s so far")
