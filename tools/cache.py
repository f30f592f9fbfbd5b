"""What is downloaded or built once: kept below ${XDG_CACHE_HOME:-~/.cache}/tickler, a folder per program."""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tools.console import OperatorError, Progress

Check = Callable[[], None]
"""Called often during long steps; raises to stop them."""


def folder(program: str) -> Path:
    """The cache of a program; it may not exist yet."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "tickler" / program


@contextlib.contextmanager
def only_one(program: str, check: Check) -> Iterator[None]:
    """Holds the lock of a program's cache, and removes what a killed run left half made."""
    cache = folder(program)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock = (cache / "lock").open("w")
    except OSError as error:
        raise OperatorError(f"the cache for {program} cannot be written ({error}); set XDG_CACHE_HOME") from error
    with lock:
        progress = Progress(f"waiting for another run that obtains {program}")
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                check()
                progress.tick()
                time.sleep(0.2)
        for leftover in cache.glob("new-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        yield


@contextlib.contextmanager
def new(program: str, target: Path) -> Iterator[Path]:
    """A path to make a file or folder of the cache at: it gets to its target in one rename, or not at all."""
    with tempfile.TemporaryDirectory(dir=folder(program), prefix="new-") as draft:
        made = Path(draft) / target.name
        yield made
        target.parent.mkdir(exist_ok=True)
        made.replace(target)


def run(
    command: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str], check: Check, progress: Progress
) -> tuple[int, list[str]]:
    """Runs a long command quietly; returns its exit status and the lines that it printed."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            while process.poll() is None:
                check()
                progress.tick()
                time.sleep(0.1)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait()
        output.seek(0)
        return process.returncode, output.read().decode(errors="replace").strip().splitlines()
