"""Triggers: what makes a function run, declared above it as data, so that tools can render it.

@http("POST", "/api/tasks")
@on("task.create")
def create_task(command: CreateTask, ...) -> Task: ...
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from pydantic import BaseModel

from functions.tasks.events import MESSAGE_DLQ

Verb = typing.Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Handler = TypeVar("Handler", bound=Callable[..., Any])


@dataclass(frozen=True)
class Http:
    """A REST path at the edge. `fixed` are inputs that the path or the verb itself says, e.g. action=reopen.

    A `public` one needs no token: its inputs prove what they ask for. A body that is not JSON is ignored there,
    as a link's form has one. One that `reads` changes nothing, whatever its inputs: it is for tokens that only read.
    """

    verb: Verb
    path: str
    fixed: dict[str, Any] = field(default_factory=dict)
    public: bool = False
    reads: bool = False


@dataclass(frozen=True)
class Topic:
    """A subscription. What still fails after all attempts goes to `dead_letter`; where that is None it is tried until
    it works. A `raw` one takes messages of any bytes, which need not be CloudEvents: its input is a RawMessage."""

    name: str
    dead_letter: str | None = MESSAGE_DLQ
    raw: bool = False


@dataclass(frozen=True)
class Cron:
    """A tick of the cron binding `binding`. `schedule` as in Dapr's bindings.cron: `@every 1s` or six fields."""

    binding: str
    schedule: str


Trigger = Http | Topic | Cron


@dataclass(frozen=True)
class Function:
    """A capability: its app-id, its handler, and what triggers it."""

    name: str
    handler: Callable[..., Any]
    triggers: tuple[Trigger, ...]
    sends: tuple[str, ...] = ()
    """The topics that it publishes on."""
    redrives: bool = False
    """Whether it publishes dead messages again, on the topics that they were on."""
    needs: str | None = None
    """The scope that a token must have, where `write` is not enough."""
    once: bool = False
    """Whether a command with an Idempotency-Key is carried out once, and a repeat answered as the first was."""

    @property
    def https(self) -> list[Http]:
        return [trigger for trigger in self.triggers if isinstance(trigger, Http)]

    @property
    def public(self) -> bool:
        """Whether it answers without a token. All of its paths do then: both spellings are one function."""
        return any(http.public for http in self.https)

    def reads(self, verb: str, inputs: dict[str, Any]) -> bool:
        """Whether an invocation of these inputs changes nothing, as far as the triggers say.

        The inputs say which trigger's it is, as the Dapr spelling has one verb for all. Where reading and changing have
        the same inputs (settings), it reads that is a GET and says nothing to change.
        """
        possible = [http for http in self.https if http.fixed.items() <= inputs.items()]
        reading = [http for http in possible if http.reads]
        if len(reading) < len(possible):
            return verb == "GET" and any(http.verb == "GET" and http.fixed == inputs for http in reading)
        return bool(reading)

    @property
    def topics(self) -> list[Topic]:
        return [trigger for trigger in self.triggers if isinstance(trigger, Topic)]

    @property
    def crons(self) -> list[Cron]:
        return [trigger for trigger in self.triggers if isinstance(trigger, Cron)]

    @cached_property
    def hints(self) -> dict[str, Any]:
        """The types of the handler's parameters, and `return`."""
        return typing.get_type_hints(self.handler)

    @cached_property
    def input(self) -> type[BaseModel] | None:
        """The model of the inputs: the type of the handler's first parameter, where that is a model."""
        first = next(iter(inspect.signature(self.handler).parameters), None)
        kind = self.hints[first] if first else None
        return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None

    @property
    def summary(self) -> str:
        return (inspect.getdoc(inspect.getmodule(self.handler)) or "").partition("\n")[0]


def _declare(trigger: Trigger) -> Callable[[Handler], Handler]:
    def decorate(handler: Handler) -> Handler:
        handler.__dict__["triggers"] = (trigger, *handler.__dict__.get("triggers", ()))
        return handler

    return decorate


def http(
    verb: Verb, path: str, *, public: bool = False, reads: bool | None = None, **fixed: Any
) -> Callable[[Handler], Handler]:
    """Runs the function for `verb path` at the edge, and for the Dapr spelling; `{name}` is a path parameter. A GET
    reads, unless `reads` says otherwise."""
    return _declare(Http(verb, path, fixed, public, verb == "GET" if reads is None else reads))


def on(topic: str, *, dead_letter: str | None = MESSAGE_DLQ, raw: bool = False) -> Callable[[Handler], Handler]:
    """Runs the function for each message of `topic`; one that raises an exception gets it again."""
    return _declare(Topic(topic, dead_letter, raw))


def cron(binding: str, schedule: str) -> Callable[[Handler], Handler]:
    """Runs the function at each tick of the cron binding `binding`."""
    return _declare(Cron(binding, schedule))


def sends(*topics: str, redrives: bool = False) -> Callable[[Handler], Handler]:
    """Says which topics the function publishes on, by itself or by the changes that it writes: for the AsyncAPI
    document, and for what its sidecar lets it publish. tests/contract holds each function to it. With `redrives` it
    publishes dead messages again as well."""

    def decorate(handler: Handler) -> Handler:
        handler.__dict__.update(sends=topics, redrives=redrives)
        return handler

    return decorate


def once(handler: Handler) -> Handler:
    """Has a command with an Idempotency-Key carried out once. Its statements, all of its caller, are one transaction
    then: so it is not for what sends something or takes long. The answer is kept: so it is not for what answers a
    secret."""
    handler.__dict__["once"] = True
    return handler


def needs(scope: str) -> Callable[[Handler], Handler]:
    """Says which scope a caller's token must have, where `write` is not enough."""

    def decorate(handler: Handler) -> Handler:
        handler.__dict__["needs"] = scope
        return handler

    return decorate


def names() -> list[str]:
    """The app-ids of all functions: the modules of the package `functions`, without importing them."""
    import functions

    return sorted(
        module.name.replace("_", "-")
        for module in pkgutil.iter_modules(functions.__path__)
        if not module.ispkg and not module.name.startswith("_")
    )


def load(wanted: Iterable[str] = ()) -> list[Function]:
    """The functions of these app-ids, or all. Raises LookupError for an unknown one."""
    known = names()
    chosen = list(wanted) or known
    for name in chosen:
        if name not in known:
            raise LookupError(f"no function {name!r}: choose from {', '.join(known)}")
    return [_function(name) for name in chosen]


def _function(name: str) -> Function:
    module = importlib.import_module(f"functions.{name.replace('-', '_')}")
    handler = getattr(module, name.replace("-", "_"))
    said = handler.__dict__
    return Function(
        name,
        handler,
        handler.triggers,
        sends=said.get("sends", ()),
        redrives=said.get("redrives", False),
        needs=said.get("needs"),
        once=said.get("once", False),
    )
