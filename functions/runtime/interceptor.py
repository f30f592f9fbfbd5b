"""The one gRPC interceptor: what the SDK drops on the way in, and how errors leave."""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import grpc
import structlog
from dapr.proto import appcallback_v1
from google.rpc import code_pb2
from grpc_status import rpc_status

from functions.runtime.errors import error_headers, status_of
from functions.runtime.logs import logger
from functions.tasks.errors import DomainError, NotFound
from functions.tasks.values import uuid7

_CORRELATION_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}", re.ASCII)
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)


@dataclass(frozen=True)
class Invocation:
    """What the SDK does not hand to a method: verb, raw query, and headers (lower-case names)."""

    verb: str
    query: str
    headers: dict[str, str]
    correlation_id: str

    @property
    def address(self) -> str:
        """Where the request came from, as the edge says, and nobody before it. Empty for one that came by no edge."""
        return self.headers.get("x-real-ip", "")


_current: ContextVar[Invocation] = ContextVar("invocation")


def current() -> Invocation:
    """The invocation that this thread handles. Raises LookupError outside one."""
    return _current.get()


APP_TOKEN = "dapr-api-token"
"""Metadata in which a sidecar shows the app's token (https://docs.dapr.io/operations/security/app-api-token/)."""


class Interceptor(grpc.ServerInterceptor):
    """Refuses who is not the sidecar, gives methods their `Invocation`, binds the correlation id to the log, and turns
    every exception into a status that says nothing of the inside.

    An invocation has to show `token`, where there is one. daprd 1.16.0 shows it with nothing else (dapr/dapr#9142,
    mended in a later 1.16): so a message or a tick may come without, until one of its kind has come with it.
    """

    def __init__(self, token: str = "") -> None:
        self._token = token.encode()
        self._shown = {"OnInvoke"}

    def _admits(self, details: grpc.HandlerCallDetails, method: str) -> bool:
        if not self._token:
            return True
        given = [value for name, value in details.invocation_metadata or () if name == APP_TOKEN]
        if not given:
            return method not in self._shown
        if not all(hmac.compare_digest(str(value).encode(), self._token) for value in given):
            return False
        self._shown.add(method)
        return True

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler[Any, Any] | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        handler = continuation(handler_call_details)
        method = handler_call_details.method.rpartition("/")[2]
        if handler is None or handler.unary_unary is None:
            return handler
        if not self._admits(handler_call_details, method):
            logger().warning("refused", method=method, error="the app token is wrong or missing")
            return grpc.unary_unary_rpc_method_handler(_refuse)
        if method == "ListTopicSubscriptions":
            # Subscriptions are declared in a file rendered from the triggers (components/subscriptions.yaml);
            # what a program lists itself would take precedence over it.
            return grpc.unary_unary_rpc_method_handler(
                lambda request, context: appcallback_v1.ListTopicSubscriptionsResponse(),
                request_deserializer=handler.request_deserializer,
                response_serializer=handler.response_serializer,
            )
        wrapped = _invoke if method == "OnInvoke" else _guard
        inner = handler.unary_unary
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: wrapped(inner, request, context),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


def _invoke(inner: Callable[[Any, Any], Any], request: Any, context: grpc.ServicerContext) -> Any:
    """OnInvoke: an HTTP invocation."""
    headers = {key.lower(): value for key, value in context.invocation_metadata() if isinstance(value, str)}
    extension = request.http_extension
    call = Invocation(
        verb=type(extension).Verb.Name(extension.verb),
        query=extension.querystring,
        headers=headers,
        correlation_id=correlation_id(headers),
    )
    _current.set(call)
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(correlation_id=call.correlation_id, function=request.method)
    began = time.perf_counter()
    code = code_pb2.OK
    try:
        return inner(request, context)
    except Exception as error:
        status = status_of(
            NotFound("function") if isinstance(error, NotImplementedError) else error, call.correlation_id
        )
        code = status.code
        if code in (code_pb2.INTERNAL, code_pb2.UNAVAILABLE):
            logger().error("failed", exc_info=error)
        # Of an error daprd makes HTTP headers from the initial metadata, not from the trailing.
        context.send_initial_metadata(error_headers(status, call.correlation_id))
        context.abort_with_status(rpc_status.to_status(status))
    finally:
        milliseconds = round((time.perf_counter() - began) * 1000, 2)
        logger().info("invoked", verb=call.verb, code=code_pb2.Code.Name(code), milliseconds=milliseconds)


def _refuse(request: Any, context: grpc.ServicerContext) -> Any:
    context.abort(grpc.StatusCode.UNAUTHENTICATED, "the app token is wrong or missing")


def _guard(inner: Callable[[Any, Any], Any], request: Any, context: grpc.ServicerContext) -> Any:
    """Messages, ticks and the rest: an exception is logged here and asks Dapr for another attempt."""
    structlog.contextvars.clear_contextvars()
    try:
        return inner(request, context)
    except Exception as error:
        expected = isinstance(error, DomainError)
        logger().error("failed", error=str(error) if expected else None, exc_info=None if expected else error)
        context.abort(grpc.StatusCode.UNAVAILABLE if expected else grpc.StatusCode.INTERNAL, "failed")


def correlation_id(headers: dict[str, str]) -> str:
    """The caller's `X-Correlation-Id` where it is a plain token, else the trace id (W3C traceparent), else new."""
    given = headers.get("x-correlation-id", "")
    if _CORRELATION_ID.fullmatch(given):
        return given
    trace = _TRACEPARENT.fullmatch(headers.get("traceparent", ""))
    return trace[1] if trace else str(uuid7(datetime.now(UTC)))
