"""Checks what is in web/: `python3 -m tools.web` lints it, checks its types and runs its tests. Standard library only.

The packages of web/package-lock.json are installed first, where the lock or Node has changed since.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

WEB = Path(__file__).resolve().parent.parent / "web"
LOCK = WEB / "package-lock.json"
STAMP = WEB / "node_modules" / ".tickler"
NEEDED = (20, 19)
CHECKS = (
    ["eslint", "--max-warnings", "0", "."],
    ["tsc", "--noEmit"],
    ["vitest", "run", "--silent=passed-only", "--reporter=dot"],
)


def main() -> None:
    """Ends with one line on the standard error, and status 1, where something does not pass."""
    install()
    for command in CHECKS:
        if subprocess.run([WEB / "node_modules" / ".bin" / command[0], *command[1:]], cwd=WEB).returncode:
            fail(f"web: {' '.join(command)} fails")


def install() -> None:
    """Has web/node_modules be what the lock says, unless it is."""
    version = node_version()
    with LOCK.open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = f"{version} {hashlib.sha256(lock.read()).hexdigest()}"
        if not STAMP.exists() or STAMP.read_text() != wanted:
            clean_install()
            STAMP.write_text(wanted)


def node_version() -> str:
    """What Node there is, as v20.19.0."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        fail("node and npm are not on PATH; install Node.js 20.19 or newer (https://nodejs.org)")
    found = subprocess.run(["node", "--version"], stdout=subprocess.PIPE, text=True).stdout.strip()
    if tuple(map(int, re.findall(r"\d+", found)[:2])) < NEEDED:
        fail(f"Node.js 20.19 or newer is needed, this is {found or 'none'}")
    return found


def clean_install() -> None:
    """Exactly what the lock has, each package checked against its hash; no package runs a script."""
    print("  installing web/package-lock.json into web/node_modules", flush=True)
    npm = subprocess.run(
        ["npm", "ci", "--loglevel=error"], cwd=WEB, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if npm.returncode:
        lines = [line.strip() for line in npm.stdout.splitlines() if line.strip()] or ["no reason given"]
        fail(f"npm ci fails: {lines[0]}; check the network, and run again")


def fail(text: str) -> None:
    sys.exit("tickler: " + text)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
