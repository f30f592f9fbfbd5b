"""Rate limits through the API: 429 with the time to wait, in both spellings, for the caller alone."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import httpx
import pytest

from functions.manage_devices import NEW_DEVICES, TESTS
from functions.redrive_notifications import REDRIVES
from functions.runtime.limits import Limit
from tests.conftest import unique_user
from tests.support.client import Client, Json, expect, refused
from tests.support.system import System


def asked_too_often(response: httpx.Response, limit: Limit) -> None:
    """The body says how long to wait, and so does the header."""
    error = refused(response, 429, code=8)
    (delay,) = [detail["retryDelay"] for detail in error["details"] if detail["@type"].endswith("google.rpc.RetryInfo")]
    assert response.headers["retry-after"] == delay.removesuffix("s")
    assert 0 < int(delay.removesuffix("s")) <= limit.window.total_seconds() / limit.count


def email(number: object) -> Json:
    return {"kind": "email", "endpoint": f"{number}@example.org"}


@pytest.fixture(params=["rest", "dapr"])
def register(request: pytest.FixtureRequest) -> Callable[[Client, Json], httpx.Response]:
    if request.param == "rest":
        return lambda client, device: client.rest("POST", "/api/devices", device)
    return lambda client, device: client.dapr("manage-devices", device)


def test_new_devices(system: System, client: Client, register: Callable[[Client, Json], httpx.Response]) -> None:
    for number in range(NEW_DEVICES.count):
        expect(register(client, email(number)))
    asked_too_often(register(client, email("one-more")), NEW_DEVICES)
    assert len(expect(client.rest("GET", "/api/devices"))["items"]) == NEW_DEVICES.count
    # One that is registered already gets its new name.
    assert expect(register(client, {**email(7), "name": "again"}))["name"] == "again"
    refused(register(client, {"kind": "email"}), 400, field="endpoint")
    expect(register(system.client(unique_user("other")), email("one-more")))


@pytest.mark.parametrize("spelling", ["rest", "dapr"])
def test_tests_of_a_device(system: System, client: Client, spelling: str) -> None:
    address = f"{uuid4()}@example.org"
    device = expect(client.rest("POST", "/api/devices", {"kind": "email", "endpoint": address}))["id"]

    def test() -> httpx.Response:
        if spelling == "rest":
            return client.rest("POST", f"/api/devices/{device}/test")
        return client.dapr("manage-devices", {"action": "test", "device_id": device})

    for _ in range(TESTS.count):
        expect(test())
    for _ in range(2):
        asked_too_often(test(), TESTS)
    assert len(system.mails(address)) == TESTS.count
    other = system.client(unique_user("other"))
    own = expect(other.rest("POST", "/api/devices", email("own")))["id"]
    expect(other.rest("POST", f"/api/devices/{own}/test"))
    refused(client.rest("POST", f"/api/devices/{uuid4()}/test"), 404)


@pytest.mark.parametrize("spelling", ["rest", "dapr"])
def test_redrives(system: System, client: Client, spelling: str) -> None:
    def redrive(who: Client) -> httpx.Response:
        if spelling == "rest":
            return who.rest("POST", "/api/notifications/redrive", {})
        return who.dapr("redrive-notifications")

    for _ in range(REDRIVES.count):
        expect(redrive(client))
    asked_too_often(redrive(client), REDRIVES)
    expect(redrive(system.client(unique_user("other"))))


def test_only_functions_with_a_limit_say_429_in_the_api_s_description(client: Client) -> None:
    paths = client.rest("GET", "/api/openapi.json").json()["paths"]
    said = {path for path, verbs in paths.items() for verb in verbs.values() if "429" in verb["responses"]}
    assert said == {
        "/.well-known/jwks.json",
        "/api/auth/password",
        "/api/auth/refresh",
        "/api/auth/signout",
        "/api/auth/signup",
        "/api/auth/token",
        "/api/auth/tokens",
        "/api/auth/tokens/{token_id}",
        "/api/devices",
        "/api/devices/{device_id}",
        "/api/devices/{device_id}/test",
        "/api/notifications/redrive",
        "/v1.0/invoke/issue-token/method/issue-token",
        "/v1.0/invoke/manage-devices/method/manage-devices",
        "/v1.0/invoke/manage-tokens/method/manage-tokens",
        "/v1.0/invoke/redrive-notifications/method/redrive-notifications",
    }
