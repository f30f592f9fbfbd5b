"""Child processes: started in sessions of their own, watched, and stopped in order, so that none is left."""

import contextlib
import ctypes
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import psutil

from tools.console import OperatorError, shown, step

_POLL_SECONDS = 0.05
_RESTART_SECONDS = (1.0, 4.0)
"""Before a child that ended is started again, and at most, after doubling each time that it ended soon."""
_STEADY_SECONDS = 10.0
"""It did not end soon if it ran for longer than that."""
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class StopAsked(Exception):
    """Ctrl-C, a signal, or the death of the `make` that started us."""


@dataclass
class Child:
    """A process that runs as long as the product does, and how it is asked to stop."""

    name: str
    spawn: Callable[[], subprocess.Popen[bytes]]
    process: subprocess.Popen[bytes]
    log: Path
    stop_signal: signal.Signals
    grace: float
    """Seconds between the stop signal and SIGKILL."""
    group: str
    started: float
    """When, by the monotonic clock."""
    pause: float = _RESTART_SECONDS[0] / 2
    """Seconds before it is started again."""
    ended: float | None = None
    """When its end was seen, where it is to be started again."""

    def failure(self, status: int, advice: str) -> OperatorError:
        """One line: who ended, how, its last error, its log, and what to do."""
        return OperatorError(f"{self.said(status)} (log: {shown(self.log)}); {advice}")

    def said(self, status: int) -> str:
        """Who ended, how, and its last error."""
        error = "" if status == -signal.SIGKILL else last_error(self.log)
        return f"{self.name} {describe_status(status)}{': ' + error if error else ''}"


class Supervisor:
    """Starts children, waits for conditions while they live, and stops them in reverse order.

    Signals only set a flag, which every wait looks at: a child is never started and then forgotten.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._signals = 0
        self._parent = os.getppid() if "MAKELEVEL" in os.environ else None
        self.children: list[Child] = []
        self.on_change: Callable[[], None] = lambda: None
        self._advice = "the rest was stopped; mend that and run `make run` again"
        signal.signal(signal.SIGINT, self._note_signal)
        signal.signal(signal.SIGTERM, self._note_signal)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup(1) sets it
            signal.signal(signal.SIGHUP, self._note_signal)

    def _note_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1

    def start(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        cwd: Path,
        stop_signal: signal.Signals = signal.SIGTERM,
        grace: float = 5,
        user: str | None = None,
        group: str = "",
    ) -> Child:
        """Starts a child that logs to `<logs>/<name>.log`; the previous log is kept as `.log.1`.

        Children of one `group`, started one after the other, are stopped together.
        """
        log = self._logs / f"{name}.log"
        if log.exists():
            log.replace(log.with_suffix(".log.1"))

        def spawn() -> subprocess.Popen[bytes]:
            with log.open("ab") as output:
                try:
                    return subprocess.Popen(
                        command,
                        env=env,
                        cwd=cwd,
                        user=user,
                        group=user,
                        extra_groups=None if user is None else [],
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,  # Ctrl-C reaches only the supervisor
                        preexec_fn=_die_with_parent(stop_signal),
                    )
                except OSError as error:
                    raise OperatorError(f"{name} does not start: {error}") from error

        child = Child(name, spawn, spawn(), log, stop_signal, grace, group or name, time.monotonic())
        self.children.append(child)
        self.on_change()
        return child

    def stop_asked(self) -> bool:
        """True after Ctrl-C, SIGTERM or SIGHUP, or when the `make` that started us is gone."""
        return self._signals > 0 or (self._parent is not None and os.getppid() != self._parent)

    def check(self) -> None:
        """Raises StopAsked when the operator wants to stop, OperatorError when a child has ended."""
        if self.stop_asked():
            raise StopAsked
        for child in self.children:
            status = child.process.poll()
            if status is not None:
                raise child.failure(status, self._advice)

    def until(self, condition: Callable[[], bool], *, what: str, timeout: float) -> None:
        """Waits until the condition holds; OperatorError with `what` after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not condition():
            self.check()
            if time.monotonic() > deadline:
                raise OperatorError(f"{what} within {timeout:.0f} s; see {shown(self._logs)}")
            time.sleep(_POLL_SECONDS)

    def run(self, name: str, command: Sequence[str | Path], *, env: Mapping[str, str], cwd: Path) -> None:
        """Runs a child to its end; OperatorError when it fails."""
        child = self.start(name, command, env=env, cwd=cwd)
        while child.process.poll() is None:
            self.check()
            time.sleep(_POLL_SECONDS)
        self.forget(child)

    def forget(self, child: Child) -> None:
        """Takes an ended child off the list: its end was expected, unless it failed."""
        self.children.remove(child)
        self.on_change()
        if child.process.returncode:
            raise child.failure(child.process.returncode, self._advice)

    def watch(self, *, restart: bool = False) -> None:
        """Returns never: raises as `check` does, once everything has started; with `restart`, a child that ended is
        started again instead."""
        self._advice = "the rest was stopped; run `make run` again, nothing accepted is lost"
        while True:
            if not restart:
                self.check()
            elif self.stop_asked():
                raise StopAsked
            else:
                self._restart()
            time.sleep(_POLL_SECONDS * 4)

    def _restart(self) -> None:
        now = time.monotonic()
        for child in self.children:
            if child.ended is None and (status := child.process.poll()) is not None:
                shortest, longest = _RESTART_SECONDS
                child.pause = shortest if now - child.started > _STEADY_SECONDS else min(longest, child.pause * 2)
                child.ended = now
                step(f"{child.said(status)}; it starts again in {child.pause:.0f} s")
            elif child.ended is not None and now - child.ended >= child.pause:
                child.process, child.started, child.ended = child.spawn(), now, None
                self.on_change()

    def stop(self) -> None:
        """Stops every child, the last group started first; a further signal hastens to SIGKILL."""
        patience = self._signals or 1
        for _, together in itertools.groupby(reversed(self.children), key=lambda child: child.group):
            alive = [child for child in together if child.process.poll() is None]
            for child in alive:
                _send(child.process.pid, child.stop_signal)
            began = time.monotonic()
            while alive := [child for child in alive if child.process.poll() is None]:
                for child in alive:
                    if time.monotonic() - began > child.grace or self._signals > patience:
                        with contextlib.suppress(ProcessLookupError):
                            os.killpg(child.process.pid, signal.SIGKILL)
                        child.process.wait()
                time.sleep(_POLL_SECONDS)
        self.children.clear()
        self.on_change()


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _die_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    """On Linux the kernel stops the child when the supervisor is killed (prctl(2), PR_SET_PDEATHSIG)."""
    if _libc is None:
        return None
    prctl = _libc.prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)


