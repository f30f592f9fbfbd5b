"""Invocations that change something: each as its function demands, once where it has a key; and batches of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
from functions.store.pages import fitting
from functions.tasks.commands import ApplyCommands, CommandResult, CommandResults, SentCommand, made_at
from functions.tasks.errors import InvalidInput, TooManyRequests, Unavailable
from functions.tasks.models import Caller

HEADER = "Idempotency-Key"
MAX_KEY = 128

TOGETHER = 20
"""Commands of a batch that are one transaction: its user's other commands wait so long."""

Bound = tuple[Function, Callable[..., Any]]
"""A function, and its handler with the dependencies filled in."""


def key_of(function: Function, invocation: Invocation, inputs: dict[str, Any]) -> str:
    """The key of a command that is carried out once; empty for one without, and for a read. Raises InvalidInput."""
    if not function.once or function.reads(invocation.verb, inputs):
        return ""
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
) -> BaseModel | str:
    """The answer of a function; for a command with a key as JSON, which is what the first one was answered.

    Raises what the function raises (KeptRefusal for what it raised then), and InvalidInput for the key of another
    command.
    """
    function, call = bound
    check_scope(function, verb, inputs, caller.scopes)
    command = function.input.model_validate(inputs) if function.input else None
    if not key:
        answer: BaseModel = call(command, caller)
        return answer
    now = datetime.now(UTC)
    known = Key(caller.user_id, key, _fingerprint(function, inputs), HEADER)
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
        try:
            while len(results) < len(batch.commands):
                some = batch.commands[len(results) : len(results) + TOGETHER]
                results += self._together(some, batch.sent_at, caller, now)
                if len(told := fitting(results)) < len(results):
                    # What an answer cannot hold is answered when it is sent again.
                    logger().info("batch_ended", carried_out=len(results), told=len(told))
                    return CommandResults(results=told)
        except (Unavailable, TooManyRequests) as error:
            if not results:
                raise
            logger().warning("batch_ended", carried_out=len(results), error=str(error))
        return CommandResults(results=results)

    def _together(
        self, commands: Sequence[SentCommand], sent_at: datetime, caller: Caller, now: datetime
    ) -> list[CommandResult]:
        """What became of these, or of the first of them; those are one transaction."""
        prepared: list[_Prepared | Exception] = []
        for command in commands:
            try:
                self._rates.take(str(caller.user_id))
                prepared.append(self._prepared(command, made_at(command, sent_at, now), caller))
            except TooManyRequests:
                if not prepared:
                    raise
                break
            except Exception as error:
                prepared.append(error)
        good = [each for each in prepared if isinstance(each, _Prepared)]
        outcomes = iter(
            self._log.each([each.key for each in good], now, lambda n: good[n].run(), _kept) if good else ()
        )
        results = []
        for command, each in zip(commands, prepared, strict=False):
            outcome = next(outcomes, None) if isinstance(each, _Prepared) else each
            if outcome is None:
                break
            results.append(_result(command, outcome, caller.correlation_id))
        return results

    def _prepared(self, command: SentCommand, made: datetime, caller: Caller) -> _Prepared:
        bound = self._functions.get(command.function)
        if bound is None:
            raise InvalidInput("function", f"must be one of {', '.join(self._functions)}")
        function, call = bound
        assert function.input is not None
        inputs = with_said(function, "POST", command.input)
        check_scope(function, "POST", inputs, caller.scopes)
        timed = "made_at" in function.input.model_fields and inputs.get("made_at") is None
        model = function.input.model_validate({**inputs, "made_at": made} if timed else inputs)
        key = Key(caller.user_id, command.key, _fingerprint(function, inputs), "key")
        return _Prepared(key, lambda: Outcome(0, _json(call(model, caller))))


@dataclass(frozen=True)
class _Prepared:
    """A command whose inputs are good."""

    key: Key
    run: Callable[[], Outcome]


def _result(command: SentCommand, outcome: Outcome | Exception, correlation_id: str) -> CommandResult:
    if isinstance(outcome, Outcome) and outcome.code == 0:
        return CommandResult(key=command.key, status=200, answer=json.loads(outcome.answer))
    error = KeptRefusal(outcome.answer) if isinstance(outcome, Outcome) else outcome
    status = status_of(error, correlation_id)
    if http_status(status.code) == 500:
        logger().error("failed", command=command.function, exc_info=error)
    said = MessageToDict(status) | {"code": status.code}
    return CommandResult(key=command.key, status=http_status(status.code), error=said)


def _kept(error: Exception) -> Outcome | None:
    return Outcome(*refusal_of(error)) if isinstance(error, KEPT) else None


def _json(answer: BaseModel) -> str:
    return answer.model_dump_json(by_alias=True)


def _fingerprint(function: Function, inputs: dict[str, Any]) -> bytes:
    return hashlib.sha256(json.dumps([function.name, inputs], sort_keys=True, default=str).encode()).digest()
