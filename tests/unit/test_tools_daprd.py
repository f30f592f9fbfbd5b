"""Where daprd comes from; the release and the build are stood in for by a local server and small programs."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tools import daprd
from tools.console import OperatorError
from tools.daprd import obtain


def program(path: Path, version: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {version}\n")
    path.chmod(0o755)
    return path


class Releases:
    """A server of release files."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                body = outer.files.get(self.path)
                self.send_response(404 if body is None else 200)
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def releases(tmp_path: Path) -> Iterator[Releases]:
    """The published release, with its digest: a script that says it is the release."""
    script = b"#!/bin/sh\necho 1.16.14\n"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        entry = tarfile.TarInfo("daprd")
        entry.size = len(script)
        archive.addfile(entry, io.BytesIO(script))
    name = f"/v1.16.14/daprd_{daprd._platform()}.tar.gz"
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    served = Releases({name: buffer.getvalue(), f"{name}.sha256": f"{digest}  daprd.tar.gz\n".encode()})
    thread = threading.Thread(target=served.server.serve_forever)
    thread.start()
    yield served
    served.server.shutdown()
    thread.join()
    served.server.server_close()


@pytest.fixture(autouse=True)
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No daprd, no Go, an empty cache, and nothing that answers."""
    monkeypatch.delenv("TICKLER_DAPRD", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin")
    monkeypatch.setattr(daprd, "_DOWNLOADS", "http://127.0.0.1:1")


def test_the_one_that_is_named_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = program(tmp_path / "mine", "edge")
    monkeypatch.setenv("TICKLER_DAPRD", str(named))
    assert obtain() == named


def test_one_that_does_not_run_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICKLER_DAPRD", str(tmp_path / "nothing"))
    with pytest.raises(OperatorError, match=r"TICKLER_DAPRD is .*nothing, which does not run"):
        obtain()


def test_one_of_the_series_on_path_is_used(tmp_path: Path) -> None:
    found = program(tmp_path / "bin/daprd", "1.16.9")
    assert obtain() == found


def test_another_version_on_path_is_left_alone(
    tmp_path: Path, releases: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "bin/daprd", "1.15.3")
    monkeypatch.setattr(daprd, "_DOWNLOADS", releases.url)
    assert obtain().is_relative_to(tmp_path / "cache")


def test_the_release_is_verified_unpacked_and_kept(
    tmp_path: Path, releases: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daprd, "_DOWNLOADS", releases.url)
    path = obtain()
    assert path.is_relative_to(tmp_path / "cache/tickler/daprd")
    assert daprd._version(path) == "1.16.14"
    asked = len(releases.asked)
    assert obtain() == path
    assert len(releases.asked) == asked
    assert sorted(entry.name for entry in path.parent.parent.iterdir()) == [path.parent.name, "lock"]


def test_a_release_that_is_not_what_was_published_is_not_kept(
    tmp_path: Path, releases: Releases, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(daprd, "_DOWNLOADS", releases.url)
    (archive,) = (name for name in releases.files if name.endswith(".gz"))
    releases.files[archive] += b"x"
    with pytest.raises(OperatorError, match="Go is needed"):
        obtain()
    assert "published digest" in capsys.readouterr().out
    assert not list((tmp_path / "cache").rglob("daprd_*")) + list((tmp_path / "cache").rglob("1.16.14*"))


def test_without_release_and_go_the_way_to_mend_it_is_one_line() -> None:
    with pytest.raises(OperatorError, match=r"Go is needed .* not on PATH; install Go .* or put a daprd 1\.16 on PATH"):
        obtain()


def test_an_old_go_is_named(tmp_path: Path) -> None:
    program(tmp_path / "bin/go", "go version go1.19.8 linux/amd64")
    with pytest.raises(OperatorError, match=r"Go is too old .*go1\.19\.8"):
        obtain()


def test_a_build_is_kept_for_the_module_that_it_is_of(tmp_path: Path) -> None:
    go = program(tmp_path / "bin/go", "")
    go.write_text(
        "#!/bin/sh\n"
        'if [ "$1" = version ]; then echo go version go1.26.0 linux/amd64; exit; fi\n'
        'while [ "$1" != -o ]; do shift; done\n'
        'printf \'#!/bin/sh\\necho 1.16.0\\n\' > "$2"; chmod 755 "$2"\n'
    )
    path = obtain()
    assert daprd._version(path) == "1.16.0"
    assert daprd._module_hash() in path.parent.name
    go.unlink()
    assert obtain() == path


def test_a_build_that_fails_is_told_by_its_last_line(tmp_path: Path) -> None:
    go = program(tmp_path / "bin/go", "")
    go.write_text(
        "#!/bin/sh\n"
        'if [ "$1" = version ]; then echo go version go1.26.0 linux/amd64; exit; fi\n'
        "echo first; echo main.go:7: no such package; exit 1\n"
    )
    with pytest.raises(OperatorError, match=r"does not build: main.go:7: no such package"):
        obtain()


def test_a_broken_one_in_the_cache_is_made_again(
    tmp_path: Path, releases: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daprd, "_DOWNLOADS", releases.url)
    path = obtain()
    path.write_text("#!/bin/sh\nexit 1\n")
    assert obtain() == path
    assert daprd._version(path) == "1.16.14"
