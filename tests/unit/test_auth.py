"""Who is calling: a development token proves nothing, so it must be well formed and on loopback only."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from functions.runtime.auth import DevelopmentTokens, NoTokens, authenticator
from functions.runtime.settings import Settings
from functions.tasks.errors import Unauthenticated

TOKENS = DevelopmentTokens("127.0.0.1")
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", fullmatch=True)


def user_of(name: str) -> UUID:
    return TOKENS.authenticate(f"Bearer dev:{name}", "").user_id


class TestDevelopmentTokens:
    @pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "localhost"])
    def test_are_for_loopback(self, host: str) -> None:
        assert DevelopmentTokens(host).authenticate("Bearer dev:ann", "").name == "ann"

    @pytest.mark.parametrize(
        "host",
        ["0.0.0.0", "::", "192.168.1.5", "10.0.0.1", "8.8.8.8", "2001:db8::1", "example.com", "localhost.evil", ""],
    )
    def test_are_refused_elsewhere_saying_what_to_set(self, host: str) -> None:
        with pytest.raises(ValueError, match=r"^TICKLER_AUTH=dev .*TICKLER_HOST=127\.0\.0\.1") as error:
            DevelopmentTokens(host)
        assert "\n" not in str(error.value)

    @given(NAMES)
    def test_name_a_user(self, name: str) -> None:
        caller = TOKENS.authenticate(f"Bearer dev:{name}", "c-1")
        assert (caller.name, caller.correlation_id, caller.user_id) == (name, "c-1", user_of(name))

    @given(NAMES, NAMES)
    @example("ann", "Ann")
    @example("ann", "ann@")
    def test_of_one_name_are_one_user_and_of_two_are_two(self, one: str, other: str) -> None:
        assert (user_of(one) == user_of(other)) == (one == other)

    def test_of_a_name_are_the_same_user_in_every_process(self) -> None:
        assert user_of("ann") == UUID("a820a4c9-ccfd-5942-827d-5ab477a77df1")

    @pytest.mark.parametrize(
        ("name", "email"),
        [
            ("ann", "ann@tickler.localhost"),
            ("ann@example.com", "ann@example.com"),
            ("ann.b-c_d", "ann.b-c_d@tickler.localhost"),
        ],
    )
    def test_have_an_email_address(self, name: str, email: str) -> None:
        assert TOKENS.authenticate(f"Bearer dev:{name}", "").email == email

    @given(NAMES)
    def test_always_have_an_address_with_one_at(self, name: str) -> None:
        email = TOKENS.authenticate(f"Bearer dev:{name}", "").email
        assert email is not None
        local, _, domain = email.partition("@")
        assert local
        assert domain
        assert "@" not in domain

    @pytest.mark.parametrize(
        "header",
        [
            None,
            "",
            "dev:ann",
            "Bearer",
            "Bearer ",
            "Bearer dev:",
            "Bearer dev",
            "Bearer ann",
            "Basic dev:ann",
            "Bearer  dev:ann",
            " Bearer dev:ann",
            "Bearer dev:ann ",
            "Bearer dev:ann\n",
            "Bearer dev:ann, Bearer dev:ben",
            "Bearer dev:a b",
            "Bearer dev:.ann",
            "Bearer dev:@ann",
            "Bearer dev:-ann",
            "Bearer dev:ann/../ben",
            "Bearer dev:ann\x00",
            "Bearer dev:änn",
            "Bearer dev:\N{ARABIC-INDIC DIGIT ONE}",
            "Bearer dev:" + "a" * 65,
            "Bearer dev:" + "a" * 100_000,
            "Bearer eyJhbGciOiJub25lIn0.e30.",
        ],
        ids=lambda header: repr(header)[:40],
    )
    def test_of_another_form_are_refused(self, header: str | None) -> None:
        with pytest.raises(Unauthenticated):
            TOKENS.authenticate(header, "")


@pytest.mark.parametrize("header", [None, "", "Bearer dev:ann", "Bearer anything"])
def test_without_a_way_to_know_users_nobody_is_let_in(header: str | None) -> None:
    with pytest.raises(Unauthenticated):
        NoTokens().authenticate(header, "")


class TestAuthenticator:
    def test_lets_nobody_in_by_default(self) -> None:
        assert isinstance(authenticator(Settings.model_construct(auth="none", host="127.0.0.1")), NoTokens)

    def test_takes_development_tokens_where_the_settings_say_so(self) -> None:
        assert isinstance(authenticator(Settings.model_construct(auth="dev", host="::1")), DevelopmentTokens)

    def test_refuses_development_tokens_beyond_this_machine(self) -> None:
        with pytest.raises(ValueError, match="loopback"):
            authenticator(Settings.model_construct(auth="dev", host="0.0.0.0"))
