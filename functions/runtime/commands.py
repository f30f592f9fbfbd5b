"""Invocations that change something: each as its function demands, once where it has a key; and batches of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from google.protobuf.json_format import MessageToDict
from pydantic import BaseModel

from functions.runtime.auth import check_scope
from functions.runtime.errors import KEPT, KeptRefusal, http_status, refusal_of, status_of
from functions.runtime.inputs import with_said
from functions.runtime.interceptor import Invocation
from functions.runtime.logs import logger
from functions.runtime.rates import Rates
from functions.runtime.triggers import Function
from functions.store.commands import CommandLog, Key, Outcome
from functions.tasks.commands import ApplyCommands, CommandResult, CommandResults, SentCommand, made_at
from functions.tasks.errors import InvalidInput, TooManyRequests, Unavailable
from functions.tasks.models import Caller

HEADER = "Idempotency-Key"
MAX_KEY = 128

Bound = tuple[Function, Callable[..., Any]]
"""A function, and its handler with the dependencies filled in."""


def key_of(invocation: Invocation) -> str:
    """The key that an invocation came with; empty for none. Raises InvalidInput."""
    key = invocation.headers.get(HEADER.lower(), "")
    if len(key) > MAX_KEY or not key.isascii() or not key.isprintable():
        raise InvalidInput(HEADER, f"must be 1 to {MAX_KEY} printable ASCII characters")
    return key


def carry_out(
    log: CommandLog,
    bound: Bound,
    verb: str,
    inputs: dict[str, Any],
    caller: Caller,
    *,
    key: str = "",
    field: str = HEADER,
    also: Mapping[str, Any] | None = None,
) -> BaseModel | str:
    """The answer of a function; for a command with a key as JSON, which is what the first one was answered.

    `also` are inputs that are not compared with those of the first one. Raises what the function raises (KeptRefusal
    for what it raised then), and InvalidInput naming `field` for the key of another command.
    """
    function, call = bound
    check_scope(function, verb, inputs, caller.scopes)
    command = function.input.model_validate({**inputs, **(also or {})}) if function.input else None
    if not key or not function.once or function.reads(verb, inputs):
        answer: BaseModel = call(command, caller)
        return answer
    now = datetime.now(UTC)
    known = Key(caller.user_id, key, _fingerprint(function, inputs), field)
    try:
        outcome = log.once(known, now, lambda: Outcome(0, _json(call(command, caller))))
    except KEPT as error:
        # It changed nothing, which is what a repeat has to find, whatever has become possible since.
        refusal = Outcome(*refusal_of(error))
        outcome = log.once(known, now, lambda: refusal)
    if outcome.code:
        raise KeptRefusal(outcome.answer)
    return outcome.answer


class Commands:
    """Carries out batches: each command as an invocation of its function would, without the way there."""

    def __init__(self, log: CommandLog, functions: Mapping[str, Bound], rates: Rates) -> None:
        self._log = log
        self._functions = functions
        self._rates = rates

    def apply(self, batch: ApplyCommands, caller: Caller, now: datetime) -> CommandResults:
        """What became of each command, in order. It ends early where one cannot be carried out now, as those behind it
        may build on it. Raises Unavailable or TooManyRequests where that is the first one."""
        results: list[CommandResult] = []
        for command in batch.commands:
            try:
                results.append(self._result(command, batch, caller, now))
            except (Unavailable, TooManyRequests) as error:
                if not results:
                    raise
                logger().warning("batch_ended", carried_out=len(results), error=str(error))
                break
        return CommandResults(results=results)

    def _result(self, command: SentCommand, batch: ApplyCommands, caller: Caller, now: datetime) -> CommandResult:
        self._rates.take(str(caller.user_id))
        try:
            answer = self._answer(command, made_at(command, batch.sent_at, now), caller)
        except (Unavailable, TooManyRequests):
            raise
        except Exception as error:
            status = status_of(error, caller.correlation_id)
            if http_status(status.code) == 500:
                logger().error("failed", command=command.function, exc_info=error)
            return CommandResult(
                key=command.key, status=http_status(status.code), error=MessageToDict(status) | {"code": status.code}
            )
        return CommandResult(key=command.key, status=200, answer=answer)

    def _answer(self, command: SentCommand, made: datetime, caller: Caller) -> dict[str, Any]:
        bound = self._functions.get(command.function)
        if bound is None:
            raise InvalidInput("function", f"must be one of {', '.join(self._functions)}")
        function, _ = bound
        inputs = with_said(function, "POST", command.input)
        takes_time = function.input is not None and "made_at" in function.input.model_fields
        also = {"made_at": made} if takes_time and inputs.get("made_at") is None else {}
        answer = carry_out(self._log, bound, "POST", inputs, caller, key=command.key, field="key", also=also)
        said: dict[str, Any] = json.loads(answer if isinstance(answer, str) else _json(answer))
        return said


def _json(answer: BaseModel) -> str:
    return answer.model_dump_json(by_alias=True)


def _fingerprint(function: Function, inputs: dict[str, Any]) -> bytes:
    return hashlib.sha256(json.dumps([function.name, inputs], sort_keys=True, default=str).encode()).digest()
