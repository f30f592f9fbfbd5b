"""Accounts, sign-ins and personal tokens in the database: one an address, one successor a token, and nobody else's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from hashlib import sha256
from uuid import UUID, uuid4

import pytest

from functions.store.accounts import Account, Accounts, PersonalTokens
from functions.tasks.accounts import PERSONAL_TOKENS, REFRESH_GRACE, REFRESH_IDLE, REFRESH_LIFETIME
from functions.tasks.errors import InvalidInput, NotFound
from functions.tasks.models import Caller
from tests.store.world import DAY, HOUR, NOW, SECOND, World

LATER = NOW + REFRESH_GRACE + SECOND


def token(name: object) -> bytes:
    return sha256(str(name).encode()).digest()


@pytest.fixture
def accounts(world: World) -> Accounts:
    return world.accounts


@pytest.fixture
def personal(world: World) -> PersonalTokens:
    return world.personal_tokens


@pytest.fixture
def ann(accounts: Accounts) -> Caller:
    """Somebody who has just signed up with the token `first`, and the password hash `hash`."""
    return new_user(accounts)


def new_user(accounts: Accounts) -> Caller:
    ann = Caller(user_id=uuid4(), name="Ann", email=f"Ann-{uuid4().hex[:8]}@example.org", sign_in=uuid4())
    assert accounts.sign_up(ann, "hash", token("first"), NOW, time_zone="Europe/Berlin")
    return ann


def email_of(caller: Caller) -> str:
    assert caller.email is not None
    return caller.email


def refreshes(accounts: Accounts, user_id: UUID, old: str, new: str, now: object = LATER) -> bool:
    refreshed = accounts.refresh(user_id, token(old), token(new), now)  # type: ignore[arg-type]
    return refreshed is not None and not refreshed.reused


class TestSignUp:
    def test_makes_a_user_with_a_zone(self, world: World, accounts: Accounts, ann: Caller) -> None:
        (user,) = world.rows("select name, email, time_zone from users where user_id = %s", ann.user_id)
        assert user == {"name": "Ann", "email": ann.email, "time_zone": "Europe/Berlin"}
        account = accounts.of_email(email_of(ann).upper())
        assert account == Account(ann.user_id, "Ann", ann.email, "hash", NOW)
        assert accounts.of_user(ann.user_id) == account

    def test_with_an_address_that_has_one_makes_nothing(self, world: World, accounts: Accounts, ann: Caller) -> None:
        other = Caller(user_id=uuid4(), name="Ben", email=email_of(ann).lower(), sign_in=uuid4())
        assert not accounts.sign_up(other, "other", token("x"), NOW, time_zone="UTC")
        assert world.rows("select 1 from users where user_id = %s", other.user_id) == []
        assert accounts.of_user(ann.user_id).password_hash == "hash"

    def test_leaves_a_user_who_was_there_before_where_the_address_is_taken(
        self, world: World, accounts: Accounts, ann: Caller
    ) -> None:
        ben = world.user(ann.email).model_copy(update={"sign_in": uuid4()})
        task = world.add(ben)
        assert not accounts.sign_up(ben, "other", token("x"), NOW, time_zone="UTC")
        assert world.tasks.get(ben, task.id).id == task.id

    def test_that_is_sent_again_is_the_same_one(self, world: World, accounts: Accounts, ann: Caller) -> None:
        assert accounts.sign_up(ann, "hash", token("first"), NOW, time_zone="Europe/Berlin")
        assert len(world.rows("select 1 from refresh_tokens where user_id = %s", ann.user_id)) == 1

    def test_at_once_makes_one_account(self, world: World, accounts: Accounts) -> None:
        email = f"{uuid4().hex}@example.org"
        callers = [Caller(user_id=uuid4(), name="Ann", email=email, sign_in=uuid4()) for _ in range(12)]
        with ThreadPoolExecutor(12) as pool:
            made = list(
                pool.map(lambda c: accounts.sign_up(c, "hash", token(c.user_id), NOW, time_zone="UTC"), callers)
            )
        assert sum(made) == 1
        assert len(world.rows("select 1 from users where email = %s", email)) == 1

    def test_of_nobody_is_not_found(self, accounts: Accounts) -> None:
        assert accounts.of_email("nobody@example.org") is None
        with pytest.raises(NotFound):
            accounts.of_user(uuid4())


class TestRefresh:
    def test_keeps_the_sign_in_and_uses_the_token_up(self, accounts: Accounts, ann: Caller) -> None:
        refreshed = accounts.refresh(ann.user_id, token("first"), token("second"), NOW)
        assert refreshed is not None
        assert (refreshed.sign_in, refreshed.name, refreshed.email) == (ann.sign_in, "Ann", ann.email)
        assert refreshes(accounts, ann.user_id, "second", "third", NOW)

    def test_with_a_used_token_ends_the_sign_in_for_whoever_has_it(self, accounts: Accounts, ann: Caller) -> None:
        assert refreshes(accounts, ann.user_id, "first", "second", NOW)
        reused = accounts.refresh(ann.user_id, token("first"), token("second"), LATER)
        assert reused is not None
        assert reused.reused
        assert not refreshes(accounts, ann.user_id, "second", "third")
        assert not refreshes(accounts, ann.user_id, "first", "second")

    def test_that_ends_one_sign_in_leaves_the_others(self, accounts: Accounts, ann: Caller) -> None:
        accounts.begin(accounts.of_user(ann.user_id), uuid4(), token("phone"), NOW)
        assert refreshes(accounts, ann.user_id, "first", "second", NOW)
        assert not refreshes(accounts, ann.user_id, "first", "second")
        assert refreshes(accounts, ann.user_id, "phone", "phone-2")

    def test_of_a_client_that_lost_the_answer_is_answered_again(self, accounts: Accounts, ann: Caller) -> None:
        assert refreshes(accounts, ann.user_id, "first", "second", NOW)
        assert refreshes(accounts, ann.user_id, "first", "second", NOW + REFRESH_GRACE)
        assert refreshes(accounts, ann.user_id, "second", "third")

    def test_is_not_answered_again_once_the_answer_was_used(self, accounts: Accounts, ann: Caller) -> None:
        assert refreshes(accounts, ann.user_id, "first", "second", NOW)
        assert refreshes(accounts, ann.user_id, "second", "third", NOW + SECOND)
        assert not refreshes(accounts, ann.user_id, "first", "second", NOW + SECOND * 2)
        assert not refreshes(accounts, ann.user_id, "third", "fourth", NOW + SECOND * 3)

    def test_at_once_makes_one_successor(self, world: World, accounts: Accounts, ann: Caller) -> None:
        with ThreadPoolExecutor(12) as pool:
            done = list(pool.map(lambda _: refreshes(accounts, ann.user_id, "first", "second", NOW), range(24)))
        assert all(done)
        assert len(world.rows("select 1 from refresh_tokens where user_id = %s and used_at is null", ann.user_id)) == 1

    def test_ends_what_was_not_used_for_long(self, accounts: Accounts, ann: Caller) -> None:
        assert not refreshes(accounts, ann.user_id, "first", "second", NOW + REFRESH_IDLE)

    def test_ends_what_began_long_ago_and_leaves_no_rows(self, world: World, accounts: Accounts, ann: Caller) -> None:
        now, number = NOW, 0
        while refreshes(accounts, ann.user_id, "first" if not number else f"t{number}", f"t{number + 1}", now):
            number, now = number + 1, now + REFRESH_IDLE - HOUR
            assert now < NOW + REFRESH_LIFETIME + REFRESH_IDLE
        assert now >= NOW + REFRESH_LIFETIME
        assert len(world.rows("select 1 from refresh_tokens where user_id = %s", ann.user_id)) <= 3

    def test_with_the_token_of_another_user_does_nothing(self, accounts: Accounts, ann: Caller) -> None:
        ben = new_user(accounts)
        accounts.begin(accounts.of_user(ben.user_id), uuid4(), token("ben's"), NOW)
        assert accounts.refresh(ann.user_id, token("ben's"), token("second"), NOW) is None
        assert refreshes(accounts, ben.user_id, "ben's", "next", NOW)


class TestEnding:
    def test_signs_out_everywhere(self, accounts: Accounts, ann: Caller) -> None:
        ben = new_user(accounts)
        accounts.begin(accounts.of_user(ann.user_id), uuid4(), token("phone"), NOW)
        refreshes(accounts, ann.user_id, "first", "second", NOW)
        assert accounts.end(ann.user_id, NOW) == 2
        assert accounts.end(ann.user_id, NOW) == 0
        for name in ("first", "second", "phone"):
            assert not refreshes(accounts, ann.user_id, name, "next", NOW)
        assert refreshes(accounts, ben.user_id, "first", "second", NOW)

    def test_of_a_user_without_an_account_ends_nothing(self, accounts: Accounts) -> None:
        assert accounts.end(uuid4(), NOW) == 0

    def test_while_it_is_refreshed_leaves_nothing(self, accounts: Accounts) -> None:
        for _ in range(8):
            user = new_user(accounts)
            with ThreadPoolExecutor(4) as pool:
                pool.submit(refreshes, accounts, user.user_id, "first", "second", NOW)
                pool.submit(accounts.end, user.user_id, NOW)
            assert not refreshes(accounts, user.user_id, "second", "third", NOW)
            assert not refreshes(accounts, user.user_id, "first", "second", NOW)


class TestPassword:
    def test_changes_and_ends_the_other_sign_ins(self, accounts: Accounts, ann: Caller) -> None:
        before = accounts.of_user(ann.user_id)
        accounts.begin(before, uuid4(), token("phone"), NOW)
        assert accounts.change_password(before, "new", ann.sign_in, NOW + HOUR) == 1
        assert accounts.of_user(ann.user_id).password_hash == "new"
        assert not refreshes(accounts, ann.user_id, "phone", "phone-2")
        assert refreshes(accounts, ann.user_id, "first", "second")

    def test_that_was_changed_since_lets_nobody_in_who_proved_the_old_one(
        self, accounts: Accounts, ann: Caller
    ) -> None:
        before = accounts.of_user(ann.user_id)
        accounts.change_password(before, "new", None, NOW + HOUR)
        assert not accounts.begin(before, uuid4(), token("late"), NOW + HOUR)
        assert accounts.change_password(before, "newer", None, NOW + HOUR) is None
        assert accounts.change_password(before, "new", None, NOW + HOUR) == 0  # sent again

    def test_may_get_another_hash_and_stays_the_same(self, accounts: Accounts, ann: Caller) -> None:
        before = accounts.of_user(ann.user_id)
        accounts.rehash(before, "better")
        assert accounts.begin(before, uuid4(), token("second"), NOW)
        assert accounts.of_user(ann.user_id).password_hash == "better"
        accounts.rehash(before, "stale")
        assert accounts.of_user(ann.user_id).password_hash == "better"


class TestPersonalTokens:
    def test_are_there_until_they_are_removed(self, world: World, personal: PersonalTokens) -> None:
        caller = world.user("ann@example.org")
        made = personal.add(caller, "script", ["read"], token("a"), NOW, NOW + DAY)
        assert personal.list(caller.user_id) == [made]
        used = personal.use(caller.user_id, token("a"), NOW + HOUR)
        assert used == {"name": "Ann", "email": "ann@example.org", "scopes": ["read"], "expires_at": NOW + DAY}
        personal.remove(caller.user_id, made.id)
        assert personal.use(caller.user_id, token("a"), NOW) is None
        assert personal.list(caller.user_id) == []

    def test_say_when_they_were_used_to_the_minute(self, world: World, personal: PersonalTokens) -> None:
        caller = world.user()
        personal.add(caller, "script", ["read"], token("a"), NOW, NOW + DAY)
        for moment, said in ((NOW, NOW), (NOW + SECOND * 30, NOW), (NOW + HOUR, NOW + HOUR)):
            personal.use(caller.user_id, token("a"), moment)
            assert personal.list(caller.user_id)[0].last_used_at == said

    def test_end(self, world: World, personal: PersonalTokens) -> None:
        caller = world.user()
        personal.add(caller, "script", ["read"], token("a"), NOW, NOW + DAY)
        assert personal.use(caller.user_id, token("a"), NOW + DAY) is None
        assert personal.list(caller.user_id)[0].last_used_at is None

    def test_of_another_user_are_not_there(self, world: World, personal: PersonalTokens) -> None:
        ann, ben = world.user(), world.user()
        made = personal.add(ann, "script", ["read"], token("a"), NOW, NOW + DAY)
        assert personal.use(ben.user_id, token("a"), NOW) is None
        with pytest.raises(NotFound):
            personal.remove(ben.user_id, made.id)
        assert personal.list(ben.user_id) == []
        assert personal.list(ann.user_id) == [made]

    def test_are_at_most_so_many_also_at_once(self, world: World, personal: PersonalTokens) -> None:
        caller = world.user()

        def add(number: int) -> bool:
            try:
                personal.add(caller, str(number), ["read"], token(number), NOW + timedelta(seconds=number), NOW + DAY)
            except InvalidInput:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(add, range(PERSONAL_TOKENS + 5))) == PERSONAL_TOKENS
        assert len(personal.list(caller.user_id)) == PERSONAL_TOKENS


def test_all_of_it_goes_with_the_user(world: World, accounts: Accounts, personal: PersonalTokens, ann: Caller) -> None:
    personal.add(ann, "script", ["read"], token("a"), NOW, NOW + DAY)
    world.rows("delete from users where user_id = %s", ann.user_id)
    for table in ("accounts", "refresh_tokens", "personal_tokens"):
        assert world.rows(f"select 1 from {table} where user_id = %s", ann.user_id) == []
