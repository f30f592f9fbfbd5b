"""Sockets cut at random under load while hubs are killed: every device ends with exactly the server's list, and was
told every change once and in order."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, WebSocketException

from tests.conftest import unique_user
from tests.support.client import Client, Json
from tests.support.sockets import Hub, address, hub, token_of
from tests.support.system import System

SECONDS = 60.0
USERS = 4
DEVICES = 4
"""Of each user."""
KILLED_EVERY = 9.0
SEED = int(os.environ.get("TICKLER_SEED", "7"))


@dataclass
class Replica:
    """What one device has: its cursor, and the tasks as it was told them."""

    client: Client
    hubs: list[Hub]
    rng: random.Random
    seq: int = 0
    seen: int = 0
    connections: int = 0
    tasks: dict[str, Json] = field(default_factory=dict)

    async def live(self, until: asyncio.Event, goal: dict[Client, int]) -> None:
        """Until it has all that there is, once `until` is set."""
        while not (until.is_set() and self.seq == goal[self.client]):
            url = address(self.rng.choice(self.hubs).url, token=token_of(self.client), after=self.seq)
            with contextlib.suppress(OSError, WebSocketException, InvalidHandshake, TimeoutError):
                async with connect(url, compression=None, proxy=None, open_timeout=5) as socket:
                    self.connections += 1
                    cut = asyncio.get_running_loop().call_later(
                        30 if until.is_set() else self.rng.expovariate(1), socket.transport.abort
                    )
                    try:
                        async for message in socket:
                            self.take(json.loads(message))
                            if until.is_set() and self.seq == goal[self.client]:
                                return
                    finally:
                        cut.cancel()
            await asyncio.sleep(self.rng.uniform(0, 0.2))

    def take(self, message: Json) -> None:
        if message["type"] == "heartbeat":
            assert message["latest"] == self.seq, "a heartbeat says what the device was told"
            return
        assert message["seq"] == self.seq + 1, f"{message['seq']} after {self.seq}"
        self.seq += 1
        self.seen += 1
        if message["type"] == "task.deleted":
            self.tasks.pop(message["entity_id"], None)
        elif "task" in message:
            self.tasks[message["task"]["id"]] = message["task"]


def work(client: Client, stop: threading.Event, rng: random.Random) -> None:
    """Some ten commands a second."""
    mine: list[str] = []
    while not stop.is_set():
        act = rng.random()
        if act < 0.5 or not mine:
            recurring: Json = {"due_date": "2027-01-31", "recurrence": {"type": "daily"}} if act < 0.1 else {}
            mine.append(client.create("task", tags=[f"tag {rng.randrange(9)}"], **recurring)["id"])
        elif act < 0.8:
            client.patch(rng.choice(mine), title=f"changed {rng.random()}")
        elif act < 0.9:
            client.complete(rng.choice(mine))
        else:
            client.delete(mine.pop(rng.randrange(len(mine))))
        stop.wait(0.1)


def kill(hubs: list[Hub], stop: threading.Event, rng: random.Random) -> None:
    while not stop.wait(KILLED_EVERY):
        one = rng.choice(hubs)
        one.kill()
        stop.wait(1)
        one.start()


def settled(system: System, clients: list[Client]) -> dict[Client, int]:
    """The last seq of each user, once no function has anything left to do."""
    last: Any = None
    while True:
        rows = system.sql("select user_id, seq from users where user_id = any(%s)", [c.user_id for c in clients])
        now = {row["user_id"]: row["seq"] for row in rows}
        if now == last:
            return {client: now[client.user_id] for client in clients}
        last = now
        time.sleep(3)  # longer than it takes a completed task to be followed


async def chaos(system: System, hubs: list[Hub], clients: list[Client], rng: random.Random) -> list[Replica]:
    stop, finished = threading.Event(), asyncio.Event()
    goal: dict[Client, int] = {}
    replicas = [Replica(client, hubs, random.Random(rng.random())) for client in clients for _ in range(DEVICES)]
    devices = [asyncio.create_task(replica.live(finished, goal)) for replica in replicas]
    workers = [asyncio.to_thread(work, client, stop, random.Random(rng.random())) for client in clients]
    killer = asyncio.to_thread(kill, hubs, stop, random.Random(rng.random()))
    busy = [asyncio.create_task(each) for each in (*workers, killer)]
    await asyncio.wait([*devices, *busy], timeout=SECONDS, return_when=asyncio.FIRST_EXCEPTION)
    stop.set()
    await asyncio.gather(*busy)
    goal |= await asyncio.to_thread(settled, system, clients)
    finished.set()
    await asyncio.wait_for(asyncio.gather(*devices), 60)
    return replicas


def test_every_device_ends_with_the_servers_list_and_saw_each_change_once(system: System) -> None:
    rng = random.Random(SEED)
    clients = [system.client(unique_user("chaos")) for _ in range(USERS)]
    for client in clients:
        client.create("the first")
    with hub(system) as one, hub(system) as two:
        replicas = asyncio.run(chaos(system, [one, two], clients, rng))
    for client in clients:
        server = {task["id"]: task for task in client.tasks()}
        for replica in (each for each in replicas if each.client is client):
            assert replica.tasks == server
            assert replica.seen == replica.seq
    connections = sum(replica.connections for replica in replicas)
    print(f"{sum(replica.seen for replica in replicas)} changes told over {connections} sockets")
    assert connections > SECONDS * len(replicas) / 5
