"""`make run` where things go wrong: one clear line each time, and never a process left."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.conftest import NewSystem
from tests.support.client import expect
from tests.support.system import REPOSITORY, System, free_port
from tests.support.waiting import eventually

PARTS = ["postgres", "mail", "functions", "daprd", "sync-hub", "edge"]


def run(data: Path, port: int, **env: str) -> subprocess.CompletedProcess[str]:
    """A start that is expected to fail."""
    return subprocess.run(
        [sys.executable, "-m", "tools.run"],
        cwd=REPOSITORY,
        env={"PATH": "/usr/bin:/bin", "HOME": str(Path.home()), "TICKLER_DATA": str(data), "TICKLER_PORT": str(port)}
        | env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def only_line(stderr: str) -> str:
    (line,) = stderr.splitlines()
    return line


def test_everything_listens_on_loopback_only(system: System) -> None:
    addresses = {
        connection.laddr.ip.removeprefix("::ffff:")
        for process in system.processes()
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN or connection.type == socket.SOCK_DGRAM
    }
    assert addresses <= {"127.0.0.1", "::1"}


def test_the_record_of_a_run_is_only_for_its_owner(system: System) -> None:
    assert (system.data / "run.json").stat().st_mode & 0o077 == 0


def test_a_second_run_on_the_same_data_is_refused(system: System) -> None:
    result = run(system.data, free_port())
    assert result.returncode == 1
    line = only_line(result.stderr)
    assert f"already runs (pid {system.pid('supervisor')}) at {system.url}; stop it with Ctrl-C there" in line
    assert system.run["url"] == system.url


def test_a_port_in_use_is_named(system: System, tmp_path: Path) -> None:
    result = run(tmp_path / "data", system.port)
    assert result.returncode == 1
    assert f"port {system.port} on 127.0.0.1 is in use" in only_line(result.stderr)
    assert "TICKLER_PORT=" in result.stderr


def test_a_wrong_setting_of_the_functions_is_named(tmp_path_factory: pytest.TempPathFactory, system: System) -> None:
    result = run(
        tmp_path_factory.mktemp("data"),
        free_port(),
        TICKLER_DATABASE_URL=system.run["database_url"],
        TICKLER_THREADS="one",
        TICKLER_DAPRD=psutil.Process(system.pid("daprd")).exe(),
    )
    assert result.returncode == 1
    assert "TICKLER_THREADS" in only_line(result.stderr)


def test_the_first_start_makes_a_user_and_says_how_to_sign_in(system: System) -> None:
    file = system.data / "secrets" / "local-user"
    assert file.stat().st_mode & 0o777 == 0o600
    credentials = json.loads(file.read_text())
    answer = expect(system.client(None).rest("POST", "/api/auth/token", credentials))
    you = system.client(None, {"Authorization": f"Bearer {answer['access_token']}"})
    assert expect(you.rest("GET", "/api/settings"))["email"] == credentials["email"]
    assert f"sign in as {credentials['email']}; the password is in {file}" in system.output
    assert f"curl -s {system.url}/api/auth/token -d @{file}" in system.output
    assert credentials["password"] not in system.output


def test_a_user_whose_file_was_spoilt_is_named(new_system: NewSystem) -> None:
    system = new_system()
    (system.data / "secrets").mkdir(mode=0o700)
    (system.data / "secrets" / "local-user").write_text('{"email": "you@tickler.localhost", "password": "short"}')
    with pytest.raises(AssertionError, match="local-user is not what one can sign up with; remove it"):
        system.start()


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_dies_takes_the_rest_with_it_and_is_named(new_system: NewSystem, part: str) -> None:
    system = new_system()
    system.start()
    system.kill(part)
    assert system.wait_ended() == 1
    line = system.output.splitlines()[-1]
    assert line.startswith(f"tickler: {part} was killed (SIGKILL) (log: ")
    assert "run `make run` again, nothing accepted is lost" in line


def test_after_a_killed_supervisor_the_next_start_works_and_one_without_the_password_makes_another_user(
    new_system: NewSystem,
) -> None:
    system = new_system()
    system.start()
    client = system.client("ada")
    created = client.create("kept")
    file = system.data / "secrets" / "local-user"
    credentials = file.read_text()
    system.kill("supervisor")
    system.start()
    assert file.read_text() == credentials
    expect(system.client(None).rest("POST", "/api/auth/token", json.loads(credentials)))
    assert client.get(created["id"])["title"] == "kept"
    system.stop()
    file.unlink()
    system.start()
    another = json.loads(file.read_text())
    expect(system.client(None).rest("POST", "/api/auth/token", another))
    assert f"sign in as {another['email']}" in system.output
    system.stop()


def test_a_stop_during_the_start_leaves_nothing(new_system: NewSystem) -> None:
    system = new_system()
    process = subprocess.Popen(
        [sys.executable, "-m", "tools.run"], cwd=REPOSITORY, env=system._env, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "functions" in line:
            break
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    process.stdout.close()
    assert children
    eventually(lambda: not any(child.is_running() for child in children), what="every child is gone")
