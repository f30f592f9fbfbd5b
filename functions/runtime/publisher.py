"""Publishes what commands committed: at once, in the background, in order per user."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from uuid import UUID

from functions.runtime.logs import logger
from functions.runtime.sidecar import Sidecar
from functions.store.events import Outbox
from functions.tasks.errors import Unavailable

BATCH = 100
"""Events a transaction: what a crash at the wrong moment publishes twice."""
BUSY = 0.05
"""Seconds after which users are looked at again whom another publisher served."""


class Publisher:
    """One thread a process. A request never waits for the broker: what it committed is in the outbox, and what
    this thread cannot publish the tick of publish-outbox will."""

    def __init__(self, outbox: Outbox, sidecar: Sidecar) -> None:
        self._outbox = outbox
        self._sidecar = sidecar
        self._users: set[UUID] = set()
        self._changed = threading.Condition()
        self._ready = False
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def ready(self) -> None:
        """From now on consumers are there: daprd starts its subscriptions before anything that calls this."""
        with self._changed:
            self._ready = True
            self._changed.notify()

    def wake(self, users: Iterable[UUID]) -> None:
        """These users have new events."""
        with self._changed:
            self._users.update(users)
            self._changed.notify()

    def stop(self, grace: float) -> None:
        """Publishes what is waiting, for up to `grace` seconds, and ends the thread."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join(grace)

    def _run(self) -> None:
        pause = 0.0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopped or (self._ready and self._users))
                if pause and not self._stopped:
                    self._changed.wait_for(lambda: self._stopped, timeout=pause)
                if self._stopped and not (self._ready and self._users):
                    return
                users, self._users = self._users, set()
            try:
                while self._outbox.publish(users, self._sidecar.publish_changes, BATCH) == BATCH:
                    pass
                # Another process may have read a user's events before these were committed, and have the lock still.
                busy = self._outbox.pending(users)
                self.wake(busy)
                pause = BUSY if busy else 0.0
            except Unavailable as error:
                if self._stopped:
                    return
                pause = min(5.0, pause * 2 or 0.2)
                logger().warning("publish_failed", error=str(error), retry_seconds=pause)
                self.wake(users)
            except Exception:
                logger().exception("publish_failed")
                pause = 1.0
