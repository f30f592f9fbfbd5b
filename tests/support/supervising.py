"""A supervisor for one test: it puts signal handlers in place, and these are taken back."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.processes import Supervisor


@contextmanager
def supervised(logs: Path) -> Iterator[Supervisor]:
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in signals]
    supervisor = Supervisor(logs)
    try:
        yield supervisor
    finally:
        supervisor.stop()
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)
