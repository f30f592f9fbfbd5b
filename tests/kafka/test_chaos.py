"""Parts of the system are killed at random while many users work: nothing is lost, and nothing has an effect twice."""

from __future__ import annotations

import random
import threading
from datetime import UTC, datetime

from tests.support.chaos import Load, count, under_way
from tests.support.system import System
from tests.support.waiting import eventually

SECONDS = 60.0
USERS = 50
RATE = 50.0
PAUSE = (2.0, 4.0)
"""Seconds between two kills: at least, at most."""
WORKING = (
    "create-task",
    "update-task",
    "complete-task",
    "spawn-recurrence",
    "log-activity",
    "due-reminders",
    "route-reminder",
    "push-notification",
    "publish-outbox",
)
"""The functions that the commands of this load come through."""


def test_chaos__of_what_was_acknowledged_nothing_is_lost_or_doubled_and_order_is_kept(kafka: System) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    since = datetime.now(UTC).isoformat()
    load = Load(kafka, USERS, RATE)
    over = threading.Event()

    def work() -> None:
        load.run(SECONDS)
        over.set()

    working = threading.Thread(target=work)
    working.start()
    killed = kill_at_random(kafka, random.Random(seed), over)
    working.join()
    eventually(lambda: not under_way(kafka), timeout=90, what="all is drained")
    counts = count(kafka, load, since)
    print(f"killed: {', '.join(killed)}\ncommands sent again: {load.repeated}")
    for name, number in counts.said.items():
        print(f"{number:7} {name}")
    assert not load.problems
    # One at most for each kill: between the mail server's answer and its record.
    assert counts.said["mails that a kill let come again"] <= len(killed)
    assert not counts.wrong


def kill_at_random(system: System, chance: random.Random, over: threading.Event) -> list[str]:
    """Kills a part every few seconds, each kind in turn, in another order each time; what ends is started again."""
    killed: list[str] = []
    kinds: list[str] = []
    while not over.wait(chance.uniform(*PAUSE)):
        kinds = kinds or chance.sample(["function", "sidecar", "kafka", "redis", "postgres"], 5)
        kind = kinds.pop()
        part = {
            "function": chance.choice(WORKING),
            "sidecar": f"{chance.choice([*WORKING, 'gateway'])}-daprd",
        }.get(kind, kind)
        system.kill(part)
        killed.append(part)
    return killed
