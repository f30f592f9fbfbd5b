"""Accounts through the edge, in both spellings: signing up and in, going on, ending it, and tokens for scripts."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx
import jwt
import pytest

from functions.issue_token import ATTEMPTS, SIGN_INS, SIGN_UPS
from functions.manage_tokens import PASSWORDS
from functions.runtime.passwords import ITERATIONS, LANES, MEMORY_KIB, Passwords
from functions.runtime.settings import Settings
from functions.runtime.token_keys import new_key, rotate, written
from tests.conftest import NewSystem
from tests.integration.test_limits import asked_too_often
from tests.support.accounts import PASSWORD, Person
from tests.support.client import Client, Spelling, expect, refused
from tests.support.issuer import Issuer
from tests.support.system import System


@pytest.fixture(params=["rest", "dapr"])
def person(request: pytest.FixtureRequest, system: System) -> Person:
    spelling: Spelling = request.param
    return Person(system, spelling)


@pytest.fixture
def ann(system: System) -> Person:
    ann = Person(system)
    ann.sign_up()
    return ann


def test_a_whole_life(person: Person) -> None:
    tokens = person.sign_up(name="Ann", time_zone="Europe/Berlin")
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 900)
    task = person.create("Pay the rent")
    assert task["time_zone"] == "Europe/Berlin"
    assert expect(person.rest("GET", "/api/settings"))["email"] == person.login

    used = person.refresh_token
    person.refresh()
    assert person.get(task["id"])["title"] == "Pay the rent"
    phone = person.again()
    assert phone.sign_in()["user_id"] == tokens["user_id"]
    person.refresh()

    # Somebody else has the first token: its whole sign-in ends, the phone's does not.
    refused(person.ask("refresh", refresh_token=used), 401, code=16)
    refused(person.ask("refresh", refresh_token=person.refresh_token), 401, code=16)
    phone.refresh()

    person.sign_in()
    assert expect(person.manage("signout")) == {"ended": 2}
    for device in (person, phone):
        refused(device.ask("refresh", refresh_token=device.refresh_token), 401, code=16)

    person.sign_in()
    phone.sign_in()
    assert expect(person.manage("password", old=PASSWORD, new="another horse")) == {"ended": 1}
    refused(phone.ask("refresh", refresh_token=phone.refresh_token), 401, code=16)
    person.refresh()
    refused(person.ask("token", email=person.login, password=PASSWORD), 401, code=16)
    person.sign_in("another horse")
    assert person.get(task["id"])["title"] == "Pay the rent"


def test_an_answer_that_was_lost_is_given_again(person: Person) -> None:
    person.sign_up()
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: expect(person.ask("refresh", refresh_token=person.refresh_token)), range(4)))
    assert len({answer["refresh_token"] for answer in answers}) == 1
    person.have(answers[0])
    person.refresh()


def test_an_address_has_one_account_however_it_is_written(person: Person) -> None:
    person.sign_up()
    refused(person.ask("signup", email=person.login.upper(), password="something else"), 409, code=6)
    expect(person.ask("token", email=person.login.upper(), password=PASSWORD))


def test_a_wrong_password_and_an_unknown_address_are_answered_alike(person: Person) -> None:
    person.sign_up()
    headers = {"X-Correlation-Id": "same"}
    answers = [
        refused(person.rest("POST", "/api/auth/token", {"email": email, "password": password}, headers=headers), 401)
        for email, password in (
            (person.login, "wrong horse battery"),
            (f"{uuid4()}@example.org", PASSWORD),
            ("no address", PASSWORD),
            (person.login, ""),
            (person.login, f"{PASSWORD}\x00"),
        )
    ]
    assert all(answer == answers[0] for answer in answers)


@pytest.mark.parametrize(
    ("action", "inputs", "field"),
    [
        ("signup", {"password": PASSWORD}, "email"),
        ("signup", {"email": "a@example.org"}, "password"),
        ("signup", {"email": "no address", "password": PASSWORD}, "email"),
        ("signup", {"email": "a@example.org\x00", "password": PASSWORD}, "email"),
        ("signup", {"email": "a@example.org", "password": "short"}, "password"),
        ("signup", {"email": "a@example.org", "password": "ab" * 300}, "password"),
        ("signup", {"email": "a@example.org", "password": 12345678}, "password"),
        ("signup", {"email": "a@example.org", "password": PASSWORD, "time_zone": "Mars"}, "time_zone"),
        ("signup", {"email": "a@example.org", "password": PASSWORD, "name": ""}, "name"),
        ("signup", {"email": "a@example.org", "password": PASSWORD, "admin": True}, "admin"),
        ("token", {"email": "a@example.org"}, "password"),
        ("token", {"password": PASSWORD}, "email"),
        ("refresh", {}, "refresh_token"),
    ],
)
def test_bad_input_names_its_field_and_repeats_no_password(
    person: Person, action: str, inputs: dict[str, object], field: str
) -> None:
    response = person.ask(action, **inputs)
    refused(response, 400, code=3, field=field)
    assert str(inputs.get("password", PASSWORD)) not in response.text


@pytest.mark.parametrize(
    "text", ["", "x", "tkr_", "tkr_" + "A" * 64, "tkl_" + "A" * 64, "tkr_" + "A" * 63 + "=", "é" * 64]
)
def test_a_refresh_token_that_nobody_issued(person: Person, text: str) -> None:
    refused(person.ask("refresh", refresh_token=text), 401, code=16)


def test_a_hash_of_older_parameters_is_made_anew_at_the_next_sign_in(system: System, ann: Person) -> None:
    (user,) = system.sql("select user_id from accounts where email_key = %s", ann.login)
    old = Passwords(memory_kib=64, iterations=1).hash(PASSWORD)
    system.sql("update accounts set password_hash = %s where user_id = %s", old, user["user_id"])
    ann.sign_in()
    (kept,) = system.sql("select password_hash from accounts where user_id = %s", user["user_id"])
    assert kept["password_hash"].startswith(f"$argon2id$v=19$m={MEMORY_KIB},t={ITERATIONS},p={LANES}$")
    ann.sign_in()
    ann.refresh()


def test_the_keys_that_are_published_verify_the_tokens(ann: Person) -> None:
    """As any other system would, with what the standards say and nothing of ours."""
    token = ann.refresh()["access_token"]
    keys = jwt.PyJWKSet.from_dict(expect(Client(ann.url, None).rest("GET", "/.well-known/jwks.json")))
    claims = jwt.decode(
        token,
        keys[jwt.get_unverified_header(token)["kid"]],
        algorithms=["ES256"],
        audience="tickler",
        issuer=ann.url,
    )
    assert claims["email"] == ann.login


def test_a_refusal_says_which_scheme_it_wants(system: System) -> None:
    assert Client(system.url, None).rest("GET", "/api/tasks").headers["www-authenticate"] == "Bearer"


def test_no_answer_is_kept_on_the_way(ann: Person) -> None:
    assert ann.ask("refresh", refresh_token=ann.refresh_token).headers["cache-control"] == "no-store"


def test_a_password_or_a_token_is_in_no_log_and_not_in_the_database(system: System, ann: Person) -> None:
    secret = f"{uuid4()}"
    ann.manage("password", old=PASSWORD, new=secret)
    ann.ask("token", email=ann.login, password=secret)
    ann.ask("signup", email=secret, password=secret)
    made = expect(ann.manage("create", name="script", scopes=["read"]))["token"]
    logged = "\n".join(system.log("functions") + system.log("daprd") + system.log("edge"))
    for text in (secret, ann.refresh_token, made, str(ann.http.headers["authorization"]).removeprefix("Bearer ")):
        assert text not in logged
        for table in ("accounts", "refresh_tokens", "personal_tokens", "users"):
            assert system.sql(f"select 1 from {table} t where t::text like %s", f"%{text}%") == []


class TestSignedIn:
    @pytest.mark.parametrize("action", ["list", "create", "delete", "signout", "password"])
    def test_is_who_manages_tokens(self, person: Person, action: str) -> None:
        person.sign_up()
        del person.http.headers["Authorization"]
        refused(person.manage(action, token_id=str(uuid4())), 401, code=16)

    def test_knows_the_password_to_change_it(self, person: Person) -> None:
        person.sign_up()
        refused(person.manage("password", old="wrong horse", new="another horse"), 400, code=3, field="old")
        refused(person.manage("password", old=PASSWORD, new="short"), 400, code=3, field="new")
        refused(person.manage("password", old=PASSWORD), 400, code=3, field="new")
        person.sign_in()

    def test_has_an_account_to_change_its_password(self, client: Client) -> None:
        refused(client.rest("POST", "/api/auth/password", {"old": PASSWORD, "new": "another horse"}), 404, code=5)


class TestPersonalTokens:
    def test_that_read_do_not_write(self, person: Person) -> None:
        person.sign_up()
        task = person.create("mine")
        made = expect(person.manage("create", name="script", scopes=["read"]))
        script = Client(person.url, None, {"Authorization": f"Bearer {made['token']}"})
        assert [each["id"] for each in script.tasks()] == [task["id"]]
        assert expect(script.dapr("get-task", {"task_id": task["id"]}))["title"] == "mine"
        expect(script.rest("GET", "/api/settings"))
        for response in (
            script.rest("POST", "/api/tasks", {"title": "x"}),
            script.dapr("create-task", {"title": "x"}),
            script.rest("PATCH", f"/api/tasks/{task['id']}", {"title": "x"}),
            script.rest("DELETE", f"/api/tasks/{task['id']}"),
            script.dapr("manage-tags", {"action": "create", "name": "x"}),
            script.dapr("manage-tags", {"action": "create", "name": "x"}, "GET"),
            script.rest("PATCH", "/api/settings", {"time_zone": "UTC"}),
            script.rest("GET", "/api/settings", query={"time_zone": "UTC"}),
            script.rest("GET", "/api/auth/tokens"),
            script.rest("POST", "/api/auth/signout"),
        ):
            refused(response, 403, code=7)
        assert [each["title"] for each in person.tasks()] == ["mine"]
        (listed,) = expect(person.manage("list"))["items"]
        assert listed["last_used_at"]
        assert listed["token"] is None

    def test_of_a_function_are_for_that_function(self, person: Person) -> None:
        person.sign_up()
        made = expect(person.manage("create", name="mailer", scopes=["create-task", "list-tasks"]))
        script = Client(person.url, None, {"Authorization": f"Bearer {made['token']}"})
        task = script.create("by mail")
        assert len(script.tasks()) == 1
        refused(script.rest("DELETE", f"/api/tasks/{task['id']}"), 403, code=7)
        refused(script.rest("GET", "/api/tags"), 403, code=7)

    def test_delete_no_account(self, person: Person) -> None:
        person.sign_up()
        made = expect(person.manage("create", name="script", scopes=["write"]))
        script = Client(person.url, None, {"Authorization": f"Bearer {made['token']}"})
        refused(script.dapr("delete-account", {"confirm": "whatever"}), 403, code=7)
        refused(script.rest("DELETE", "/api/account", {"confirm": "whatever"}), 403, code=7)

    def test_that_are_removed_are_refused(self, person: Person) -> None:
        person.sign_up()
        made = expect(person.manage("create", name="script", scopes=["write"]))
        expect(person.manage("delete", token_id=made["id"]))
        refused(Client(person.url, None, {"Authorization": f"Bearer {made['token']}"}).rest("GET", "/api/tasks"), 401)
        refused(person.manage("delete", token_id=made["id"]), 404, code=5)

    def test_of_another_user_are_not_there(self, person: Person, ann: Person) -> None:
        person.sign_up()
        made = expect(person.manage("create", name="script", scopes=["write"]))
        stranger = Person(ann.system, person.spelling)
        stranger.sign_up()
        unknown = refused(stranger.manage("delete", token_id=str(uuid4())), 404, code=5)
        theirs = refused(stranger.manage("delete", token_id=made["id"]), 404, code=5)
        assert theirs["message"] == unknown["message"]
        assert expect(stranger.manage("list"))["items"] == []
        expect(Client(person.url, None, {"Authorization": f"Bearer {made['token']}"}).rest("GET", "/api/tasks"))

    @pytest.mark.parametrize(
        ("inputs", "field"),
        [
            ({"scopes": ["read"]}, "name"),
            ({"name": "script"}, "scopes"),
            ({"name": "script", "scopes": []}, "scopes"),
            ({"name": "script", "scopes": ["account"]}, "scopes"),
            ({"name": "script", "scopes": ["no-such-function"]}, "scopes"),
            ({"name": "script", "scopes": ["read", "../x"]}, "scopes"),
            ({"name": "script", "scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
            ({"name": "script", "scopes": ["read"], "expires_at": "2999-01-01T00:00:00Z"}, "expires_at"),
        ],
    )
    def test_that_cannot_be(self, person: Person, inputs: dict[str, object], field: str) -> None:
        person.sign_up()
        refused(person.manage("create", **inputs), 400, code=3, field=field)


def seconds_to_get(client: Client, task_id: str) -> float:
    """Seconds that a task takes to come."""
    began = time.monotonic()
    client.get(task_id)
    return time.monotonic() - began


def attempt(person: Person, email: str) -> int:
    """The status of signing in with a wrong password; where that came too often, checked to say when to come again."""
    response = person.ask("token", email=email, password="wrong horse battery")
    assert response.status_code != 429 or int(response.headers["retry-after"]) > 0
    return response.status_code


class TestLimits:
    def test_of_attempts_for_an_email_hold_from_wherever_and_for_nobody_else(self, system: System, ann: Person) -> None:
        def guess() -> httpx.Response:
            return Person(system).ask("token", email=ann.login, password="wrong horse battery")

        for _ in range(ATTEMPTS.count):
            refused(guess(), 401)
        asked_too_often(guess(), ATTEMPTS)
        asked_too_often(ann.ask("token", email=ann.login.upper(), password=PASSWORD), ATTEMPTS)
        ann.refresh()
        ben = Person(system, address=ann.address)
        ben.sign_up()
        ben.sign_in()

    def test_of_sign_ins_hold_for_an_address_of_the_network(self, system: System) -> None:
        mallory = Person(system)
        with ThreadPoolExecutor(4) as pool:
            statuses = list(
                pool.map(
                    lambda n: mallory.ask("token", email=f"{n}@example.org", password=PASSWORD).status_code,
                    range(SIGN_INS.count + 20),
                )
            )
        assert statuses.count(401) <= SIGN_INS.count + 10  # some come anew meanwhile
        assert statuses.count(429) >= 10
        assert set(statuses) <= {401, 429}
        forged = {"X-Forwarded-For": "127.9.9.9", "Forwarded": "for=127.9.9.9", "X-Real-IP": "127.9.9.9"}
        body = {"email": "x@example.org", "password": PASSWORD}
        asked_too_often(mallory.rest("POST", "/api/auth/token", body, headers=forged), SIGN_INS)
        Person(system).sign_up()

    def test_of_sign_ups_hold_for_an_address_of_the_network(self, system: System) -> None:
        mallory = Person(system)
        for _ in range(SIGN_UPS.count):
            mallory.login = f"{uuid4()}@example.org"
            mallory.sign_up()
        asked_too_often(mallory.ask("signup", email=f"{uuid4()}@example.org", password=PASSWORD), SIGN_UPS)

    def test_of_addresses_are_none_on_a_machine_of_ones_own(self, new_system: NewSystem) -> None:
        """Where everybody is 127.0.0.1. Those for an email hold there too."""
        system = new_system()
        system.start()
        somebody = Person(system, address="127.0.0.1")
        for _ in range(SIGN_UPS.count + 5):
            somebody.login = f"{uuid4()}@example.org"
            somebody.sign_up()
        for _ in range(ATTEMPTS.count):
            somebody.sign_in()
        asked_too_often(somebody.ask("token", email=somebody.login, password=PASSWORD), ATTEMPTS)
        system.stop()

    def test_of_10_000_attempts_leave_other_users_alone(self, system: System, client: Client) -> None:
        """By a crowd of addresses, for emails of all and of nobody. Whoever is signed in does not notice."""
        victim, crowd = Person(system), [Person(system) for _ in range(24)]
        victim.sign_up()
        task = client.create("mine")
        emails = [victim.login, *(f"{uuid4()}@example.org" for _ in range(999))]
        seconds: list[float] = []
        with ThreadPoolExecutor(24) as pool:
            asked = [
                pool.submit(attempt, crowd[n % 24], emails[n % len(emails) if n % 4 else 0]) for n in range(10_000)
            ]
            while not all(each.done() for each in asked):
                seconds.append(seconds_to_get(client, task["id"]))
                if len(seconds) % 20 == 0:
                    client.patch(task["id"], title=f"mine {len(seconds)}")
                    victim.refresh()
        statuses = Counter(each.result() for each in asked)
        assert set(statuses) == {401, 429}
        # No address has more than its limit, and what comes anew of it while this lasts.
        assert statuses[401] < 24 * SIGN_INS.count * 2
        assert len(seconds) > 20
        assert sorted(seconds)[len(seconds) // 2] < 1
        assert max(seconds) < 5
        Person(system).sign_up()
        assert client.rest("GET", "/healthz").status_code == 200

    def test_of_password_changes_hold_for_who_found_an_access_token(self, ann: Person) -> None:
        for _ in range(PASSWORDS.count):
            refused(ann.manage("password", old="wrong horse battery", new="another horse"), 400, field="old")
        asked_too_often(ann.manage("password", old=PASSWORD, new="another horse"), PASSWORDS)


def test_users_of_an_issuer_elsewhere(new_system: NewSystem) -> None:
    with Issuer() as issuer:
        system = new_system(issuer.settings)
        system.start()

        def client(subject: str, **claims: str) -> Client:
            return Client(system.url, None, {"Authorization": f"Bearer {issuer.token(subject, **claims)}"})

        ann, ben = client("ann", email="ann@example.org", name="Ann"), client("ben")
        task = ann.create("mine")
        assert expect(ann.rest("GET", "/api/settings"))["email"] == "ann@example.org"
        refused(ben.rest("GET", f"/api/tasks/{task['id']}"), 404)
        for wrong in (
            "dev:ann",
            system.signed_in("ann").token,
            issuer.token("ann", aud="other"),
            issuer.token("ann", exp=1),
        ):
            refused(Client(system.url, None, {"Authorization": f"Bearer {wrong}"}).rest("GET", "/api/tasks"), 401)

        made = expect(ann.rest("POST", "/api/auth/tokens", {"name": "script", "scopes": ["read"]}))
        script = Client(system.url, None, {"Authorization": f"Bearer {made['token']}"})
        assert [each["id"] for each in script.tasks()] == [task["id"]]

        person = Person(system)
        for action in ("signup", "token", "refresh"):
            error = refused(
                person.ask(action, email="x@example.org", password=PASSWORD, refresh_token="x"), 403, code=7
            )
            assert issuer.url in error["message"]
        assert expect(person.rest("GET", "/.well-known/jwks.json")) == {"keys": []}

        issuer.is_down = True
        assert ann.get(task["id"])["title"] == "mine"
        refused(client("ann").rest("GET", "/api/tasks/x"), 400)  # a new token, by a key that is known
        system.stop()


def test_keys_may_come_from_the_secret_store(new_system: NewSystem) -> None:
    key = new_key()
    secret = {"TICKLER_TOKEN_KEYS_SECRET": "TICKLER_TEST_KEYS", "TICKLER_TEST_KEYS": written([key])}
    system = new_system(secret)
    system.start()
    ann = Person(system)
    token = ann.sign_up()["access_token"]
    assert jwt.get_unverified_header(token)["kid"] == key.kid
    ann.create("mine")
    assert not (system.data / "secrets" / "tokens").exists()
    system.stop()


def test_another_key_signs_and_nobody_is_signed_out(system: System, ann: Person) -> None:
    stays = Person(system)
    stays.sign_up()
    key = rotate(Settings(data=system.data))
    stays.create("with a token of before")
    token = ann.refresh()["access_token"]
    assert jwt.get_unverified_header(token)["kid"] == key.kid
    ann.create("with a token of after")
    kids = [each["kid"] for each in expect(ann.rest("GET", "/.well-known/jwks.json"))["keys"]]
    assert kids[0] == key.kid
    assert len(kids) >= 2
