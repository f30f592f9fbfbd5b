"""Makes .venv from a hashed lock: `python3 tools/venv.py runtime` or `dev`. Standard library only.

It does something only when a lock, the interpreter or the place of the repository has changed; two runs at
once take turns. The syntax is that of Python 3.6, so that an old Python gets to say that it is too old.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
NEEDED = (3, 11)
LOCKS = {"runtime": "requirements.lock", "dev": "requirements-dev.lock"}  # the second holds the first


def main(wanted: str) -> None:
    """Makes what is missing; exits with one line on the standard error when it cannot."""
    if sys.version_info[:2] < NEEDED:
        found = f"{sys.executable} is {sys.version.split()[0]}"
        fail(f"Python 3.11 or newer is needed, {found}; name another: make PYTHON=python3.11 ...")
    with open(os.path.join(ROOT, LOCKS[wanted]), "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if read("place") != place() or not os.path.exists(PYTHON):
            create()
        if read(wanted) != digest(wanted):
            install(wanted)


def create() -> None:
    """An empty environment in place of whatever is there."""
    shutil.rmtree(VENV, ignore_errors=True)
    print(f"  making .venv with Python {sys.version.split()[0]}", flush=True)
    made = subprocess.run([sys.executable, "-m", "venv", VENV], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if made.returncode:
        shutil.rmtree(VENV, ignore_errors=True)
        fail(
            sys.executable + " -m venv fails; install its venv module (Debian: apt install python3-venv), "
            "or name another: make PYTHON=python3.11 ..."
        )
    write("place", place())


def install(wanted: str) -> None:
    """Installs a lock, each file checked against its hash."""
    started, told = time.monotonic(), time.monotonic()
    print(f"  installing {LOCKS[wanted]} into .venv", flush=True)
    command = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--require-hashes", "-r", os.path.join(ROOT, LOCKS[wanted])]
    with tempfile.TemporaryFile("w+") as output:
        pip = subprocess.Popen(command, stdout=output, stderr=output, env=dict(os.environ, PIP_USER="0"))
        while pip.poll() is None:
            time.sleep(0.1)
            if time.monotonic() - told > 10:
                told = time.monotonic()
                print(f"  installing: {told - started:.0f} s so far", flush=True)
        output.seek(0)
        lines = [line.strip() for line in output if line.strip()]
    if pip.returncode:
        errors = [line for line in lines if line.startswith("ERROR")] or lines or ["no reason given"]
        fail(f"pip cannot install {LOCKS[wanted]}: {errors[-1]}; check the network, and run again")
    for name in ("runtime", wanted):
        write(name, digest(name))


def place() -> str:
    """What a virtual environment is bound to: its own path and its interpreter."""
    return f"{VENV} {sys.version} {sys.base_prefix}"


def digest(wanted: str) -> str:
    """The hash of a lock's content."""
    with open(os.path.join(ROOT, LOCKS[wanted]), "rb") as lock:
        return hashlib.sha256(lock.read()).hexdigest()


def read(stamp: str) -> str:
    """What was written under this name, "" for nothing."""
    try:
        with open(os.path.join(VENV, "tickler-" + stamp)) as file:
            return file.read()
    except OSError:
        return ""


def write(stamp: str, text: str) -> None:
    """Keeps a text under this name in the environment."""
    with open(os.path.join(VENV, "tickler-" + stamp), "w") as file:
        file.write(text)


def fail(text: str) -> None:
    """One line, and exit status 1."""
    sys.exit("tickler: " + text)


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except KeyboardInterrupt:
        sys.exit(130)
