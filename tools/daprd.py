"""Obtains daprd 1.16, Dapr's sidecar: from PATH, the cache, the official release, or a build of tools/daprd.

TICKLER_DAPRD names one to use instead.

`python -m tools.daprd` prints the path. What is downloaded or built is kept in
${XDG_CACHE_HOME:-~/.cache}/tickler/daprd, a folder per version; two runs at once wait for each other.
"""

import contextlib
import hashlib
import io
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from tools import cache
from tools.console import REPOSITORY, OperatorError, Progress, fail, step

SERIES = "1.16."
_NAME = "daprd"
_RELEASE = "1.16.14"
"""The newest release of the series. Its archive is checked against the digest published beside it."""
_BUILD = "1.16.0"
"""What tools/daprd/go.mod requires."""
_MODULE = REPOSITORY / "tools" / "daprd"
_GO_NEEDED = (1, 21)
"""From here on Go fetches the toolchain that go.mod asks for."""
_CONNECT_SECONDS = 5
_DOWNLOADS = "https://github.com/dapr/dapr/releases/download"


def obtain(check: cache.Check = lambda: None) -> Path:
    """The path of a daprd of the 1.16 series; OperatorError with the way to mend it when there is none."""
    if named := os.environ.get("TICKLER_DAPRD"):
        if _version(Path(named)) is None:
            raise OperatorError(f"TICKLER_DAPRD is {named}, which does not run as daprd; correct or unset it")
        return Path(named).resolve()
    found = shutil.which("daprd")
    if found and (_version(Path(found)) or "").startswith(SERIES):
        return Path(found)
    release = cache.folder(_NAME) / f"{_RELEASE}-{_platform()}" / "daprd"
    build = cache.folder(_NAME) / f"{_BUILD}-{_module_hash()}" / "daprd"
    return _cached(release, build) or _make(release, build, check)


def _cached(*candidates: Path) -> Path | None:
    return next((path for path in candidates if path.exists() and _version(path) is not None), None)


def _make(release: Path, build: Path, check: cache.Check) -> Path:
    with cache.only_one(_NAME, check):
        if made := _cached(release, build):
            return made
        reason = _download(release, check)
        if reason is None:
            return release
        step(f"daprd {_RELEASE} cannot be downloaded ({reason}); building {_BUILD} from tools/daprd")
        _build(build, check)
        return build


def _version(program: Path) -> str | None:
    """What `daprd --version` prints; None when it does not run."""
    try:
        result = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip()


def _platform() -> str:
    """The platform as Dapr's releases name it: linux_amd64, darwin_arm64."""
    machine = platform.machine().lower()
    machine = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}.get(machine, machine)
    return f"{platform.system().lower()}_{machine}"


def _module_hash() -> str:
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum", "main.go"):
        digest.update((_MODULE / name).read_bytes())
    return digest.hexdigest()[:16]


def _download(target: Path, check: cache.Check) -> str | None:
    """Downloads and verifies the official release; returns None, or why it could not be had."""
    archive = f"{_DOWNLOADS}/v{_RELEASE}/daprd_{_platform()}.tar.gz"
    outcome: list[str | None] = []

    def work() -> None:
        try:
            expected = _fetch(f"{archive}.sha256").split()[0].decode()
            reached.set()
            if abandoned.is_set():
                return
            step(f"daprd {_RELEASE}: downloading the official release")
            content = _fetch(archive)
            if hashlib.sha256(content).hexdigest() != expected:
                raise OperatorError(f"{archive} does not have its published digest; try again")
            with cache.new(_NAME, target) as made:
                _unpack(content, made)
            outcome.append(None)
        except (OSError, urllib.error.URLError, IndexError, ValueError) as error:
            outcome.append(str(getattr(error, "reason", error)) or type(error).__name__)
        except OperatorError as error:
            outcome.append(str(error))

    # A thread, because no timeout bounds the look-up of a name where nothing answers.
    reached, abandoned = threading.Event(), threading.Event()
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    progress = Progress(f"daprd {_RELEASE}: downloading")
    started = time.monotonic()
    while thread.is_alive():
        check()
        progress.tick()
        if not reached.is_set() and time.monotonic() - started > _CONNECT_SECONDS:
            abandoned.set()
            return "no answer"
        thread.join(0.1)
    return outcome[0]


def _fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=_CONNECT_SECONDS) as response:
        content: bytes = response.read()
    return content


def _unpack(archive: bytes, target: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        program = files.extractfile("daprd")
        if program is None:
            raise ValueError("the archive holds no daprd")
        target.write_bytes(program.read())
        target.chmod(0o755)


def _build(target: Path, check: cache.Check) -> None:
    """Builds tools/daprd with Go: about four minutes at first on two cores, seconds once Go has its cache."""
    _need_go()
    progress = Progress(f"building daprd {_BUILD} (some minutes the first time)", interval=15)
    command = ["go", "build", "-mod=readonly", "-buildvcs=false", "-tags", "stablecomponents"]
    command += ["-ldflags", f"-s -w -X github.com/dapr/dapr/pkg/buildinfo.version={_BUILD}"]
    with cache.new(_NAME, target) as made:
        status, lines = cache.run(
            [*command, "-o", made, "."],
            cwd=_MODULE,
            env={**os.environ, "CGO_ENABLED": "0"},
            check=check,
            progress=progress,
        )
        if status:
            raise OperatorError(
                f"daprd does not build: {lines[-1] if lines else 'go gave no reason'}; mend that and run "
                "again, or put a daprd 1.16 on PATH"
            )


def _need_go() -> None:
    mend = "install Go 1.24.6 or newer (https://go.dev/dl), or put a daprd 1.16 on PATH"
    if shutil.which("go") is None:
        raise OperatorError(f"Go is needed to build daprd and is not on PATH; {mend}")
    found = subprocess.run(["go", "version"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"go(\d+)\.(\d+)", found)
    if version is None or (int(version[1]), int(version[2])) < _GO_NEEDED:
        raise OperatorError(f"Go is too old to build daprd ({found.strip() or 'no version'}); {mend}")


def main() -> int:
    """Prints the path of daprd; progress goes to the standard error."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            path = obtain()
        print(path)
    except OperatorError as error:
        return fail(error)
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
