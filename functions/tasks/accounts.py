"""Accounts and their tokens: what may be asked, and the rules of it."""

from __future__ import annotations

import unicodedata
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field, SecretStr, StringConstraints

from functions.tasks.devices import is_email
from functions.tasks.errors import InvalidInput
from functions.tasks.models import Input
from functions.tasks.values import Instant, PlainText, Title, ZoneName

ACCESS_LIFETIME = timedelta(minutes=15)
"""How long an access token holds. It is not looked up, so this is how long it outlives its sign-in."""

REFRESH_IDLE = timedelta(days=30)
"""A sign-in ends when it was not used for so long."""

REFRESH_LIFETIME = timedelta(days=180)
"""A sign-in ends so long after it began, however much it is used."""

REFRESH_GRACE = timedelta(seconds=10)
"""So long after its use a refresh token answers the same once more, to a client that lost the answer; but not once
that answer was used."""

MIN_PASSWORD, MAX_PASSWORD = 8, 256
"""Characters. NIST SP 800-63B (revision 3) section 5.1.1.2 wants 8 at least, 64 or more allowed, and no rules of which
characters there are."""

PERSONAL_TOKENS = 50
"""A user's at most."""

PERSONAL_LIFETIME = timedelta(days=90)
MAX_PERSONAL_LIFETIME = timedelta(days=366)
"""How long a personal token holds that says nothing else, and how long one can."""

Secret = Annotated[SecretStr, Field(max_length=512)]
ScopeName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z-]{0,60}$")]


class IssueToken(Input):
    """`action` follows from the path; the Dapr spelling says it. `time_zone` and `name` are for signup."""

    action: Literal["signup", "token", "refresh", "jwks"]
    email: Annotated[PlainText, Field(max_length=320)] | None = None
    password: Secret | None = None
    name: Annotated[Title, Field(max_length=100)] | None = None
    time_zone: ZoneName | None = None
    refresh_token: Secret | None = None


class IssuedTokens(BaseModel):
    """As RFC 6749 section 5.1 names them. `expires_in` is in seconds, for the access token."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"
    expires_in: int
    refresh_token: str
    user_id: UUID


class KeySet(BaseModel):
    """A JWK Set (RFC 7517 section 5) of public keys."""

    keys: list[dict[str, Any]]


class ManageTokens(Input):
    """`action` follows from the path and verb; the Dapr spelling says it. `old` and `new` are for password, `name`,
    `scopes` and `expires_at` for create."""

    action: Literal["list", "create", "delete", "signout", "password"]
    token_id: UUID | None = None
    name: Annotated[Title, Field(max_length=100)] | None = None
    scopes: Annotated[list[ScopeName], Field(min_length=1, max_length=50)] | None = None
    expires_at: Instant | None = None
    old: Secret | None = None
    new: Secret | None = None


class PersonalToken(BaseModel):
    """`token` is answered once, when it is made. `last_used_at` is to the minute."""

    id: UUID
    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None = None
    token: str | None = None


class PersonalTokenList(BaseModel):
    items: list[PersonalToken]


class SignInsEnded(BaseModel):
    """How many sign-ins cannot be continued any more. Their access tokens hold for 15 minutes at most."""

    ended: int


def email_key(email: str) -> str:
    """The address as it is compared: two that differ in case, or in how Unicode spells them, are one account."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", email).casefold())


def given(field: str, value: SecretStr | str | None) -> str:
    """The value of an input that this action needs. Raises InvalidInput."""
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if text is None:
        raise InvalidInput(field, "is required")
    return text


def new_email(command: IssueToken) -> str:
    """Raises InvalidInput."""
    email = given("email", command.email)
    if not is_email(email):
        raise InvalidInput("email", "must be an email address")
    return email


def plain_password(text: str) -> str:
    """A password as it is hashed: one that another keyboard spells with other code points is the same (SP 800-63B
    section 5.1.1.2)."""
    return unicodedata.normalize("NFKC", text)


def new_password(field: str, text: str, email: str | None) -> str:
    """A password to be kept. Raises InvalidInput that never says it."""
    if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidInput(field, "must be valid Unicode without NUL characters")
    password = plain_password(text)
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise InvalidInput(field, f"must have {MIN_PASSWORD} to {MAX_PASSWORD} characters")
    if email and email_key(password) in (email_key(email), email_key(email).partition("@")[0]):
        raise InvalidInput(field, "must not be the email address")
    if len(set(password)) == 1:
        raise InvalidInput(field, "must not be one character repeated")
    return password


def personal_expiry(command: ManageTokens, now: datetime) -> datetime:
    """When a new personal token ends. Raises InvalidInput."""
    expires_at = command.expires_at or now + PERSONAL_LIFETIME
    if not now < expires_at <= now + MAX_PERSONAL_LIFETIME:
        raise InvalidInput("expires_at", f"must be in the next {MAX_PERSONAL_LIFETIME.days} days")
    return expires_at
