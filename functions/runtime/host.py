"""The host: any set of functions in one process, behind one sidecar."""

from __future__ import annotations

import signal
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import structlog
from dapr.clients.grpc._request import InvokeMethodRequest
from dapr.clients.grpc._response import InvokeMethodResponse
from dapr.ext.grpc import App, BindingRequest, Rule
from pydantic import BaseModel

from functions.runtime.auth import Authenticator, authenticator
from functions.runtime.channels import Channels
from functions.runtime.commands import Commands, carry_out, key_of
from functions.runtime.consumer import Handler, consumer
from functions.runtime.fanout import Fanout
from functions.runtime.inputs import Services, bind, gather
from functions.runtime.interceptor import Interceptor, Invocation, current
from functions.runtime.keys import Keys
from functions.runtime.limits import Limits
from functions.runtime.logs import logger
from functions.runtime.mailer import Mailer
from functions.runtime.outages import Outages
from functions.runtime.outbound import Outbound
from functions.runtime.passwords import Passwords
from functions.runtime.publisher import Publisher
from functions.runtime.rates import Rates, network
from functions.runtime.settings import Settings
from functions.runtime.sidecar import Sidecar
from functions.runtime.token_keys import TokenKeys
from functions.runtime.tokens import Tokens
from functions.runtime.triggers import Cron, Function, Topic, load
from functions.store.accounts import Accounts, PersonalTokens
from functions.store.changes import ChangeLog
from functions.store.commands import CommandLog
from functions.store.database import Database
from functions.store.dead_messages import DeadMessages
from functions.store.devices import Devices
from functions.store.digests import Digests
from functions.store.events import ActivityLog, Outbox
from functions.store.exports import Exports
from functions.store.reminders import Reminders
from functions.store.tags import Tags
from functions.store.task_lists import TaskLists
from functions.store.tasks import Tasks
from functions.store.users import Users
from functions.tasks.commands import COMMANDS
from functions.tasks.errors import Unavailable
from functions.tasks.exports import Export
from functions.tasks.models import Caller, Page

MAX_MESSAGE = 32 << 20
"""Bytes of a message: of the 4 MiB that daprd takes a dead one has up to six for each, where it is escaped."""

MAX_METADATA = 64 << 10
"""Bytes of headers; the edge refuses more than 16 KB long before."""


PAGE_HEADERS = (
    (
        "content-security-policy",
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
    ),
    ("referrer-policy", "no-referrer"),
)
"""A page shows text and posts to itself, nothing else; its URL holds a token, so it is not handed on."""


def headers_of(answer: BaseModel) -> tuple[tuple[str, str], ...]:
    """What an answer needs that is not read by a program: a page, or a file to keep."""
    if isinstance(answer, Export):
        name = f'attachment; filename="{answer.file_name}"'
        return ("content-disposition", name), ("cache-control", "no-store")
    return PAGE_HEADERS if isinstance(answer, Page) else ()


