"""The queue that the in-memory broker lacks: one a topic, so that a slow consumer does not hold up its publisher."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable

from functions.runtime.logs import logger
from functions.runtime.messages import Message


class Backlog:
    """What it holds is lost with the process: only for messages that a lease brings again."""

    def __init__(self, publish: Callable[[str, Message], None]) -> None:
        self._publish = publish
        self._queues: dict[str, queue.SimpleQueue[Message]] = {}
        self._waiting: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def put(self, topic: str, messages: Iterable[Message]) -> None:
        """Takes messages in order; one whose id waits already is taken once."""
        with self._lock:
            if topic not in self._queues:
                self._queues[topic] = queue.SimpleQueue()
                threading.Thread(target=self._run, args=(topic,), name=f"backlog {topic}", daemon=True).start()
            for message in messages:
                if (topic, message.identity) not in self._waiting:
                    self._waiting.add((topic, message.identity))
                    self._queues[topic].put(message)

    def stop(self) -> None:
        """Publishes nothing more."""
        self._stopped.set()

    def _run(self, topic: str) -> None:
        while not self._stopped.is_set():
            message = self._queues[topic].get()
            try:
                self._publish(topic, message)
            except Exception as error:
                logger().warning("publish_failed", topic=topic, event_id=message.identity, error=str(error)[:300])
            with self._lock:
                self._waiting.discard((topic, message.identity))
