"""The parts of a run, in the order in which they start: database, mail sink, functions, sidecar, edge."""

import contextlib
import http
import json
import os
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

from tools import postgres, sidecar
from tools.console import REPOSITORY, OperatorError, shown, step
from tools.daprd import obtain
from tools.options import LOOPBACK, Options
from tools.processes import Supervisor, record


def free_ports(count: int) -> list[int]:
    """Free loopback ports, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return [each.getsockname()[1] for each in sockets]


class Stack:
    """What a run starts, and the record of it in run.json (mode 0600: it may hold a password)."""

    def __init__(self, options: Options, supervisor: Supervisor) -> None:
        self._options, self._supervisor = options, supervisor
        self._facts: dict[str, Any] = {"pid": os.getpid(), "url": options.url()}
        supervisor.on_change = self._write
        # So that "python" in dapr.yaml, and what it starts, is this virtual environment's.
        self._env = {
            **os.environ,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
            "PYTHONUNBUFFERED": "1",
            "TICKLER_DATA": str(options.data),
            "TICKLER_HOST": options.host,
            "TICKLER_PORT": str(options.port),
        }

    def _note(self, **facts: object) -> None:
        self._facts.update(facts)
        self._write()

    def _write(self) -> None:
        """Written whole or not at all: the next run reads it after a crash."""
        children = [record(child) for child in self._supervisor.children]
        target = self._options.data / "run.json"
        draft = target.with_suffix(".tmp")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump({**self._facts, "children": children}, file, indent=2)
        draft.replace(target)

    def start(self) -> None:
        """Starts every part and waits until the whole answers at its URL."""
        app = sidecar.read_app(REPOSITORY / "dapr.yaml")
        step("daprd")
        daprd = obtain(self._supervisor.check)
        self._start_database()
        self._start_mail()
        ports = sidecar.Ports(*free_ports(5))
        self._note(
            app_id=app.app_id,
            app_port=ports.app,
            dapr_http_port=ports.http,
            dapr_grpc_port=ports.grpc,
            dapr_http_url=f"http://{LOOPBACK}:{ports.http}",
        )
        self._start_functions(app, ports)
        self._start_sidecar(daprd, app, ports)
        self._start_edge(app, ports)
        self._note(ready=True)

    def _start_database(self) -> None:
        options = self._options
        if options.database_url is not None:
            step("PostgreSQL of TICKLER_DATABASE_URL")
            url = options.database_url
            postgres.check(url)
        else:
            first = "" if (options.data / "postgres").exists() else " (the first time takes some seconds more)"
            step(f"PostgreSQL in {shown(options.data / 'postgres')}{first}")
            url = postgres.start(self._supervisor, options.data, self._env)
        self._env["TICKLER_DATABASE_URL"] = url
        self._note(database_url=url)
        step("migrations")
        self._supervisor.run(
            "migrations", [sys.executable, "-m", "functions.store.migrate"], env=self._env, cwd=REPOSITORY
        )

    def _start_mail(self) -> None:
        if self._options.smtp_host is not None:
            self._env.setdefault("TICKLER_SMTP_PORT", "25")
            return
        (port,) = free_ports(1)
        directory = self._options.data / "mail"
        step(f"mail sink in {shown(directory)}")
        self._supervisor.start(
            "mail",
            [sys.executable, "-m", "tools.mail", "serve", "--port", str(port), "--directory", directory],
            env=self._env,
            cwd=REPOSITORY,
        )
        self._supervisor.until(lambda: accepts(port), what="the mail sink did not start", timeout=30)
        self._env.update(TICKLER_SMTP_HOST=LOOPBACK, TICKLER_SMTP_PORT=str(port))
        self._note(mail_directory=str(directory), smtp_port=port)

    def _start_functions(self, app: sidecar.App, ports: sidecar.Ports) -> None:
        step("functions")
        env = {**self._env, **sidecar.app_environment(app, ports)}
        if self._options.is_loopback():
            env["TICKLER_HOST"] = LOOPBACK  # theirs is where their sidecar finds them, not the edge's
        program = shutil.which(app.command[0], path=env["PATH"]) or app.command[0]
        self._supervisor.start("functions", [program, *app.command[1:]], env=env, cwd=app.directory, grace=10)
        self._supervisor.until(lambda: accepts(ports.app), what="the functions did not listen", timeout=60)

    def _start_sidecar(self, daprd: Path, app: sidecar.App, ports: sidecar.Ports) -> None:
        step(f"sidecar of {app.app_id}")
        command = sidecar.command(daprd, app, ports, allowed_origins=self._options.url())
        self._supervisor.start("daprd", command, env=self._env, cwd=app.directory, grace=8)
        self._supervisor.until(lambda: sidecar.is_ready(ports), what="daprd did not subscribe", timeout=60)

    def _start_edge(self, app: sidecar.App, ports: sidecar.Ports) -> None:
        step("edge")
        options = self._options
        caddy = shutil.which("caddy", path=self._env["PATH"])
        if caddy is None:
            raise OperatorError("caddy is not in the virtual environment; run `make clean` and `make run` again")
        env = {
            **self._env,
            "DAPR_HTTP": f"{LOOPBACK}:{ports.http}",
            "TICKLER_APP_ID": app.app_id,
            "XDG_CONFIG_HOME": str(options.data / "caddy"),
            "XDG_DATA_HOME": str(options.data / "caddy"),
        }
        if not options.is_loopback():
            env.setdefault("TICKLER_HOSTS", ".*")
        self._supervisor.start(
            "edge",
            [caddy, "run", "--config", REPOSITORY / "components/edge/Caddyfile", "--adapter", "caddyfile"],
            env=env,
            cwd=REPOSITORY,
        )
        host = options.url().removeprefix("http://").rsplit(":", 1)[0].strip("[]")
        self._supervisor.until(
            lambda: sidecar.get(options.port, "/healthz", host=host)[0] == http.HTTPStatus.OK,
            what=f"{options.url()}/healthz did not answer 200",
            timeout=60,
        )


def accepts(port: int) -> bool:
    """True when something listens at the loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((LOOPBACK, port)) == 0
