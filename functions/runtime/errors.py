"""From the domain's errors to gRPC status with `google.rpc` details, the one error shape that callers see."""

from __future__ import annotations

import math
from collections.abc import Iterable

from google.protobuf import any_pb2
from google.protobuf.json_format import MessageToJson, Parse
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from pydantic import ValidationError

from functions.tasks.errors import (
    AlreadyExists,
    DomainError,
    InvalidInput,
    NotFound,
    Outage,
    PermissionDenied,
    StaleVersion,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
    Undeliverable,
)

_CODES: dict[type[DomainError], int] = {
    InvalidInput: code_pb2.INVALID_ARGUMENT,
    Unauthenticated: code_pb2.UNAUTHENTICATED,
    PermissionDenied: code_pb2.PERMISSION_DENIED,
    NotFound: code_pb2.NOT_FOUND,
    AlreadyExists: code_pb2.ALREADY_EXISTS,
    StaleVersion: code_pb2.ABORTED,
    TooManyRequests: code_pb2.RESOURCE_EXHAUSTED,
    Unavailable: code_pb2.UNAVAILABLE,
    Outage: code_pb2.UNAVAILABLE,
    Undeliverable: code_pb2.FAILED_PRECONDITION,
}
_HTTP = {
    code_pb2.OK: 200,
    code_pb2.INVALID_ARGUMENT: 400,
    code_pb2.FAILED_PRECONDITION: 400,
    code_pb2.UNAUTHENTICATED: 401,
    code_pb2.PERMISSION_DENIED: 403,
    code_pb2.NOT_FOUND: 404,
    code_pb2.ABORTED: 409,
    code_pb2.ALREADY_EXISTS: 409,
    code_pb2.RESOURCE_EXHAUSTED: 429,
    code_pb2.UNAVAILABLE: 503,
}
KEPT = (InvalidInput, NotFound, StaleVersion, AlreadyExists)
"""The refusals that are a command's outcome for good. The others may pass, when it comes again."""
_RETRY_SECONDS = 1
_SAID = {"missing": "is required", "extra_forbidden": "is not a known field"}
"""Pydantic's error types that are said in the API's own words."""


class KeptRefusal(Exception):
    """What a command with this key was refused with, when it first came: a google.rpc.Status as JSON."""

    def __init__(self, status: str) -> None:
        self.status = Parse(status, status_pb2.Status())
        super().__init__(self.status.message)


def refusal_of(error: DomainError) -> tuple[int, str]:
    """The code of a refusal, and what KeptRefusal takes."""
    status = status_of(error, "")
    del status.details[-1]  # the id of that request
    return status.code, MessageToJson(status, indent=None)


def http_status(code: int) -> int:
    """The HTTP status of a gRPC code, as daprd maps it."""
    return _HTTP.get(code, 500)


def status_of(error: Exception, correlation_id: str) -> status_pb2.Status:
    """The status that a caller sees. Of an error that is not the domain's, nothing but that it happened.

    daprd maps the code to HTTP (https://docs.dapr.io/reference/api/service_invocation_api/).
    """
    details: list[Message] = []
    if isinstance(error, ValidationError):
        violations = list(_violations(error))
        code, message = (
            code_pb2.INVALID_ARGUMENT,
            "; ".join(f"{v.field}: {v.description}" for v in violations[:3]),
        )
        details.append(error_details_pb2.BadRequest(field_violations=violations))
    elif isinstance(error, KeptRefusal):
        code, message = error.status.code, error.status.message
        details.extend(error.status.details)
    elif isinstance(error, DomainError):
        code, message = _CODES[type(error)], str(error)
        if isinstance(error, InvalidInput):
            violation = error_details_pb2.BadRequest.FieldViolation(field=error.field, description=error.description)
            details.append(error_details_pb2.BadRequest(field_violations=[violation]))
        if isinstance(error, Unavailable):
            details.append(_retry_info(_RETRY_SECONDS))
        if isinstance(error, TooManyRequests):
            details.append(_retry_info(math.ceil(error.retry_after)))
    else:
        code, message = code_pb2.INTERNAL, "internal error"
    details.append(error_details_pb2.RequestInfo(request_id=correlation_id))
    return status_pb2.Status(code=code, message=message[:1000], details=[_pack(detail) for detail in details])


def error_headers(status: status_pb2.Status, correlation_id: str) -> tuple[tuple[str, str], ...]:
    """The HTTP headers of an error: X-Correlation-Id, which tells the edge that it is a function's own; the seconds
    after which it asks for the request again, Retry-After (RFC 9110 section 10.2.3); and what a 401 must say (section
    11.6.1), WWW-Authenticate, with no reason (RFC 6750 section 3)."""
    retry = error_details_pb2.RetryInfo()
    seconds = next((retry.retry_delay.seconds for detail in status.details if detail.Unpack(retry)), None)
    headers: tuple[tuple[str, str], ...] = (("x-correlation-id", correlation_id),)
    if status.code == code_pb2.UNAUTHENTICATED:
        headers = (*headers, ("www-authenticate", "Bearer"))
    return headers if seconds is None else (*headers, ("retry-after", str(seconds)))


def _retry_info(seconds: int) -> error_details_pb2.RetryInfo:
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.FromSeconds(seconds)
    return retry


def _pack(message: Message) -> any_pb2.Any:
    if isinstance(message, any_pb2.Any):
        return message
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


def _violations(error: ValidationError) -> Iterable[error_details_pb2.BadRequest.FieldViolation]:
    for item in error.errors(include_url=False, include_context=False, include_input=False)[:20]:
        yield error_details_pb2.BadRequest.FieldViolation(
            field=".".join(str(part) for part in item["loc"])[:200] or "body",
            description=_SAID.get(item["type"], item["msg"].removeprefix("Value error, "))[:300],
        )
