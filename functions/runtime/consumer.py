"""What a message goes through: its attempts, the wait for a database that is out, the way to its dead letters.

The attempts are counted here and not by daprd. To daprd a function that is started again or replaced fails like one
that cannot handle a message, so it would put good messages with the dead letters whenever that takes longer than a few
attempts. What it is asked to `drop` it puts there at once (dapr/pkg/runtime/subscription/subscription.go).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import structlog
from cloudevents.sdk.event.v1 import Event as CloudEvent
from dapr.clients.grpc._response import TopicEventResponse
from pydantic import ValidationError

from functions.runtime.inputs import read_event
from functions.runtime.logs import logger
from functions.runtime.outages import Outages, pauses
from functions.runtime.triggers import Function
from functions.tasks.errors import AlreadyExists, DomainError, Outage, Unavailable
from functions.tasks.events import ATTEMPTS

Handler = tuple[Function, Callable[..., Any]]
"""A function, and its handler with the dependencies filled in."""

_TOLD = ("correlation_id", "type", "seq")
"""What the log says of each event that was consumed."""


def consumer(
    topic: str, handlers: Sequence[Handler], stopped: Callable[[float], bool]
) -> Callable[[CloudEvent], TopicEventResponse]:
    """One subscription for all functions of a topic in this process (daprd keeps one a topic and app).

    Each of them gets the message, and one that fails gets it again, ATTEMPTS times in all; then it goes to the
    topic's dead letters. Where a topic has none it is tried until it works. Raises when the host is told to stop:
    the message is then given to another process, or to this one when it is back.
    """
    outages = Outages(stopped)
    ends = any(trigger.dead_letter for function, _ in handlers for trigger in function.topics if trigger.name == topic)

    def consume(event: CloudEvent) -> TopicEventResponse:
        waiting = list(handlers)
        for attempt, pause in enumerate(pauses(), 1):
            waiting = [handler for handler in waiting if not _handled(handler, topic, event, attempt, outages)]
            if not waiting:
                return TopicEventResponse("success")
            if attempt >= ATTEMPTS and ends:
                logger().error("dead_letter", functions=[function.name for function, _ in waiting])
                return TopicEventResponse("drop")
            if stopped(pause):
                raise Unavailable("stopped between two attempts")
        raise AssertionError("unreachable")

    return consume


def _handled(handler: Handler, topic: str, event: CloudEvent, attempt: int, outages: Outages) -> bool:
    """Whether the function handled the message; False, and the reason in the log, where it failed."""
    function, call = handler
    structlog.contextvars.bind_contextvars(function=function.name, topic=topic, event_id=event.EventID())
    try:
        inputs, caller = read_event(function, cast(bytes, event.Data()), event.EventID())
        correlation_id = caller.correlation_id if caller else getattr(inputs, "correlation_id", "")
        structlog.contextvars.bind_contextvars(correlation_id=correlation_id)
        outages.sit_out(lambda: call(inputs, caller))
    except Outage:
        raise
    except AlreadyExists as error:
        logger().info("done_before", reason=str(error))  # a command that came twice
        return True
    except (ValidationError, DomainError) as error:
        logger().error("failed", attempt=attempt, error=type(error).__name__, reason=_reason(error))
        return False
    except Exception as error:
        logger().error("failed", attempt=attempt, exc_info=error)
        return False
    for each in getattr(inputs, "events", [inputs]):
        logger().info("consumed", **{name: getattr(each, name) for name in _TOLD if hasattr(each, name)})
    return True


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))[:500]
    return str(error)
