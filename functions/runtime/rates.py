"""The general rate limits: how many requests a user, and an address, may make of one process.

They keep one caller from taking what all share, and so are generous; what reaches beyond the system has narrower
limits, which all replicas count together (functions/runtime/limits.py).
"""

from __future__ import annotations

import ipaddress
import threading
import time
from datetime import timedelta

from functions.runtime.limits import Limit, admit

BURST = timedelta(seconds=4)
"""So many seconds' worth may come at once."""

IPV6_NETWORK = 64
"""Bits of an IPv6 address that count: a customer has at least that network (RFC 6177)."""


class Rates:
    """Counts in the memory of this process: the same caller has as many requests again at another replica."""

    def __init__(self, name: str, per_second: float) -> None:
        """`per_second` requests of a key, sustained; 0 for no limit."""
        count = max(1, round(per_second * BURST.total_seconds()))
        self._limit = Limit(name, count, timedelta(seconds=count / per_second)) if per_second else None
        self._free_at: dict[str, int] = {}
        self._sweep_at = 0
        self._lock = threading.Lock()

    def take(self, key: str) -> None:
        """Counts a request. Raises TooManyRequests, and counts nothing, where there were too many."""
        if self._limit is None:
            return
        now = time.monotonic_ns() // 1000
        with self._lock:
            if now >= self._sweep_at:
                # Who is free again is as one who never came: so there are never more than came in two windows.
                self._free_at = {key: at for key, at in self._free_at.items() if at > now}
                self._sweep_at = now + self._limit.window // timedelta(microseconds=1)
            self._free_at[key] = admit(self._limit, self._free_at.get(key, 0), now)

    def __len__(self) -> int:
        """How many keys are kept."""
        return len(self._free_at)


def network(address: str) -> str:
    """What counts as one address: an IPv4 address, or the network of an IPv6 one. Anything else counts as itself."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(parsed.ipv4_mapped or ipaddress.ip_network((int(parsed), IPV6_NETWORK), strict=False))
