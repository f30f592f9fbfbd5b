"""From the domain's errors to gRPC status with `google.rpc` details, the one error shape that callers see."""

from __future__ import annotations

import math
from collections.abc import Iterable

from google.protobuf import any_pb2
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
_RETRY_SECONDS = 1
_SAID = {"missing": "is required", "extra_forbidden": "is not a known field"}
"""Pydantic's error types that are said in the API's own words."""


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
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


def _violations(error: ValidationError) -> Iterable[error_details_pb2.BadRequest.FieldViolation]:
    for item in error.errors(include_url=False, include_context=False, include_input=False)[:20]:
        yield error_details_pb2.BadRequest.FieldViolation(
            field=".".join(str(part) for part in item["loc"])[:200] or "body",
            description=_SAID.get(item["type"], item["msg"].removeprefix("Value error, "))[:300],
        )
