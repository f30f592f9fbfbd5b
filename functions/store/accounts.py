"""Accounts, the sign-ins that they continue, and personal tokens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from functions.store.database import Database, Row
from functions.tasks.accounts import (
    PERSONAL_TOKENS,
    REFRESH_GRACE,
    REFRESH_IDLE,
    REFRESH_LIFETIME,
    PersonalToken,
    email_key,
)
from functions.tasks.errors import InvalidInput, NotFound
from functions.tasks.models import Caller
from functions.tasks.values import uuid7

USED = timedelta(minutes=1)
"""The use of a personal token is written no more often than this."""


@dataclass(frozen=True)
class Account:
    user_id: UUID
    name: str
    email: str | None
    password_hash: str
    password_changed_at: datetime


@dataclass(frozen=True)
class Refreshed:
    """`reused`: the token had been used before, and its family was ended."""

    sign_in: UUID
    name: str
    email: str | None
    reused: bool


_ACCOUNT = "select user_id, name, email, password_hash, password_changed_at from accounts join users using (user_id)"


def _account(row: Row | None) -> Account | None:
    return None if row is None else Account(**row)


class Accounts:
    def __init__(self, database: Database) -> None:
        self._database = database

    def sign_up(
        self,
        caller: Caller,
        password_hash: str,
        token_hash: bytes,
        now: datetime,
        *,
        time_zone: str,
    ) -> bool:
        """Makes an account for a new user, with the first token of `caller.sign_in`. False where the address has
        one."""
        assert caller.email is not None
        row = self._database.of(caller.user_id).one(
            "select sign_up(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) as made",
            (
                caller.user_id,
                caller.name,
                caller.email,
                email_key(caller.email),
                time_zone,
                password_hash,
                caller.sign_in,
                token_hash,
                now,
                now + REFRESH_IDLE,
            ),
        )
        return row is not None and bool(row["made"])

    def of_email(self, email: str) -> Account | None:
        """The account of this address. The only statement that looks among all users: who asks is not known yet."""
        return _account(self._database.system.one(f"{_ACCOUNT} where accounts.email_key = %s", (email_key(email),)))

    def of_user(self, user_id: UUID) -> Account:
        """Raises NotFound for a user who has none here."""
        account = _account(self._database.of(user_id).one(f"{_ACCOUNT} where accounts.user_id = %s", (user_id,)))
        if account is None:
            raise NotFound("account")
        return account

    def begin(self, account: Account, sign_in: UUID, token_hash: bytes, now: datetime) -> bool:
        """Keeps the first token of a sign-in; False where the password was changed since the account was read."""
        row = self._database.of(account.user_id).one(
            "select begin_sign_in(%s, %s, %s, %s, %s, %s) as begun",
            (account.user_id, account.password_changed_at, sign_in, token_hash, now, now + REFRESH_IDLE),
        )
        return row is not None and bool(row["begun"])

    def rehash(self, account: Account, password_hash: str) -> None:
        """Keeps another hash of the same password."""
        self._database.of(account.user_id).all(
            "update accounts set password_hash = %s where user_id = %s and password_hash = %s",
            (password_hash, account.user_id, account.password_hash),
        )

    def refresh(self, user_id: UUID, token_hash: bytes, next_hash: bytes, now: datetime) -> Refreshed | None:
        """Uses a token up and keeps the next one. None for one that is not known."""
        row = self._database.of(user_id).one(
            "select * from rotate_refresh_token(%s, %s, %s, %s, %s, %s, %s)",
            (user_id, token_hash, next_hash, now, REFRESH_GRACE, REFRESH_IDLE, REFRESH_LIFETIME),
        )
        if row is None:
            return None
        return Refreshed(row["family"], row["name"], row["email"], row["outcome"] == "reused")

    def end(self, user_id: UUID, now: datetime) -> int:
        """Ends all sign-ins; how many there were."""
        row = self._database.of(user_id).one("select end_sign_ins(%s, null, %s) as ended", (user_id, now))
        assert row is not None
        return int(row["ended"])

    def change_password(self, account: Account, password_hash: str, keep: UUID | None, now: datetime) -> int | None:
        """Ends all sign-ins but `keep`; how many there were. None where the password was changed since."""
        row = self._database.of(account.user_id).one(
            "select change_password(%s, %s, %s, %s, %s) as ended",
            (account.user_id, account.password_hash, password_hash, keep, now),
        )
        assert row is not None
        ended: int | None = row["ended"]
        return ended


class PersonalTokens:
    """Tokens for scripts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self, caller: Caller, name: str, scopes: list[str], token_hash: bytes, now: datetime, expires_at: datetime
    ) -> PersonalToken:
        """Raises InvalidInput for one more than PERSONAL_TOKENS."""
        row = self._database.of(caller.user_id).one(
            "select save_personal_token(%s, %s, %s, %s, %s, %s, %s, %s) as saved",
            (
                Jsonb(caller.model_dump(mode="json")),
                uuid7(now),
                token_hash,
                name,
                scopes,
                now,
                expires_at,
                PERSONAL_TOKENS,
            ),
        )
        assert row is not None
        if row["saved"] is None:
            raise InvalidInput("name", f"a user has at most {PERSONAL_TOKENS} tokens: remove one first")
        return PersonalToken(id=row["saved"], name=name, scopes=scopes, created_at=now, expires_at=expires_at)

    def list(self, user_id: UUID) -> list[PersonalToken]:
        """The oldest first; those that have expired too."""
        rows = self._database.of(user_id).all(
            "select token_id as id, name, scopes, created_at, expires_at, last_used_at from personal_tokens"
            " where user_id = %s order by created_at, token_id",
            (user_id,),
        )
        return [PersonalToken.model_validate(row) for row in rows]

    def remove(self, user_id: UUID, token_id: UUID) -> None:
        """Raises NotFound."""
        if not self._database.of(user_id).all(
            "delete from personal_tokens where user_id = %s and token_id = %s returning 1", (user_id, token_id)
        ):
            raise NotFound("token")

    def use(self, user_id: UUID, token_hash: bytes, now: datetime) -> dict[str, Any] | None:
        """What a token is for and whose it is, and that it was used; None where it is not there or has expired."""
        return self._database.of(user_id).one(
            "with used as ("
            "  update personal_tokens set last_used_at = %(now)s where user_id = %(user)s and token_hash = %(hash)s"
            "  and expires_at > %(now)s and (last_used_at is null or last_used_at < %(now)s - %(used)s::interval))"
            " select users.name, users.email, scopes, expires_at from personal_tokens join users using (user_id)"
            " where personal_tokens.user_id = %(user)s and token_hash = %(hash)s and expires_at > %(now)s",
            {"user": user_id, "hash": token_hash, "now": now, "used": USED},
        )
