"""Commands that came with a key of their caller's: each is carried out once, and a repeat answered as the first was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from functions.store.database import Database, Row, Statement
from functions.tasks.errors import InvalidInput


@dataclass(frozen=True)
class Key:
    """A caller's key for one command. `fingerprint` is of what the command asks for; `field` is what an error names."""

    user_id: UUID
    text: str
    fingerprint: bytes
    field: str


@dataclass(frozen=True)
class Outcome:
    """What a command came to: `answer` is JSON; `code` is 0, or the gRPC status code of a refusal."""

    code: int
    answer: str


class CommandLog:
    def __init__(self, database: Database) -> None:
        self._database = database

    def once(self, key: Key, now: datetime, work: Callable[[], Outcome]) -> Outcome:
        """What `work` came to, or what is kept of this command: its changes and its outcome are one transaction.

        So of many at once exactly one is carried out, and after a crash at any moment either nothing was, or a repeat
        finds it. What `work` raises undoes what it did, and nothing is kept. Raises InvalidInput for the key of another
        command.
        """

        def carry_out(kept: list[Row]) -> tuple[Outcome, Statement | None]:
            if kept:
                if kept[0]["fingerprint"] != key.fingerprint:
                    raise InvalidInput(key.field, "was used for another command, of other inputs")
                return Outcome(kept[0]["code"], kept[0]["answer"]), None
            outcome = work()
            return outcome, (
                "select end_command(%s, %s, %s, %s, %s, %s)",
                (key.user_id, key.text, key.fingerprint, outcome.code, outcome.answer, now),
            )

        begin = ("select * from begin_command(%s, %s)", (key.user_id, key.text))
        return self._database.of(key.user_id).once(begin, carry_out)
