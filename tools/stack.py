"""The parts of a run, in the order in which they start: servers, mail sink, functions, hub, sidecars, edge."""

import dataclasses
import http
import itertools
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from tools import sidecar
from tools.console import REPOSITORY, OperatorError, shown, step
from tools.daprd import obtain
from tools.options import LOOPBACK, Options
from tools.ports import accepts, free_ports
from tools.processes import Supervisor, record
from tools.servers import Servers


@dataclasses.dataclass(frozen=True)
class Placed:
    """An app with its ports and tokens of this run."""

    app: sidecar.App
    ports: sidecar.Ports
    tokens: sidecar.Tokens = dataclasses.field(default_factory=sidecar.Tokens)

    def record(self) -> dict[str, Any]:
        """What run.json says of it: `api_token` is for the tools that talk to a sidecar by themselves."""
        return {**dataclasses.asdict(self.ports), "api_token": self.tokens.api}


HUB = "sync-hub"
"""The app that holds the sockets. In the embedded mode it is no app of Dapr's, and has no sidecar."""

Mode = Literal["embedded", "kafka"]
RUN_FILES: dict[Mode, str] = {"embedded": "dapr-embedded.yaml", "kafka": "dapr.yaml"}


class Stack:
    """What a run starts, and the record of it in run.json (mode 0600: it holds tokens, and may hold a password)."""

    def __init__(self, options: Options, supervisor: Supervisor, mode: Mode) -> None:
        self._options, self._supervisor, self._mode = options, supervisor, mode
        self._facts: dict[str, Any] = {"pid": os.getpid(), "url": options.url(), "mode": mode}
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
        if options.hostname:
            self._env.setdefault("TICKLER_PUBLIC_URL", options.url())
        choice = {} if mode == "kafka" else {"TICKLER_CONTAINERS": "never"}
        self._servers = Servers(supervisor, options.data, {**self._env, **choice})

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
        apps = sidecar.read_apps(REPOSITORY / RUN_FILES[self._mode])
        step("daprd")
        daprd = obtain(self._supervisor.check)
        self._start_database()
        if self._mode == "kafka":
            self._start_brokers()
        self._start_mail()
        numbers = iter(free_ports(5 * len(apps)))
        placed = [Placed(app, sidecar.Ports(*itertools.islice(numbers, 5))) for app in apps]
        self._note(apps={each.app.app_id: each.record() for each in placed})
        hub = next((each for each in placed if each.app.app_id == HUB), None) or self._hub(placed[0])
        self._note(hub_port=hub.ports.app)
        self._start_functions([*(each for each in placed if each.app.command and each is not hub), hub])
        self._start_sidecars(daprd, placed)
        self._start_edge(placed[0], hub.ports.app)  # the gateway, or the only sidecar
        self._note(ready=True)

    def _start_database(self) -> None:
        url = self._servers.postgres()
        self._env["TICKLER_DATABASE_URL"] = url
        self._note(database_url=url)
        step("migrations")
        self._supervisor.run(
            "migrations", [sys.executable, "-m", "functions.store.migrate"], env=self._env, cwd=REPOSITORY
        )

    def _start_brokers(self) -> None:
        brokers, redis = self._servers.kafka(), urlsplit(self._servers.redis())
        self._env.update(
            TICKLER_KAFKA_BROKERS=brokers,
            TICKLER_REDIS_HOST=f"{redis.hostname}:{redis.port or 6379}",
            TICKLER_REDIS_PASSWORD=unquote(redis.password or ""),
        )
        self._note(kafka_brokers=brokers, redis_url=redis.geturl())
        step("topics")
        command = [sys.executable, "-m", "functions.runtime.topics"]
        self._supervisor.run("topics", command, env=self._env, cwd=REPOSITORY)

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

    @staticmethod
    def _hub(functions: Placed) -> Placed:
        """The hub as a process beside that of the functions, with their settings."""
        command = ("python", "-m", "functions.hub")
        app = dataclasses.replace(functions.app, app_id=HUB, protocol="http", command=command)
        return Placed(app, dataclasses.replace(functions.ports, app=free_ports(1)[0]), functions.tokens)

    def _start_functions(self, placed: Sequence[Placed]) -> None:
        step("functions")
        for each in placed:
            app = each.app
            env = {**self._env, **sidecar.app_environment(app, each.ports), **each.tokens.environment()}
            if "TICKLER_AUTH" in self._env:
                env["TICKLER_AUTH"] = self._env["TICKLER_AUTH"]  # over what the file says
            if self._options.is_loopback():
                env["TICKLER_HOST"] = LOOPBACK  # theirs is where their sidecar finds them, not the edge's
            if self._options.is_private():
                # Whoever calls is one user of this machine, from one address.
                env.setdefault("TICKLER_RATE_PER_USER", "0")
                env.setdefault("TICKLER_RATE_PER_ADDRESS", "0")
                env.setdefault("TICKLER_LIMIT_ADDRESSES", "false")
            program = shutil.which(app.command[0], path=env["PATH"]) or app.command[0]
            name = app.app_id if self._mode == "kafka" or app.app_id == HUB else "functions"
            self._supervisor.start(
                name, [program, *app.command[1:]], env=env, cwd=app.directory, grace=10, group="functions"
            )
        for each in placed:
            self._wait(partial(accepts, each.ports.app), f"{each.app.app_id} did not listen")

    def _start_sidecars(self, daprd: Path, placed: Sequence[Placed]) -> None:
        step(f"sidecar of {placed[0].app.app_id}" if len(placed) == 1 else f"{len(placed)} sidecars")
        for names in self._options.data.glob("names.db*"):
            names.unlink()  # else what a killed run registered there would be found
        for each in placed:
            app = each.app
            command = sidecar.command(daprd, app, each.ports, allowed_origins=self._options.url())
            name = "daprd" if len(placed) == 1 else f"{app.app_id}-daprd"
            env = {**self._env, **each.tokens.environment()}
            self._supervisor.start(name, command, env=env, cwd=app.directory, grace=8, group="sidecars")
        for each in placed:
            ready = partial(sidecar.is_ready, each.ports, each.app.subscriptions(), each.tokens.api)
            self._wait(ready, f"the sidecar of {each.app.app_id} did not subscribe")

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        """Long enough for many that start at once on a busy machine."""
        self._supervisor.until(condition, what=what, timeout=120)

    def _start_edge(self, door: Placed, hub_port: int) -> None:
        step("edge")
        options = self._options
        caddy = shutil.which("caddy", path=self._env["PATH"])
        if caddy is None:
            raise OperatorError("caddy is not in the virtual environment; run `make clean` and `make run` again")
        env = {
            **options.edge_environment(),
            **self._env,
            "DAPR_HTTP": f"{LOOPBACK}:{door.ports.http}",
            "DAPR_API_TOKEN": door.tokens.api,
            "TICKLER_HUBS": f"{LOOPBACK}:{hub_port}",
            **({"TICKLER_APP_ID": "{args[0]}"} if self._mode == "kafka" else {}),
            "XDG_CONFIG_HOME": str(options.data / "caddy"),
            "XDG_DATA_HOME": str(options.data / "caddy"),
        }
        self._supervisor.start(
            "edge",
            [caddy, "run", "--config", REPOSITORY / "components/edge/Caddyfile", "--adapter", "caddyfile"],
            env=env,
            cwd=REPOSITORY,
        )
        name = options.hostname
        self._supervisor.until(
            lambda: (
                sidecar.get(options.port, "/healthz", host=options.address(), tls_name=name)[0] == http.HTTPStatus.OK
            ),
            what=f"{options.url()}/healthz did not answer 200",
            timeout=60,
        )
