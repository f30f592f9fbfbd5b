"""The supervisor of `make run`: with real processes, small ones."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.support.supervising import supervised
from tests.support.waiting import eventually
from tools.console import OperatorError
from tools.processes import Child, StopAsked, Supervisor, describe_status, last_error, record, stop_orphans

SLEEP = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"


@pytest.fixture
def supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    monkeypatch.delenv("MAKELEVEL", raising=False)
    with supervised(tmp_path) as supervisor:
        yield supervisor


def start(supervisor: Supervisor, name: str, script: str, *, grace: float = 5) -> Child:
    child = supervisor.start(name, [sys.executable, "-c", script], env=dict(os.environ), cwd=Path.cwd(), grace=grace)
    if script.endswith(SLEEP):
        eventually(lambda: b"up" in child.log.read_bytes(), what=f"{name} runs")
    return child


def test_stop_ends_every_child_the_last_one_first(supervisor: Supervisor, tmp_path: Path) -> None:
    order = tmp_path / "order"
    for name in ("first", "second", "third"):
        start(
            supervisor,
            name,
            "import signal, sys\n"
            f"def end(*_): open({str(order)!r}, 'a').write({name + ' '!r}); sys.exit()\n"
            f"signal.signal(signal.SIGTERM, end); {SLEEP}",
        )
    children = [psutil.Process(child.process.pid) for child in supervisor.children]
    supervisor.stop()
    assert order.read_text().split() == ["third", "second", "first"]
    assert not any(child.is_running() for child in children)


def test_a_child_that_ignores_its_signal_is_killed_after_its_grace(supervisor: Supervisor) -> None:
    child = start(supervisor, "stubborn", STUBBORN, grace=0.2)
    supervisor.stop()
    assert child.process.returncode == -signal.SIGKILL


def test_a_second_signal_hastens_the_stop(supervisor: Supervisor) -> None:
    child = start(supervisor, "stubborn", STUBBORN, grace=600)
    os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(StopAsked):
        supervisor.check()
    second = subprocess.Popen(
        [sys.executable, "-c", f"import os, time; time.sleep(0.3); os.kill({os.getpid()}, {int(signal.SIGINT)})"]
    )
    supervisor.stop()
    second.wait()
    assert child.process.returncode == -signal.SIGKILL


def test_a_child_that_ends_is_told_in_one_line_with_its_error_and_its_log(supervisor: Supervisor) -> None:
    child = start(supervisor, "part", "import sys; print('ERROR: no more paper'); sys.exit(3)")
    with pytest.raises(OperatorError) as failure:
        supervisor.until(lambda: False, what="never", timeout=30)
    text = str(failure.value)
    assert "\n" not in text
    assert text.startswith("part ended with status 3: ERROR: no more paper (log: ")
    assert str(child.log) in text


def test_what_does_not_happen_in_time_is_named(supervisor: Supervisor) -> None:
    with pytest.raises(OperatorError, match=r"the paper did not come within 0 s; see "):
        supervisor.until(lambda: False, what="the paper did not come", timeout=0.1)


def test_a_program_that_is_missing_is_named(supervisor: Supervisor) -> None:
    with pytest.raises(OperatorError, match=r"part does not start: .*no-such-program"):
        supervisor.start("part", ["/no-such-program"], env={}, cwd=Path.cwd())


def test_a_step_that_ends_well_is_forgotten_and_one_that_fails_raises(supervisor: Supervisor) -> None:
    supervisor.run("step", [sys.executable, "-c", "pass"], env=dict(os.environ), cwd=Path.cwd())
    assert supervisor.children == []
    with pytest.raises(OperatorError, match="step ended with status 1: ValueError: no"):
        supervisor.run("step", [sys.executable, "-c", "raise ValueError('no')"], env={}, cwd=Path.cwd())


def test_the_log_of_the_run_before_is_kept(supervisor: Supervisor, tmp_path: Path) -> None:
    for text in ("before", "now"):
        supervisor.run("step", [sys.executable, "-c", f"print({text!r})"], env=dict(os.environ), cwd=Path.cwd())
    assert (tmp_path / "step.log").read_text() == "now\n"
    assert (tmp_path / "step.log.1").read_text() == "before\n"


def test_children_do_not_outlive_a_killed_supervisor_for_long(tmp_path: Path) -> None:
    """On Linux they die with it; elsewhere the next run ends them."""
    script = (
        "import json, os, pathlib, sys\n"
        "from tools.processes import Supervisor, record\n"
        f"supervisor = Supervisor(pathlib.Path({str(tmp_path)!r}))\n"
        f"command = [sys.executable, '-c', {SLEEP!r}]\n"
        "child = supervisor.start('part', command, env=dict(os.environ), cwd=pathlib.Path())\n"
        "print(json.dumps(record(child)), flush=True)\n"
        "supervisor.watch()\n"
    )
    over = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert over.stdout is not None
    recorded = json.loads(over.stdout.readline())
    child = psutil.Process(recorded["pid"])
    over.kill()
    over.wait()
    over.stdout.close()
    if sys.platform != "linux":
        assert stop_orphans([recorded]) == ["part"]
    eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, what="the child ends")


def test_orphans_are_stopped_by_pid_and_birth_and_nothing_else_is(supervisor: Supervisor) -> None:
    orphan, other = start(supervisor, "orphan", SLEEP), start(supervisor, "other", SLEEP)
    reused = {**record(other), "name": "reused", "create_time": 1.0}
    gone = {"name": "gone", "pid": 2**22 + 1, "create_time": 1.0, "stop_signal": int(signal.SIGTERM)}
    assert stop_orphans([record(orphan), reused, gone]) == ["orphan"]
    assert not psutil.pid_exists(orphan.process.pid)
    assert other.process.poll() is None
    supervisor.children.remove(orphan)


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("", ""),
        ("one\ntwo\n", "two"),
        ('{"level":"error","msg":"no port"}\n{"level":"info","msg":"bye"}\n', "no port"),
        ('{"level":"error","event":"no database"}\n', "no database"),
        (
            "Traceback (most recent call last):\n  File\nModuleNotFoundError: No module named 'x'\n",
            "ModuleNotFoundError",
        ),
        ("2026-01-01 FATAL:  lock file exists\n2026-01-01 LOG:  shut down\n", "2026-01-01 FATAL:  lock file exists"),
        ('["level"]\n', '["level"]'),
    ],
)
def test_last_error(tmp_path: Path, log: str, expected: str) -> None:
    file = tmp_path / "log"
    file.write_text(log)
    found = last_error(file)
    assert found.startswith(expected)
    assert bool(found) == bool(expected)


def test_exit_statuses_in_words() -> None:
    assert describe_status(3) == "ended with status 3"
    assert describe_status(-9) == "was killed (SIGKILL)"


def test_children_of_a_group_are_stopped_together(supervisor: Supervisor) -> None:
    slow = f"import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: (time.sleep(1), sys.exit())); {SLEEP}"
    for number in range(4):
        command = [sys.executable, "-c", slow]
        child = supervisor.start(f"slow{number}", command, env=dict(os.environ), cwd=Path.cwd(), group="slow")
        eventually(partial(_is_up, child), what="it runs")
    children = [psutil.Process(child.process.pid) for child in supervisor.children]
    began = time.monotonic()
    supervisor.stop()
    assert time.monotonic() - began < 3.5
    assert not any(child.is_running() for child in children)


def _is_up(child: Child) -> bool:
    return b"up" in child.log.read_bytes()


def test_a_child_that_ended_is_started_again_where_asked(supervisor: Supervisor) -> None:
    child = start(supervisor, "mortal", SLEEP)
    other = start(supervisor, "other", SLEEP)
    before = (child.process.pid, other.process.pid)
    changes: list[int] = []
    supervisor.on_change = lambda: changes.append(child.process.pid)

    def end() -> None:
        os.kill(before[0], signal.SIGKILL)
        eventually(lambda: child.log.read_bytes().count(b"up") == 2, what="it runs again")
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=end)
    thread.start()
    with pytest.raises(StopAsked):
        supervisor.watch(restart=True)
    thread.join()
    assert child.process.pid != before[0]
    assert changes == [child.process.pid]
    assert other.process.pid == before[1]