class Host:
    """Serves functions to a sidecar until it is told to stop."""

    def __init__(self, functions: Iterable[Function], settings: Settings) -> None:
        """Raises ValueError for settings that contradict themselves."""
        self._settings = settings
        self._functions = list(functions)
        self._address_rates = Rates("address", settings.rate_per_address)
        self._user_rates = Rates("user", settings.rate_per_user)
        # A message that waits for the database keeps its thread: requests have theirs all the same.
        threads = settings.threads + len({topic.name for function in self._functions for topic in function.topics})
        self._database = Database(
            settings.database_url,
            size=settings.database_connections or threads + 4,
            notifies=settings.told_at_commit,
        )
        self._sidecar = Sidecar(settings)
        self._outbox = Outbox(self._database)
        self._reminders = Reminders(self._database)
        self._publisher = Publisher(self._outbox, self._sidecar)
        self._database.on_change = self._publisher.wake
        self._stopping = threading.Event()
        self._recovered = threading.Event()
        keys = Keys(settings)
        token_keys = TokenKeys(settings, self._sidecar)
        tokens = Tokens(settings, token_keys)
        personal_tokens = PersonalTokens(self._database)
        self._authenticator: Authenticator = authenticator(settings, tokens, personal_tokens)
        outbound = Outbound(allow_private=settings.webhook_allow_private)
        devices = Devices(self._database)
        mailer = Mailer(settings, self._sidecar)
        changes = ChangeLog(self._database)
        services: Services = {
            Tasks: Tasks(self._database),
            TaskLists: TaskLists(self._database),
            Tags: Tags(self._database),
            Reminders: self._reminders,
            ActivityLog: ActivityLog(self._database),
            ChangeLog: changes,
            Fanout: Fanout(settings, changes),
            Exports: Exports(self._database),
            Outbox: self._outbox,
            Devices: devices,
            Users: Users(self._database),
            Digests: Digests(self._database),
            DeadMessages: DeadMessages(self._database),
            Outages: Outages(self._stopping.wait),
            Keys: keys,
            Accounts: Accounts(self._database),
            PersonalTokens: personal_tokens,
            Passwords: Passwords(),
            Tokens: tokens,
            Limits: Limits(self._sidecar),
            Outbound: outbound,
            Mailer: mailer,
            Channels: Channels(settings, devices, mailer, outbound, keys),
            Sidecar: self._sidecar,
            Settings: settings,
        }
        self._commands = CommandLog(self._database)
        if any(Commands in function.hints.values() for function in self._functions):
            bound = {function.name: (function, bind(function, services)) for function in load(COMMANDS)}
            services[Commands] = Commands(self._commands, bound, self._user_rates)
        self._app = App(
            thread_pool=ThreadPoolExecutor(max_workers=threads, thread_name_prefix="grpc"),
            interceptors=(Interceptor(settings.app_api_token),),
            # The health check and the ticks need a thread while every other one is busy.
            maximum_concurrent_rpcs=threads * 8,
            options=[
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", MAX_MESSAGE),
                ("grpc.max_metadata_size", MAX_METADATA),
                ("grpc.absolute_max_metadata_size", MAX_METADATA),
            ],
        )
        self._register(services)
        if any({Keys, Channels} & set(function.hints.values()) for function in self._functions):
            keys.load()
        if settings.auth == "local" and any(function.https for function in self._functions):
            token_keys.load()

    def _register(self, services: Services) -> None:
        consumers: dict[str, list[Handler]] = defaultdict(list)
        self._app.register_health_check(lambda: None)
        self._app.method("healthz")(self._healthz)
        for function in self._functions:
            call = bind(function, services)
            if function.https:
                self._app.method(function.name)(self._method(function, call))
            for trigger in function.triggers:
                if isinstance(trigger, Topic):
                    consumers[trigger.name].append((function, call))
                elif isinstance(trigger, Cron):
                    self._app.binding(trigger.binding)(self._tick(function, call))
        for topic, handlers in consumers.items():
            handler = consumer(topic, handlers, self._stopping.wait)
            # The SDK finds a handler by the path of its route, which a rule sets to the handler's name.
            handler.__name__ = topic
            self._app.subscribe(self._settings.pubsub, topic, rule=Rule("", 1))(handler)

    def _method(self, function: Function, call: Callable[..., Any]) -> Callable[[InvokeMethodRequest], Any]:
        model = function.input

        def method(request: InvokeMethodRequest) -> InvokeMethodResponse:
            invocation = current()
            if invocation.address:
                self._address_rates.take(network(invocation.address))
            caller = None if function.public else self._caller(invocation)
            if caller:
                self._user_rates.take(str(caller.user_id))
            inputs = gather(function, invocation.verb, invocation.query, request.data)
            answer: BaseModel | str
            if caller is None:
                answer = call(model.model_validate(inputs) if model else None, None)
            else:
                key = key_of(function, invocation, inputs)
                answer = carry_out(self._commands, (function, call), invocation.verb, inputs, caller, key=key)
            if isinstance(answer, str):
                response = InvokeMethodResponse(answer, "application/json")
            elif isinstance(answer, Page):
                response = InvokeMethodResponse(answer.html, "text/html; charset=utf-8")
            else:
                response = InvokeMethodResponse(answer.model_dump_json(by_alias=True), "application/json")
            own = () if isinstance(answer, str) else headers_of(answer)
            response.headers = (("x-correlation-id", invocation.correlation_id), *own)
            return response

        return method

    def _caller(self, invocation: Invocation) -> Caller:
        return self._authenticator.authenticate(invocation.headers.get("authorization"), invocation.correlation_id)

    def _tick(self, function: Function, call: Callable[..., Any]) -> Callable[[BindingRequest], None]:
        def tick(request: BindingRequest) -> None:
            structlog.contextvars.bind_contextvars(function=function.name)
            if self._recovered.is_set():  # else it would begin what recovering then gives up
                self._publisher.ready()
                call(None, None)

        return tick

    def _healthz(self, request: InvokeMethodRequest) -> str:
        self._database.system.one("select 1")
        return '{"status":"ok"}'

    def run(self) -> None:
        """Serves until SIGTERM or SIGINT; then refuses new work and finishes what is under way.

        Raises RuntimeError when the port is taken.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stopping.set())
        self._database.open()
        if self._settings.broker == "in-memory":
            threading.Thread(target=self._recover, name="recover", daemon=True).start()
        else:
            self._recovered.set()
            self._publisher.ready()
        self._publisher.start()
        served = threading.Thread(
            target=self._app.run,
            args=(self._settings.app_port, self._settings.host),
            name="server",
            daemon=True,
        )
        served.start()
        logger().info("serving", functions=[f.name for f in self._functions], port=self._settings.app_port)
        while served.is_alive() and not self._stopping.wait(0.5):
            pass
        if not self._stopping.is_set():
            raise RuntimeError(f"cannot serve on {self._settings.host}:{self._settings.app_port}: is it in use?")
        logger().info("stopping")
        self._server.stop(self._settings.grace_seconds).wait()
        self._publisher.stop(self._settings.grace_seconds)
        self._sidecar.stop()
        self._database.close()

    @property
    def _server(self) -> grpc.Server:
        server: grpc.Server = self._app._server  # App.stop() gives what is under way no time
        return server

    def _recover(self) -> None:
        """Gives a broker that forgets again what it may have lost when it stopped."""
        while not self._stopping.is_set():
            try:
                self._reminders.forget_claims()
                self._outbox.replay_recent()
                self._publisher.wake(self._outbox.pending_users(10_000))
                self._recovered.set()
                return
            except Unavailable:
                self._stopping.wait(1)
