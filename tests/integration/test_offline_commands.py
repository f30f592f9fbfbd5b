"""A device comes back with 10,000 commands: each is carried out once, whatever is killed or sent twice meanwhile."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from random import Random
from uuid import uuid4

import httpx
import pytest

from functions.tasks.commands import MAX_COMMANDS
from tests.conftest import NewSystem, unique_user
from tests.support.client import Client, Json, expect
from tests.support.waiting import eventually

COMMANDS = 10_000
SECONDS = 240.0
"""For all of it, the kill and the new start included, on a machine that does other things too."""


def day_offline(random: Random) -> tuple[list[Json], dict[str, Json]]:
    """What a device did, in order; and what the tasks have to be after it, by id."""
    commands: list[Json] = []
    tasks: dict[str, Json] = {}

    def add(function: str, **inputs: object) -> None:
        made = datetime.now(UTC).isoformat()
        commands.append({"key": str(uuid4()), "function": function, "input": inputs, "made_at": made})

    while len(commands) < COMMANDS:
        open_tasks = [task_id for task_id, task in list(tasks.items())[-50:] if task["status"] == "open"]
        what = random.choice(["create", "create", "create", "update", "complete", "delete"])
        if what == "create" or not open_tasks:
            task_id = str(uuid4())
            title = f"task {len(commands)}"
            add("create-task", id=task_id, title=title, priority="low", tags=[f"tag {len(commands) % 5}"])
            tasks[task_id] = {"title": title, "status": "open", "version": 1}
            continue
        task_id = random.choice(open_tasks)
        if what == "update":
            title = f"edited {len(commands)}"
            add("update-task", task_id=task_id, base_version=tasks[task_id]["version"], title=title)
            tasks[task_id] |= {"title": title, "version": tasks[task_id]["version"] + 1}
        elif what == "complete":
            add("complete-task", task_id=task_id)
            tasks[task_id] |= {"status": "completed", "version": tasks[task_id]["version"] + 1}
        else:
            add("delete-task", task_id=task_id)
            del tasks[task_id]
    return commands, tasks


def send(client: Client, commands: list[Json]) -> list[Json] | None:
    """The results of a batch; None where no answer came, or none could be given now."""
    try:
        answer = client.rest("POST", "/api/commands", {"sent_at": datetime.now(UTC).isoformat(), "commands": commands})
    except httpx.TransportError:
        return None
    if answer.status_code == 503:
        return None
    results: list[Json] = expect(answer)["results"]
    return results


def test_10000_commands_with_a_kill_in_the_midst_and_batches_sent_twice(
    new_system: NewSystem, capsys: pytest.CaptureFixture[str]
) -> None:
    system = new_system()
    system.start()
    client = system.client(unique_user("offline"))
    random = Random(7)
    commands, expected = day_offline(random)
    began = time.monotonic()
    busy, position, killed, batches = 0.0, 0, False, 0
    answers: dict[str, Json] = {}
    restart: threading.Thread | None = None

    def kill_and_start() -> None:
        system.kill("functions")
        assert system.wait_ended() == 1
        system.start()

    while position < COMMANDS:
        if position >= COMMANDS // 2 and not killed:
            killed = True
            restart = threading.Timer(0.1, kill_and_start)  # in the midst of a batch
            restart.start()
        part = commands[position : position + MAX_COMMANDS]
        sent = time.monotonic()
        results = send(client, part)
        if results is None:
            assert time.monotonic() - began < SECONDS
            time.sleep(0.2)  # as a client that was told to try again
            continue
        busy += time.monotonic() - sent
        batches += 1
        assert {result["status"] for result in results} == {200}
        answers |= {result["key"]: result["answer"] for result in results}
        if batches % 5 == 0:
            again = send(client, part[: len(results)])
            assert again is None or again == results, "a batch that comes again is answered as it was"
        position += len(results)
    assert restart is not None
    restart.join()
    assert len(answers) == COMMANDS
    assert time.monotonic() - began < SECONDS
    with capsys.disabled():
        print(f"\n{COMMANDS / busy:.0f} commands/s in {busy:.1f} s, {batches} batches")

    found = {task["id"]: {name: task[name] for name in ("title", "status", "version")} for task in client.tasks()}
    assert found == expected
    seqs = [row["seq"] for row in system.sql("select seq from events where user_id = %s order by seq", client.user_id)]
    tags = len(client.tags())
    assert seqs == list(range(1, COMMANDS + tags + 1)), "each command made one change, and none two"
    logged = "select count(*) as logged from activity where user_id = %s"
    eventually(
        lambda: system.sql(logged, client.user_id)[0]["logged"] == len(seqs),
        timeout=60,
        what="the activity log has all of it",
    )
    system.stop()
