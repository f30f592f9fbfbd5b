"""Each user's log is one gapless sequence in commit order, whoever writes at once."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.support.client import Api, Client, Json, expect
from tests.support.system import System
from tests.support.waiting import eventually

CLIENTS = 16


def settled(client: Client, count: int) -> list[Json]:
    """The activity log, oldest first, once it has `count` entries."""
    eventually(
        lambda: len(client.activity()) >= count, timeout=30, what=f"the log has {count} entries of {client.user}"
    )
    return client.activity()[::-1]


def test_create__by_16_clients_at_once(system: System, user: str) -> None:
    """No error, seq gapless from 1, each client's tasks in the order in which it made them, each once."""
    per_client = 25

    def work(number: int) -> list[str]:
        api = Api(system.client(user), "rest" if number % 2 else "dapr")
        return [api.ok("create", title=f"{number}/{n}", tags=[f"tag {n % 3}"])["id"] for n in range(per_client)]

    with ThreadPoolExecutor(CLIENTS) as pool:
        made = list(pool.map(work, range(CLIENTS)))
    ids = [task_id for of_client in made for task_id in of_client]
    assert len(set(ids)) == CLIENTS * per_client

    client = system.client(user)
    listed = client.tasks()
    assert sorted(task["id"] for task in listed) == sorted(ids)
    assert sorted(tag["name"] for tag in client.tags()) == ["tag 0", "tag 1", "tag 2"]
    assert len({tag["id"] for task in listed for tag in task["tags"]}) == 3

    entries = settled(client, len(ids) + 3)
    assert [entry["seq"] for entry in entries] == list(range(1, len(ids) + 4))
    created = {entry["entity_id"]: entry["seq"] for entry in entries if entry["event_type"] == "task.created"}
    assert set(created) == set(ids)
    for of_client in made:
        seqs = [created[task_id] for task_id in of_client]
        assert seqs == sorted(seqs)


def test_mixed_commands__by_16_clients_on_shared_tasks(system: System, user: str) -> None:
    """No error, seq gapless, and what the log says of each task leads to what it is."""
    client = system.client(user)
    tasks = [client.create(f"shared {n}") for n in range(6)]

    def work(number: int) -> None:
        own, chance = system.client(user), random.Random(number)
        for step in range(15):
            task = chance.choice(tasks)["id"]
            what = chance.randrange(5)
            if what == 0:
                expect(own.rest("PATCH", f"/api/tasks/{task}", {"description": f"{number}/{step}"}))
            elif what == 1:
                expect(own.rest("PATCH", f"/api/tasks/{task}", {"tags": [f"t{number % 4}", f"t{step % 3}"]}))
            elif what == 2:
                own.complete(task)
            elif what == 3:
                own.reopen(task)
            else:
                own.create(f"own {number}/{step}")

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(work, range(CLIENTS)))

    (row,) = system.sql("select seq from users where user_id = %s", client.user_id)
    entries = settled(client, row["seq"])
    assert [entry["seq"] for entry in entries] == list(range(1, row["seq"] + 1))
    for task in tasks:
        of_task = [entry for entry in entries if entry["entity_id"] == task["id"]]
        final = client.get(task["id"])
        assert [entry["details"]["version"] for entry in of_task] == list(range(1, final["version"] + 1))
        turns = [kind for kind in map(kind_of, of_task) if kind in ("completed", "reopened")]
        assert turns == ["completed", "reopened"] * (len(turns) // 2) + ["completed"] * (len(turns) % 2)
        assert final["status"] == ("completed" if len(turns) % 2 else "open")
        descriptions = [value for entry in of_task if (value := changed(entry, "description")) is not None]
        assert final["description"] == (descriptions[-1] if descriptions else "")


def kind_of(entry: Json) -> str:
    return str(entry["event_type"]).partition(".")[2]


def changed(entry: Json, field: str) -> Any:
    """What an entry of the log says that a field became; None if it did not change."""
    return entry["details"].get("changes", {}).get(field, [None, None])[1]


def test_version__of_two_changes_on_the_same_one_only_one_is_kept(system: System, user: str) -> None:
    """16 clients send back the same version at once: one is served, 15 get 409."""
    client = system.client(user)
    task = client.create("raced")

    def work(number: int) -> int:
        own = system.client(user)
        return own.rest("PATCH", f"/api/tasks/{task['id']}", {"title": f"by {number}", "version": 1}).status_code

    with ThreadPoolExecutor(CLIENTS) as pool:
        statuses = list(pool.map(work, range(CLIENTS)))
    assert sorted(statuses) == [200] + [409] * (CLIENTS - 1)
    assert client.get(task["id"])["title"] == f"by {statuses.index(200)}"
    assert client.get(task["id"])["version"] == 2


def test_users__do_not_wait_for_each_other_and_have_each_their_own_sequence(system: System, user: str) -> None:
    clients = [system.client(f"{number}-{user}"[:64]) for number in range(CLIENTS)]

    def work(client: Client) -> None:
        for _ in range(5):
            client.create()

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(work, clients))
    for client in clients:
        assert [entry["seq"] for entry in settled(client, 5)] == [1, 2, 3, 4, 5]
