"""Errors: each one of the domain has its documented code, and no other says anything."""

from __future__ import annotations

from typing import Any

import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from functions.runtime.errors import error_headers, status_of
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
from functions.tasks.models import CreateTask, ReminderSpec
from functions.tasks.query import ListTasks

# Codes that daprd maps to the HTTP status that the API documents.
_DOCUMENTED: list[tuple[DomainError, int]] = [
    (InvalidInput("title", "is required"), code_pb2.INVALID_ARGUMENT),  # 400
    (Unauthenticated("a bearer token is required"), code_pb2.UNAUTHENTICATED),  # 401
    (PermissionDenied("this token is not for create-task"), code_pb2.PERMISSION_DENIED),  # 403
    (NotFound("task"), code_pb2.NOT_FOUND),  # 404
    (AlreadyExists("a tag with this name exists"), code_pb2.ALREADY_EXISTS),  # 409
    (StaleVersion(1, 2), code_pb2.ABORTED),  # 409
    (TooManyRequests(41.2), code_pb2.RESOURCE_EXHAUSTED),  # 429
    (Unavailable("the mail server does not answer"), code_pb2.UNAVAILABLE),  # 503
    (Outage("the database does not answer"), code_pb2.UNAVAILABLE),  # 503
    (Undeliverable("the webhook answered 404"), code_pb2.FAILED_PRECONDITION),  # 400
]
_SECRET = "s3cr3t-k3pt-1ns1d3"


def details(status: status_pb2.Status, kind: Any) -> list[Any]:
    found = []
    for packed in status.details:
        if packed.Is(kind.DESCRIPTOR):
            message = kind()
            packed.Unpack(message)
            found.append(message)
    return found


def violations(status: status_pb2.Status) -> dict[str, str]:
    (bad,) = details(status, error_details_pb2.BadRequest)
    return {violation.field: violation.description for violation in bad.field_violations}


def invalid(model: type[BaseModel], **fields: Any) -> ValidationError:
    with pytest.raises(ValidationError) as error:
        model.model_validate(fields)
    return error.value


def test_every_error_of_the_domain_has_a_code() -> None:
    def kinds(of: type[DomainError]) -> set[type[DomainError]]:
        return {kind for sub in of.__subclasses__() for kind in (sub, *kinds(sub))}

    assert {type(error) for error, _ in _DOCUMENTED} == kinds(DomainError)


@pytest.mark.parametrize(("error", "code"), _DOCUMENTED, ids=lambda value: type(value).__name__)
def test_an_error_of_the_domain_has_its_code_and_says_its_text(error: DomainError, code: int) -> None:
    status = status_of(error, "c-1")
    assert (status.code, status.message) == (code, str(error))
    (request,) = details(status, error_details_pb2.RequestInfo)
    assert request.request_id == "c-1"


def test_an_invalid_input_names_its_field() -> None:
    status = status_of(InvalidInput("recurrence.interval", "must be 1 or more"), "")
    assert violations(status) == {"recurrence.interval": "must be 1 or more"}


@pytest.mark.parametrize("kind", [Unavailable, Outage])
def test_what_is_down_says_when_to_try_again(kind: type[Unavailable]) -> None:
    (retry,) = details(status_of(kind("x"), ""), error_details_pb2.RetryInfo)
    assert retry.retry_delay.seconds >= 1


def test_a_limit_says_after_how_many_whole_seconds_the_request_passes() -> None:
    status = status_of(TooManyRequests(41.2), "")
    (retry,) = details(status, error_details_pb2.RetryInfo)
    assert retry.retry_delay.seconds == 42
    assert error_headers(status, "c-1") == (("x-correlation-id", "c-1"), ("retry-after", "42"))
    assert "42 s" in status.message
    assert error_headers(status_of(NotFound("task"), "c-1"), "c-1") == (("x-correlation-id", "c-1"),)


def test_a_401_says_which_scheme_and_not_what_was_wrong() -> None:
    headers = error_headers(status_of(Unauthenticated("a bearer token is required"), "c-1"), "c-1")
    assert headers == (("x-correlation-id", "c-1"), ("www-authenticate", "Bearer"))


class TestValidation:
    def test_names_every_field(self) -> None:
        error = invalid(CreateTask, priority="highest", tags=["a", ""], reminders=[{"offset": "1h"}], surprise=1)
        status = status_of(error, "c-1")
        assert status.code == code_pb2.INVALID_ARGUMENT
        assert violations(status).keys() == {"title", "priority", "tags.1", "reminders.0.offset", "surprise"}
        assert violations(status)["title"] == "is required"
        assert violations(status)["surprise"] == "is not a known field"

    def test_of_the_whole_input_names_the_body(self) -> None:
        assert violations(status_of(invalid(ReminderSpec), "")) == {"body": "give either offset or at"}

    @pytest.mark.parametrize(
        "fields",
        [
            {"title": [_SECRET]},
            {"title": {"a": _SECRET}},
            {"title": "a", "priority": _SECRET},
            {"title": "a", "due_date": _SECRET},
            {"title": "a", "time_zone": _SECRET},
            {"title": "a", "id": _SECRET},
            {"title": "a", "tags": [_SECRET * 10]},
            {"title": "a", "all_day": _SECRET},
            {"title": "a", "recurrence": _SECRET},
            {"title": "a", "recurrence": {"type": _SECRET}},
            {"title": "a", "reminders": [{"offset": _SECRET}]},
            {"title": "a", "description": _SECRET + "\x00"},
        ],
        ids=lambda fields: str(list(fields)[-1]),
    )
    def test_says_neither_the_value_nor_the_library(self, fields: dict[str, Any]) -> None:
        raw = status_of(invalid(CreateTask, **fields), "").SerializeToString()
        assert _SECRET.encode() not in raw
        assert b"pydantic" not in raw.lower()
        assert b"Value error" not in raw

    def test_stays_small_whatever_is_wrong(self) -> None:
        """gRPC puts it into headers."""
        error = invalid(CreateTask, **{f"field-{n}-{'x' * 1000}": 1 for n in range(200)})
        status = status_of(error, "")
        assert len(violations(status)) == 20
        assert len(status.message) <= 1000
        assert len(status.SerializeToString()) < 12_000

    def test_of_a_number_that_is_out_of_range_says_the_range(self) -> None:
        assert "200" in violations(status_of(invalid(ListTasks, limit=1000), ""))["limit"]


class TestAnyOtherError:
    @given(
        st.text(min_size=4), st.sampled_from([Exception, RuntimeError, KeyError, ValueError, AssertionError, OSError])
    )
    def test_says_nothing_but_that_it_happened(self, text: str, kind: type[Exception]) -> None:
        status = status_of(kind(text), "c-1")
        assert status == status_of(Exception(), "c-1")
        assert (status.code, status.message) == (code_pb2.INTERNAL, "internal error")

    def test_says_its_correlation_id_so_that_it_can_be_found(self) -> None:
        (request,) = details(status_of(ZeroDivisionError(_SECRET), "c-1"), error_details_pb2.RequestInfo)
        assert request.request_id == "c-1"
