"""Who is calling and what for: which tokens are accepted, and which functions each is for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from functions.runtime import opaque
from functions.runtime.auth import Authenticator, Bearer, authenticator, check_scope
from functions.runtime.settings import Settings
from functions.runtime.sidecar import Sidecar
from functions.runtime.token_keys import TokenKeys
from functions.runtime.tokens import MAX_TOKEN, SESSION, Tokens
from functions.runtime.triggers import load
from functions.store.accounts import PersonalTokens
from functions.tasks.errors import PermissionDenied, Unauthenticated
from functions.tasks.models import Caller


class OneToken:
    """Takes whatever begins as its kind, so that only the header can be wrong."""

    def caller(self, token: str, correlation_id: str) -> Caller:
        return Caller(user_id=uuid4(), name=token, correlation_id=correlation_id)


TOKENS = Bearer({"ey": OneToken()})


class TestHeader:
    def test_has_a_scheme_and_a_token(self) -> None:
        caller = TOKENS.authenticate("Bearer ey.a-b_c", "c-1")
        assert (caller.name, caller.correlation_id) == ("ey.a-b_c", "c-1")

    def test_the_name_of_the_scheme_has_no_case(self) -> None:
        assert TOKENS.authenticate("bearer ey.ann", "").name == "ey.ann"

    @pytest.mark.parametrize(
        "header",
        [
            None,
            "",
            "ey.ann",
            "Bearer",
            "Bearer ",
            "Bearer ann",
            "Bearer dev:ann",
            "Basic ey.ann",
            "Bearer  ey.ann",
            " Bearer ey.ann",
            "Bearer ey.ann ",
            "Bearer ey.ann\n",
            "Bearer ey.ann, Bearer ey.ben",
            "Bearer ey.a b",
            "Bearer ey.ann\x00",
            "Bearer ey.änn",
            "Bearer ey.\N{ARABIC-INDIC DIGIT ONE}",
            "Bearer ey." + "a" * MAX_TOKEN,
            "Bearer EY.ann",
        ],
        ids=lambda header: repr(header)[:40],
    )
    def test_of_another_form_is_refused(self, header: str | None) -> None:
        with pytest.raises(Unauthenticated):
            TOKENS.authenticate(header, "")


@pytest.mark.parametrize("header", [None, "", "Bearer eyJh.e30.", "Bearer anything"])
def test_without_a_way_to_know_users_nobody_is_let_in(header: str | None) -> None:
    with pytest.raises(Unauthenticated):
        Bearer({}).authenticate(header, "")


class TestAuthenticator:
    def test_lets_nobody_in_by_default(self, personal: KnownTokens) -> None:
        for header in ("Bearer eyJh.e30.", f"Bearer {personal.token.text}"):
            with pytest.raises(Unauthenticated):
                chosen(personal, auth="none").authenticate(header, "")

    @pytest.mark.parametrize(
        ("lacking", "said"),
        [
            ({"oidc_issuer": ""}, "TICKLER_OIDC_ISSUER"),
            ({"oidc_audience": ""}, "TICKLER_OIDC_AUDIENCE"),
            ({"oidc_issuer": "http://i.example"}, "TICKLER_OIDC_ISSUER: .*https"),
            ({"oidc_jwks_url": "http://i.example/keys"}, "TICKLER_OIDC_JWKS_URL: .*https"),
        ],
    )
    def test_says_what_an_issuer_lacks_in_one_line(
        self, personal: KnownTokens, lacking: dict[str, str], said: str
    ) -> None:
        whole = {"oidc_issuer": "https://i.example", "oidc_audience": "tickler"}
        with pytest.raises(ValueError, match=said) as error:
            chosen(personal, auth="oidc", **(whole | lacking))
        assert "\n" not in str(error.value)


class TestPersonalAccess:
    def test_is_whose_the_token_is_and_for_what_it_is_for(self, personal: KnownTokens) -> None:
        caller = chosen(personal).authenticate(f"Bearer {personal.token.text}", "c-1")
        assert (caller.user_id, caller.name, caller.correlation_id) == (personal.token.user_id, "Ann", "c-1")
        assert caller.scopes == {"read"}

    def test_is_not_looked_up_at_each_request(self, personal: KnownTokens) -> None:
        authenticate = chosen(personal).authenticate
        for _ in range(5):
            authenticate(f"Bearer {personal.token.text}", "")
        assert personal.looked_up == 1

    def test_ends_with_the_token_also_while_it_is_remembered(self, personal: KnownTokens) -> None:
        authenticate = chosen(personal).authenticate
        authenticate(f"Bearer {personal.token.text}", "")
        personal.row["expires_at"] = datetime.now(UTC)
        with pytest.raises(Unauthenticated):
            authenticate(f"Bearer {personal.token.text}", "")

    def test_refuses_what_is_none_without_a_look(self, personal: KnownTokens) -> None:
        authenticate = chosen(personal).authenticate
        text = personal.token.text
        for wrong in (
            text[:-1],
            text + "A",
            "tkl_",
            "tkr_" + text[4:],
            "tkl_" + "=" * 64,
            text.replace("tkl_", "TKL_"),
        ):
            with pytest.raises(Unauthenticated):
                authenticate(f"Bearer {wrong}", "")
        assert personal.looked_up == 0

    def test_refuses_one_that_nobody_made(self, personal: KnownTokens) -> None:
        other = opaque.make(opaque.PERSONAL, personal.token.user_id)
        with pytest.raises(Unauthenticated):
            chosen(personal).authenticate(f"Bearer {other.text}", "")


class KnownTokens(PersonalTokens):
    """One token, and how often it was looked up."""

    def __init__(self) -> None:
        self.token = opaque.make(opaque.PERSONAL, uuid4())
        self.looked_up = 0
        self.row: dict[str, Any] = {
            "name": "Ann",
            "email": None,
            "scopes": ["read"],
            "expires_at": datetime.now(UTC) + timedelta(days=1),
        }

    def use(self, user_id: UUID, token_hash: bytes, now: datetime) -> dict[str, Any] | None:
        self.looked_up += 1
        known = (user_id, token_hash) == (self.token.user_id, self.token.hash) and now < self.row["expires_at"]
        return self.row if known else None


@pytest.fixture
def personal() -> KnownTokens:
    return KnownTokens()


def chosen(personal: KnownTokens, **given: Any) -> Authenticator:
    settings = Settings(**{"auth": "local", **given})
    return authenticator(settings, Tokens(settings, TokenKeys(settings, Sidecar(settings))), personal)


CATALOGUE = {function.name: function for function in load()}
ID = str(uuid4())


@pytest.mark.parametrize(
    ("name", "verb", "inputs"),
    [
        ("list-tasks", "GET", {"status": "open"}),
        ("list-tasks", "POST", {}),
        ("get-task", "POST", {"task_id": ID}),
        ("list-activity", "GET", {}),
        ("preview-recurrence", "POST", {"recurrence": {"type": "daily"}}),
        ("manage-tags", "GET", {"action": "list"}),
        ("manage-tags", "POST", {"action": "list"}),
        ("manage-reminders", "GET", {"action": "list", "task_id": ID}),
        ("manage-devices", "GET", {"action": "list"}),
        ("manage-settings", "GET", {}),
    ],
)
def test_reading_is_for_every_token_but_one_of_another_function(name: str, verb: str, inputs: dict[str, Any]) -> None:
    for scopes in ({"read"}, {"write"}, {name}, {"read", "bury-message"}):
        check_scope(CATALOGUE[name], verb, inputs, frozenset(scopes))
    for scopes in (set(), {"account"}, {"create-task"}, {"READ"}):
        with pytest.raises(PermissionDenied):
            check_scope(CATALOGUE[name], verb, inputs, frozenset(scopes))


@pytest.mark.parametrize(
    ("name", "verb", "inputs"),
    [
        ("create-task", "POST", {"title": "a"}),
        ("update-task", "PATCH", {"task_id": ID}),
        ("update-task", "PUT", {"task_id": ID, "replace": True}),
        ("complete-task", "POST", {"action": "complete", "task_id": ID}),
        ("complete-task", "POST", {"task_id": ID}),
        ("delete-task", "DELETE", {"task_id": ID}),
        ("manage-tags", "POST", {"action": "create", "name": "a"}),
        ("manage-tags", "GET", {"action": "create", "name": "a"}),
        ("manage-tags", "GET", {"action": ["list"]}),
        ("manage-reminders", "POST", {"action": "snooze"}),
        ("manage-devices", "POST", {}),
        ("manage-devices", "GET", {"action": "test", "device_id": ID}),
        ("manage-settings", "PATCH", {}),
        ("manage-settings", "POST", {}),
        ("manage-settings", "GET", {"time_zone": "UTC"}),
        ("redrive-notifications", "POST", {}),
    ],
)
def test_changing_is_not_for_a_token_that_reads(name: str, verb: str, inputs: dict[str, Any]) -> None:
    for scopes in ({"write"}, {name}):
        check_scope(CATALOGUE[name], verb, inputs, frozenset(scopes))
    for scopes in ({"read"}, {"account"}, {"list-tasks", "read"}, set()):
        with pytest.raises(PermissionDenied, match=name):
            check_scope(CATALOGUE[name], verb, inputs, frozenset(scopes))


@pytest.mark.parametrize("action", ["list", "create", "delete", "signout", "password"])
def test_an_account_is_managed_by_who_signed_in_and_by_no_personal_token(action: str) -> None:
    manage = CATALOGUE["manage-tokens"]
    check_scope(manage, "POST", {"action": action}, SESSION)
    for verb in ("GET", "POST"):
        with pytest.raises(PermissionDenied):
            check_scope(manage, verb, {"action": action}, frozenset({"read", "write", *CATALOGUE}))
