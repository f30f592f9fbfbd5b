"""Rate limits: how often a caller may have the system do what reaches beyond it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from uuid import UUID

from functions.runtime.logs import logger
from functions.runtime.sidecar import Sidecar
from functions.tasks.errors import TooManyRequests, Unavailable


@dataclass(frozen=True)
class Limit:
    """`count` requests of a caller at once, and one more for each `window / count` that passes."""

    name: str
    count: int
    window: timedelta


SLACK = 1_000_000
"""Microseconds by which a request may be early. Requests that come at once have read the clock in another order than
they are counted in, or another replica's clock; with this all of a limit passes at once, and still not one more."""


class Limits:
    """Counts requests in the Dapr state store, so that all replicas of a function have one count.

    Where the store is down or missing the request goes on, with a warning in the log: a limit keeps abuse small, and
    is not what makes a request right, so an outage of Redis is none of the functions that have a limit.
    """

    def __init__(self, sidecar: Sidecar) -> None:
        self._sidecar = sidecar

    def take(self, limit: Limit, user_id: UUID, now: datetime) -> None:
        """Counts a request. Raises TooManyRequests where the limit is used up, and counts nothing then."""
        try:
            self._take(limit, f"limit/{limit.name}/{user_id}", round(now.timestamp() * 1_000_000))
        except Unavailable as error:
            logger().warning("not_limited", limit=limit.name, error=str(error))

    def _take(self, limit: Limit, key: str, now: int) -> None:
        seen: str | None = None
        for _ in range(limit.count + 1):
            data, etag = self._sidecar.state(key)
            if etag == seen:
                raise Unavailable("the state store does not write")
            free_at = admit(limit, int(data or 0), now)
            if self._sidecar.save_state(key, str(free_at).encode(), etag, ceil((free_at - now) / 1_000_000)):
                return
            seen = etag
        # Each time somebody else was faster, and that was a request of this caller: so many have passed.
        raise TooManyRequests(_interval(limit) / 1_000_000)


def admit(limit: Limit, free_at: int, now: int) -> int:
    """When the limit will be free again after one more request, where `free_at` is what that was before it (0 for a
    limit that is): the one number that GCRA keeps (https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm, as a
    virtual scheduling). All in microseconds since the epoch.

    Raises TooManyRequests.
    """
    window = _microseconds(limit.window)
    interval = _interval(limit)
    # No later than a window from now, whatever the clock of another replica said.
    after = min(max(free_at, now), now + window) + interval
    if after > now + window + min(SLACK, interval // 2):
        raise TooManyRequests((after - window - now) / 1_000_000)
    return after


def _interval(limit: Limit) -> int:
    return _microseconds(limit.window) // limit.count


def _microseconds(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1)
