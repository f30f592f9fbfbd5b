"""Commands that came with a key of their caller's: each is carried out once, and a repeat answered as the first was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg import OperationalError
from psycopg.types.json import Jsonb

from functions.store.database import Database, Row, Statement
from functions.tasks.errors import InvalidInput, Unavailable


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
                return _repeated(key, kept[0]), None
            outcome = work()
            return outcome, _end([(key, outcome)], now)

        return self._database.of(key.user_id).once(_begin([key]), carry_out)

    def each(
        self,
        keys: Sequence[Key],
        now: datetime,
        work: Callable[[int], Outcome],
        refusal: Callable[[Exception], Outcome | None],
    ) -> list[Outcome | Exception]:
        """The same of several commands of one user, in order, in one transaction: `work` is given the number of each.

        What it raises undoes what it did for that one, and is kept as the `refusal` that it comes to; where that is
        None it is answered as it is. They end early before one that raises Unavailable; the first one raises it here.
        """

        def carry_out(rows: list[Row]) -> tuple[list[Outcome | Exception], Statement | None]:
            kept = {row["key"]: row for row in rows}
            outcomes: list[Outcome | Exception] = []
            new: list[tuple[Key, Outcome]] = []
            for number, key in enumerate(keys):
                outcome: Outcome | Exception | None
                try:
                    if key.text in kept:
                        outcome = _repeated(key, kept[key.text])
                    else:
                        with self._database.undoing():
                            outcome = work(number)
                        new.append((key, outcome))
                except Unavailable:
                    if not outcomes:
                        raise
                    break
                except OperationalError:
                    raise
                except Exception as error:
                    outcome = None if key.text in kept else refusal(error)
                    if outcome is not None:
                        new.append((key, outcome))
                    else:
                        outcome = error
                if isinstance(outcome, Outcome):
                    fingerprint = kept[key.text]["fingerprint"] if key.text in kept else key.fingerprint
                    kept[key.text] = {"fingerprint": fingerprint, "code": outcome.code, "answer": outcome.answer}
                outcomes.append(outcome)
            return outcomes, _end(new, now)

        return self._database.of(keys[0].user_id).once(_begin(keys), carry_out)


def _repeated(key: Key, kept: Row) -> Outcome:
    if kept["fingerprint"] != key.fingerprint:
        raise InvalidInput(key.field, "was used for another command, of other inputs")
    return Outcome(kept["code"], kept["answer"])


def _begin(keys: Sequence[Key]) -> Statement:
    return "select * from begin_commands(%s, %s)", (keys[0].user_id, [key.text for key in keys])


def _end(outcomes: Sequence[tuple[Key, Outcome]], now: datetime) -> Statement | None:
    if not outcomes:
        return None
    rows = [[key.text, key.fingerprint.hex(), outcome.code, outcome.answer] for key, outcome in outcomes]
    return "select end_commands(%s, %s, %s)", (outcomes[0][0].user_id, Jsonb(rows), now)
