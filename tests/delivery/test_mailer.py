"""Mail against a real SMTP server: one that takes it, refuses it, goes away, or is slow."""

from __future__ import annotations

import asyncio
import email
import email.policy
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from functions.runtime.mailer import Mailer
from functions.runtime.settings import Settings
from functions.runtime.sidecar import Sidecar
from functions.tasks.errors import Unavailable, Undeliverable
from functions.tasks.mail import Mail, Section, mail_of


def mail(to: str = "ann@example.org", key: str = "delivery/1", title: str = "Water") -> Mail:
    return mail_of(
        key=key,
        to=to,
        subject=title,
        sections=[Section("", [title])],
        unsubscribe_url="https://tickler.example/u?token=x",
    )


class Server:
    """A handler of aiosmtpd that keeps what it takes and answers as it is told."""

    def __init__(self) -> None:
        self.taken: list[tuple[list[str], EmailMessage]] = []
        self.sessions: set[int] = set()
        self.rcpt: Callable[[str], str] = lambda address: "250 OK"
        self.data: Callable[[], str] = lambda: "250 OK"
        self.delay = 0.0

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = self.rcpt(address)
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        await asyncio.sleep(self.delay)
        answer = self.data()
        if answer.startswith("250"):
            assert isinstance(envelope.content, bytes)
            message = email.message_from_bytes(envelope.content, policy=email.policy.default)
            assert isinstance(message, EmailMessage)
            self.sessions.add(id(session))
            self.taken.append((list(envelope.rcpt_tos), message))
        return answer


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def controller(server: Server) -> Iterator[Controller]:
    controller = Controller(server, hostname="127.0.0.1", port=free_port(), enable_SMTPUTF8=True)
    controller.start()
    yield controller
    controller.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def mailer(controller: Controller, settings: Settings) -> Mailer:
    return mailer_at(controller.port, settings)


def mailer_at(port: int, settings: Settings, **fields: Any) -> Mailer:
    chosen = settings.model_copy(update={"smtp_port": port, **fields})
    return Mailer(chosen, Sidecar(chosen))


def test_a_mail_arrives_as_it_was_meant(mailer: Mailer, server: Server) -> None:
    mailer.send(mail(title="Süßes <b>&"))
    ((recipients, message),) = server.taken
    assert recipients == ["ann@example.org"]
    assert message["Subject"] == "Süßes <b>&"
    assert message["From"] == "Tickler <tickler@tickler.example>"
    assert message["List-Unsubscribe"] == "<https://tickler.example/u?token=x>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    text, html = message.iter_parts()
    assert isinstance(text, EmailMessage)
    assert isinstance(html, EmailMessage)
    assert text.get_content().splitlines()[0] == "Süßes <b>&"
    assert "<p>Süßes &lt;b&gt;&amp;</p>" in html.get_content()


def test_a_repeat_is_known_by_its_message_id(mailer: Mailer, server: Server) -> None:
    for key in ("delivery/1", "delivery/1", "delivery/2"):
        mailer.send(mail(key=key))
    ids = [message["Message-ID"] for _, message in server.taken]
    assert ids[0] == ids[1] != ids[2]


def test_a_connection_is_used_again(mailer: Mailer, server: Server) -> None:
    for _ in range(5):
        mailer.send(mail())
    assert len(server.taken) == 5
    assert len(server.sessions) == 1


def test_concurrent_mails_reach_their_own_addressee_only(mailer: Mailer, server: Server) -> None:
    addresses = [f"user{n}@example.org" for n in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda address: mailer.send(mail(address, title=address)), addresses))
    assert sorted(recipients[0] for recipients, _ in server.taken) == sorted(addresses)
    assert all(recipients == [message["To"]] == [message["Subject"]] for recipients, message in server.taken)


@pytest.mark.parametrize("answer", ["550 no such user", "553 not allowed"])
def test_a_recipient_that_is_refused_for_good_is_no_second_try(mailer: Mailer, server: Server, answer: str) -> None:
    server.rcpt = lambda address: answer
    with pytest.raises(Undeliverable, match=answer):
        mailer.send(mail())


@pytest.mark.parametrize("answer", ["450 mailbox busy", "421 closing"])
def test_a_recipient_that_is_refused_for_now_is_tried_again(mailer: Mailer, server: Server, answer: str) -> None:
    server.rcpt = lambda address: answer
    with pytest.raises(Unavailable, match=answer):
        mailer.send(mail())
    server.rcpt = lambda address: "250 OK"
    mailer.send(mail())
    assert len(server.taken) == 1


@pytest.mark.parametrize(("answer", "failure"), [("554 spam", Undeliverable), ("451 later", Unavailable)])
def test_content_that_is_refused(mailer: Mailer, server: Server, answer: str, failure: type[Exception]) -> None:
    server.data = lambda: answer
    with pytest.raises(failure, match=answer):
        mailer.send(mail())


def test_a_server_that_is_down_is_tried_again_and_found_when_it_is_up(settings: Settings, server: Server) -> None:
    port = free_port()
    mailer = mailer_at(port, settings)
    with pytest.raises(Unavailable, match="refused"):
        mailer.send(mail())
    controller = Controller(server, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        mailer.send(mail())
    finally:
        controller.stop()
    assert len(server.taken) == 1


def test_a_kept_connection_that_broke_is_replaced(settings: Settings, server: Server) -> None:
    port = free_port()
    mailer = mailer_at(port, settings)
    for _ in range(2):  # the second server knows nothing of the first one's connections
        controller = Controller(server, hostname="127.0.0.1", port=port)
        controller.start()
        mailer.send(mail())
        controller.stop()
    assert len(server.taken) == 2


def test_a_slow_server_is_given_up_in_time(mailer: Mailer, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.runtime.mailer.ATTEMPT", 0.3)
    server.delay = 5
    began = time.monotonic()
    with pytest.raises(Unavailable):
        mailer.send(mail())
    assert time.monotonic() - began < 2


def test_a_server_that_drips_its_banner_is_given_up_in_time(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("functions.runtime.mailer.ATTEMPT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stop = threading.Event()

        def drip() -> None:
            connection, _ = listener.accept()
            with connection:
                while not stop.wait(0.05):
                    try:
                        connection.send(b"2")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        began = time.monotonic()
        with pytest.raises(Unavailable):
            mailer_at(listener.getsockname()[1], settings).send(mail())
        assert time.monotonic() - began < 2
        stop.set()
        thread.join()


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
def test_it_signs_in_with_user_and_password(settings: Settings, server: Server) -> None:
    seen: list[Any] = []

    def authenticate(smtp: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        seen.append(data)
        return AuthResult(success=data == LoginPassword(b"tickler", b"secret"), handled=False)

    controller = Controller(
        server,
        hostname="127.0.0.1",
        port=free_port(),
        authenticator=authenticate,
        auth_required=True,
        auth_require_tls=False,
    )
    controller.start()
    try:
        mailer_at(controller.port, settings, smtp_user="tickler", smtp_password="secret").send(mail())
        with pytest.raises(Unavailable, match="535"):
            mailer_at(controller.port, settings, smtp_user="tickler", smtp_password="wrong").send(mail())
    finally:
        controller.stop()
    assert len(server.taken) == 1


def test_a_password_without_a_secret_is_asked_for_at_the_sidecar(controller: Controller, settings: Settings) -> None:
    with pytest.raises(Unavailable, match="TICKLER_SMTP_PASSWORD"):
        mailer_at(controller.port, settings, smtp_user="tickler", dapr_grpc_port=free_port()).send(mail())