def describe_status(status: int) -> str:
    """An exit status of subprocess in words: "ended with status 3", "was killed (SIGKILL)"."""
    if status < 0:
        return f"was killed ({signal.Signals(-status).name})"
    return f"ended with status {status}"


def last_error(log: Path, *, tail: int = 64_000) -> str:
    """The last error in a log of JSON or plain lines; else its last line; "" for an empty log."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - tail))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    for line in reversed(lines):
        message = _error_message(line)
        if message:
            return message
    return lines[-1][:300] if lines else ""


def _error_message(line: str) -> str | None:
    try:
        entry = json.loads(line)
    except ValueError:
        found = any(word in line for word in ("ERROR", "FATAL", "PANIC", "Error:", "error:", "fatal"))
        return line[:300] if found else None
    if not isinstance(entry, dict) or str(entry.get("level")) not in {"error", "fatal", "critical", "panic"}:
        return None
    return next((str(entry[key])[:300] for key in ("msg", "event", "message") if entry.get(key)), None)


def stop_orphans(recorded: Sequence[Mapping[str, object]], *, grace: float = 8) -> list[str]:
    """Stops what a killed supervisor left behind, and returns the names of what was still there.

    Each record has name, pid and create_time (seconds since the epoch), as `record` makes them. A pid counts
    only if its process was created at that time and leads its own session, as our children do.
    """
    found: list[tuple[str, psutil.Process]] = []
    for entry in reversed(recorded):
        with contextlib.suppress(psutil.Error, ProcessLookupError, PermissionError):
            process = psutil.Process(int(str(entry["pid"])))
            started = float(str(entry["create_time"]))
            if abs(process.create_time() - started) < 5 and os.getsid(process.pid) == process.pid:
                found.append((str(entry["name"]), process))
                process.send_signal(int(str(entry["stop_signal"])))
    _, alive = psutil.wait_procs([process for _, process in found], timeout=grace)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=grace)
    return [name for name, _ in found]


def record(child: Child) -> dict[str, object]:
    """What `stop_orphans` needs to find this child again."""
    try:
        created = psutil.Process(child.process.pid).create_time()
    except psutil.NoSuchProcess:
        created = time.time()
    return {
        "name": child.name,
        "pid": child.process.pid,
        "create_time": created,
        "stop_signal": int(child.stop_signal),
    }
