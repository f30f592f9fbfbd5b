"""What must not answer to whoever is not its other half: functions to others than their sidecar, and sidecars to others
than their function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import httpx
import pytest
from dapr.proto import api_v1, appcallback_service_v1, appcallback_v1, common_v1
from google.protobuf.empty_pb2 import Empty

from tests.support.system import System

APIS = [
    ("GET", "/v1.0/metadata"),
    ("PUT", "/v1.0/metadata/x"),
    ("POST", "/v1.0/shutdown"),
    ("POST", "/v1.0/invoke/list-tasks/method/list-tasks"),
    ("POST", "/v1.0/invoke/http://127.0.0.1:1/method/x"),
    ("POST", "/v1.0/publish/pubsub/task.create"),
    ("GET", "/v1.0/state/state/key"),
    ("GET", "/v1.0/secrets/secrets/TICKLER_DATABASE_URL"),
]


def status_of(call: Callable[..., Any], *arguments: Any, **more: Any) -> grpc.StatusCode:
    """The status with which a call is refused."""
    with pytest.raises(grpc.RpcError) as refusal:
        call(*arguments, timeout=10, **more)
    code: grpc.StatusCode = refusal.value.code()
    return code


def app_refuses(system: System, app_id: str, token: str) -> None:
    """The function's own port: an invocation without the token, and whatever has a wrong one (`token`)."""
    wrong = (("dapr-api-token", token),)
    invocation = common_v1.InvokeRequest(
        method="healthz", http_extension=common_v1.HTTPExtension(verb=common_v1.HTTPExtension.GET)
    )
    message = appcallback_v1.TopicEventRequest(topic="task.create", path="task.create", data=b"{}")
    tick = appcallback_v1.BindingEventRequest(name="outbox-tick")
    with grpc.insecure_channel(f"127.0.0.1:{system.run['apps'][app_id]['app']}") as channel:
        app = appcallback_service_v1.AppCallbackStub(channel)  # type: ignore[no-untyped-call]  # generated code
        assert status_of(app.OnInvoke, invocation) is grpc.StatusCode.UNAUTHENTICATED
        for call, request in (
            (app.OnInvoke, invocation),
            (app.OnTopicEvent, message),
            (app.OnBindingEvent, tick),
            (app.ListTopicSubscriptions, Empty()),
        ):
            assert status_of(call, request, metadata=wrong) is grpc.StatusCode.UNAUTHENTICATED, request


def sidecar_refuses(system: System, app_id: str, tokens: tuple[str, ...]) -> None:
    """Every call to its API, by HTTP and gRPC, without a token and with these, which are not its own."""
    port = system.run["apps"][app_id]["http"]
    for token in ("", *tokens):
        for verb, path in APIS:
            headers = {"dapr-api-token": token} if token else {}
            answer = httpx.request(verb, f"http://127.0.0.1:{port}{path}", headers=headers, timeout=10, trust_env=False)
            assert answer.status_code == 401, (verb, path, answer.text)
        with system.sidecar(app_id, token) as sidecar:
            statuses = {
                status_of(call, request)
                for call, request in (
                    (sidecar.GetMetadata, api_v1.GetMetadataRequest()),
                    (sidecar.GetSecret, api_v1.GetSecretRequest(store_name="secrets", key="PATH")),
                    (sidecar.PublishEvent, api_v1.PublishEventRequest(pubsub_name="pubsub", topic="task.create")),
                    (sidecar.InvokeService, api_v1.InvokeServiceRequest(id="list-tasks")),
                )
            }
            # What is closed to everybody (UNIMPLEMENTED) does not ask for a token.
            assert statuses == {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNIMPLEMENTED}


def sidecar_has_nothing_else(system: System, app_id: str) -> None:
    """With its own token too: what no function uses is not there, and a secret that none reads is not given."""
    app = system.run["apps"][app_id]
    for verb, path in APIS:
        if not path.startswith(("/v1.0/metadata", "/v1.0/invoke")):
            answer = httpx.request(
                verb,
                f"http://127.0.0.1:{app['http']}{path}",
                headers={"dapr-api-token": app["api_token"]},
                timeout=10,
                trust_env=False,
            )
            assert answer.status_code in (404, 405), (verb, path, answer.status_code, answer.text)
    with system.sidecar(app_id) as sidecar:
        invocation = common_v1.InvokeRequest(
            method="healthz", http_extension=common_v1.HTTPExtension(verb=common_v1.HTTPExtension.GET)
        )
        for call, request in (
            (sidecar.Shutdown, api_v1.ShutdownRequest()),
            (sidecar.SetMetadata, api_v1.SetMetadataRequest(key="x", value="y")),
            (sidecar.InvokeService, api_v1.InvokeServiceRequest(id=app_id, message=invocation)),
            (sidecar.InvokeBinding, api_v1.InvokeBindingRequest(name="outbox-tick", operation="create")),
            (sidecar.TryLockAlpha1, api_v1.TryLockRequest(store_name="state")),
        ):
            assert status_of(call, request) is grpc.StatusCode.UNIMPLEMENTED, request


def secret_status(system: System, app_id: str, name: str) -> grpc.StatusCode:
    """How the sidecar refuses to give a secret."""
    with system.sidecar(app_id) as sidecar:
        return status_of(sidecar.GetSecret, api_v1.GetSecretRequest(store_name="secrets", key=name))


def publication_status(system: System, app_id: str, topic: str) -> grpc.StatusCode:
    """How the sidecar refuses to publish."""
    with system.sidecar(app_id) as sidecar:
        return status_of(
            sidecar.PublishEvent, api_v1.PublishEventRequest(pubsub_name="pubsub", topic=topic, data=b"{}")
        )
