"""The token that a sidecar shows its app."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any, cast

import grpc
import pytest

from functions.runtime.interceptor import Interceptor


@dataclass
class Details:
    """A call as gRPC tells an interceptor of it."""

    method: str
    invocation_metadata: tuple[tuple[str, str], ...]


class Refused(Exception):
    pass


class Context:
    """Of a server's: what ends a call."""

    def abort(self, code: grpc.StatusCode, message: str) -> None:
        assert code is grpc.StatusCode.UNAUTHENTICATED
        raise Refused


def admitted(interceptor: Interceptor, method: str, *tokens: str) -> bool:
    """Whether a call gets past the token; these are its `dapr-api-token`s."""
    reached: list[str] = []
    found = interceptor.intercept_service(
        lambda details: grpc.unary_unary_rpc_method_handler(lambda request, context: reached.append(method)),
        cast(
            Any, Details(f"/dapr.proto.runtime.v1.AppCallback/{method}", tuple(("dapr-api-token", t) for t in tokens))
        ),
    )
    assert found is not None
    assert found.unary_unary is not None
    with contextlib.suppress(Refused):
        found.unary_unary(None, cast(Any, Context()))
    return bool(reached)


EVERY = ["OnTopicEvent", "OnBindingEvent", "HealthCheck", "ListInputBindings"]


@pytest.mark.parametrize("method", ["OnInvoke", *EVERY])
@pytest.mark.parametrize("tokens", [("wrong",), ("",), ("token", "wrong"), ("tokens",)])
def test_a_wrong_token_is_refused_whatever_is_asked(method: str, tokens: tuple[str, ...]) -> None:
    assert not admitted(Interceptor("token"), method, *tokens)


def test_an_invocation_without_one_is_refused() -> None:
    assert not admitted(Interceptor("token"), "OnInvoke")


@pytest.mark.parametrize("method", EVERY)
def test_daprd_1_16_0_shows_it_with_invocations_only(method: str) -> None:
    interceptor = Interceptor("token")
    assert admitted(interceptor, method)
    assert admitted(interceptor, method)


def test_a_sidecar_that_shows_it_has_to_show_it_always() -> None:
    interceptor = Interceptor("token")
    assert admitted(interceptor, "OnTopicEvent", "token")
    assert not admitted(interceptor, "OnTopicEvent")
    assert admitted(interceptor, "OnTopicEvent", "token")
    assert admitted(interceptor, "OnBindingEvent")  # of which it has shown none yet


def test_without_a_token_there_is_nothing_to_show() -> None:
    assert admitted(Interceptor(), "OnTopicEvent")
    assert admitted(Interceptor(), "OnBindingEvent", "anything")
