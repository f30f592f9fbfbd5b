"""How long a change takes to the other devices, and what a socket costs: `python -m tests.sync.load [seconds]`.

1,000 sockets of 1,000 users and 500 of one more, through the edge, while 100 tasks a second are made by HTTP, every
twentieth of them that one user's. All of it on this machine, the devices too. It prints, and asserts no times: a change
is timed from the `now` of its function, which is before the commit, until a device has it.
"""

from __future__ import annotations

import asyncio
import gc
import json
import multiprocessing
import os
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import httpx
import psutil
from websockets.asyncio.client import ClientConnection, connect

from tests.support.sockets import address, token_of
from tests.support.system import System

USERS = 1000
OF_ONE = 500
RATE = 100
SHARE_OF_ONE = 20


def send(url: str, tokens: list[str], seconds: float) -> None:
    """Makes RATE tasks a second, from a process of its own; the last token is the one user's."""
    rng = random.Random(1)
    client = httpx.Client(base_url=url, timeout=30, trust_env=False, limits=httpx.Limits(max_connections=64))

    took: list[float] = []

    def one(number: int) -> None:
        began = time.monotonic()
        token = tokens[-1] if number % SHARE_OF_ONE == 0 else tokens[rng.randrange(USERS)]
        answer = client.post("/api/tasks", json={"title": "load"}, headers={"Authorization": f"Bearer {token}"})
        answer.raise_for_status()
        took.append(time.monotonic() - began)

    began = time.monotonic()
    with ThreadPoolExecutor(32) as pool:
        made = []
        for number in range(round(RATE * seconds)):
            time.sleep(max(0.0, began + number / RATE - time.monotonic()))
            made.append(pool.submit(one, number))
        for each in made:
            each.result()
    print(f"{len(made)} tasks in {time.monotonic() - began:.1f} s")
    say("their requests", took)


class Devices:
    def __init__(self, url: str) -> None:
        self._url = url
        self.lateness: dict[bool, list[float]] = {False: [], True: []}
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, tokens: list[str]) -> None:
        opening = asyncio.Semaphore(50)

        async def one(token: str, is_one: bool) -> None:
            async with opening:
                socket = await connect(
                    address(self._url, token=token), compression=None, proxy=None, open_timeout=60, ping_interval=None
                )
                await socket.recv()  # the first heartbeat
            self._tasks.append(asyncio.create_task(self._read(socket, is_one)))

        everybody = [(token, False) for token in tokens[:-1]] + [(tokens[-1], True)] * OF_ONE
        await asyncio.gather(*(one(token, is_one) for token, is_one in everybody))

    async def _read(self, socket: ClientConnection, is_one: bool) -> None:
        async for text in socket:
            now = datetime.now(UTC)
            message = json.loads(text)
            if message["type"] != "heartbeat":
                self.lateness[is_one].append((now - datetime.fromisoformat(message["occurred_at"])).total_seconds())

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def say(name: str, lateness: list[float]) -> None:
    values = sorted(lateness)
    if values:
        p50, p99 = (values[min(len(values) - 1, int(len(values) * share))] * 1000 for share in (0.5, 0.99))
        print(f"{name}: {len(values)}, p50 {p50:.0f} ms, p99 {p99:.0f} ms, most {values[-1] * 1000:.0f} ms")


async def measure(system: System, tokens: list[str], seconds: float) -> None:
    hub = psutil.Process(system.pid("sync-hub"))
    devices = Devices(system.url)
    before, began = hub.memory_info().rss, time.monotonic()
    await devices.open(tokens)
    count = USERS + OF_ONE
    print(f"{count} sockets open in {time.monotonic() - began:.1f} s")
    idle = hub.memory_info().rss
    print(f"the hub: {before >> 20} MB, with them {idle >> 20} MB: {(idle - before) / count / 1024:.1f} KB a socket")
    parts = {"hub": hub, "edge": psutil.Process(system.pid("edge")), "devices": psutil.Process()}
    parts["functions"] = psutil.Process(system.pid("functions"))
    for part in parts.values():
        part.cpu_percent()
    sender = multiprocessing.get_context("spawn").Process(target=send, args=(system.url, tokens, seconds))
    sender.start()
    await asyncio.to_thread(sender.join)
    used = ", ".join(f"{name} {part.cpu_percent():.0f}%" for name, part in parts.items())
    print(
        f"the hub under load: {hub.memory_info().rss >> 20} MB; of a core took: {used}; load {os.getloadavg()[0]:.1f}"
    )
    await asyncio.sleep(3)
    say("1,000 users, a socket each", devices.lateness[False])
    say(f"one user, {OF_ONE} sockets", devices.lateness[True])
    say("all", devices.lateness[False] + devices.lateness[True])
    await devices.close()


def main() -> None:
    gc.disable()  # what measures does not stop in between
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    with System.running() as system:
        tokens = [token_of(system.client(f"load-{number}")) for number in range(USERS + 1)]
        asyncio.run(measure(system, tokens, seconds))


if __name__ == "__main__":
    main()
