"""`kill -9` of any part at any moment, and a new start: all that was acknowledged is there, exactly once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import unique_user
from tests.support.client import Json
from tests.support.load import Load
from tests.support.reminders import deliveries, due_in, subjects
from tests.support.system import REPOSITORY, System
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def mortal() -> Iterator[System]:
    """A system that the tests of this module kill and start again."""
    with System.running() as system:
        yield system


def kill_and_start(system: System, part: str) -> None:
    system.kill(part)
    if part != "supervisor":
        assert system.wait_ended() == 1
    system.start()


def test_kill__of_each_part_in_turn_while_the_demo_runs_loses_nothing_and_doubles_nothing(
    mortal: System, tmp_path: Path
) -> None:
    """Beside the demo, which is itself killed once and resumed, other clients work through each kill."""
    ledger, output = tmp_path / "ledger.jsonl", tmp_path / "demo.txt"
    demo = start_demo(mortal, output, "--ledger", str(ledger))
    loads = []
    for part in ("functions", "daprd", "postgres", "supervisor"):
        with Load(mortal, unique_user(f"kill-{part}")) as load:
            load.wait_for(50)
            kill_and_start(mortal, part)
            load.wait_for(20)
        loads.append(load)
        if part == "functions":
            eventually(
                lambda: ledger.exists() and ledger.read_text().count('{"created": ') >= 100,
                timeout=20,
                what="the demo has made 100 tasks",
            )
            demo.kill()
            demo.wait()
            demo = start_demo(mortal, output, "--resume", str(ledger))
    for load in loads:
        load.check(uncertain_mails=1)
    assert demo.wait(120) == 0, output.read_text()
    assert "demo passed" in output.read_text()


def start_demo(system: System, output: Path, *options: str) -> subprocess.Popen[bytes]:
    """Starts the demo, which writes to `output`, and waits until it has found the system."""
    with output.open("wb") as file:
        demo = subprocess.Popen(
            [sys.executable, "-m", "tools.demo", "--url", system.url, "--soon", "16", "--no-timing", *options],
            cwd=REPOSITORY,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    eventually(lambda: "Tickler demo" in output.read_text() or demo.poll(), timeout=20, what="the demo begins")
    assert demo.poll() is None, output.read_text()
    return demo


def test_stop__in_the_midst_of_work_loses_nothing_and_doubles_nothing(mortal: System) -> None:
    """Ctrl-C finishes what is under way: not even a mail comes twice."""
    with Load(mortal, unique_user("stop")) as load:
        load.wait_for(50)
        mortal.stop()
        mortal.start()
        load.wait_for(20)
    load.check(uncertain_mails=0)


def test_outage__what_fell_due_is_delivered_once_at_the_next_start_and_the_late_marked_late(mortal: System) -> None:
    client = mortal.client(unique_user("outage"))
    late = client.create("late", due_date="2031-01-01T00:00:00Z", reminder_offset="PT0S")
    future = client.create("future", due_date="2031-01-01T00:00:00Z", reminder_offset="PT0S")
    cancelled = client.create("cancelled", due_date="2031-01-01T00:00:00Z", reminder_offset="PT0S")
    client.complete(cancelled["id"])
    during = client.create("during", due_date=due_in(1.5), reminder_offset="PT0S")
    # Nobody looks at the reminders from here on: as if the system had been down for two minutes.
    os.kill(mortal.pid("functions"), signal.SIGSTOP)
    mortal.sql(
        "update reminders set scheduled_time = now() - interval '2 minutes' where user_id = %s and task_id in (%s, %s)",
        client.user_id,
        late["id"],
        cancelled["id"],
    )
    kill_and_start(mortal, "functions")
    eventually(lambda: len(deliveries(client)) >= 4, timeout=5, what="the reminders are delivered at the start")
    eventually(lambda: len(subjects(mortal, client)) == 2, timeout=5, what="their mails are there")

    def statuses(task: Json) -> list[str]:
        return [reminder["status"] for reminder in client.get(task["id"])["reminders"]]

    assert [statuses(task) for task in (late, during, future, cancelled)] == [
        ["late"],
        ["sent"],
        ["pending"],
        ["cancelled"],
    ]
    delivered = sorted((details["title"], details["channel"]) for details in deliveries(client))
    assert delivered == [("during", "email"), ("during", "in_app"), ("late", "email"), ("late", "in_app")]
    assert all(details["lateness_seconds"] > 119 for details in deliveries(client, late["id"]))
    assert subjects(mortal, client) == ["during", "late"]
