"""Everything that is a user's, in parts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from functions.store.database import Database
from functions.store.users import COLUMNS, settings_of
from functions.tasks.devices import Device
from functions.tasks.errors import InvalidInput
from functions.tasks.exports import Export, ExportedAccount, ExportedDelivery, ExportedDigest, exported_task
from functions.tasks.models import Activity, Caller, Tag, Task
from functions.tasks.query import decode_cursor, encode_cursor
from functions.tasks.user_settings import UserSettings

PART_BYTES = 2_000_000
"""A part is closed once it is so long. A sidecar carries 4 MiB (--max-body-size, in either direction), and the longest
item, a task with its inputs or a change of its description, is far less than what is left."""

_SECTIONS: dict[str, tuple[str, ...]] = {
    "devices": ("uuid",),
    "tags": ("uuid",),
    "tasks": ("uuid",),
    "activity": ("bigint",),
    "deliveries": ("uuid", "text", "text"),
    "digests": ("bigint",),
}
"""In order, with the types of their keys, as export_part has them (routines.sql)."""


class Exports:
    def __init__(self, database: Database) -> None:
        self._database = database

    def part(self, caller: Caller, cursor: str | None, now: datetime, *, part_bytes: int = PART_BYTES) -> Export:
        """The first part, or the one after a cursor, of one moment. No part skips or repeats an item that stays.

        Raises InvalidInput for a cursor that is not one.
        """
        section, after = _position(cursor)
        rows = self._database.of(caller.user_id).all(
            f"select u.user_id, u.name, u.created_at, coalesce(u.seq, 0) as seq, {COLUMNS}, part.*"
            " from (select) as always left join users u on u.user_id = %(user)s"
            " left join export_part(%(user)s, %(section)s, %(after)s, %(bytes)s) part on true",
            {
                "user": caller.user_id,
                "section": section,
                "after": None if after is None else Jsonb(after),
                "bytes": part_bytes,
            },
        )
        first, last = rows[0], rows[-1]
        known = first["user_id"] is not None
        items: dict[str, list[Any]] = {name: [] for name in _SECTIONS}
        for row in rows:
            if row["section"] is not None:
                items[row["section"]].append(row["item"])
        return Export(
            exported_at=now,
            seq=first["seq"],
            account=ExportedAccount.model_validate({**first, "user_id": str(caller.user_id)}) if known else None,
            settings=settings_of(first) if known else UserSettings(email=caller.email),
            devices=[Device.model_validate(item) for item in items["devices"]],
            tags=[Tag.model_validate(item) for item in items["tags"]],
            tasks=[exported_task(Task.model_validate(item)) for item in items["tasks"]],
            activity=[Activity.model_validate(item) for item in items["activity"]],
            deliveries=[ExportedDelivery.model_validate(item) for item in items["deliveries"]],
            digests=[ExportedDigest.model_validate(item) for item in items["digests"]],
            next_cursor=encode_cursor([f"export {last['section']}", *last["key"]]) if last["more"] else None,
        )


def _position(cursor: str | None) -> tuple[str, list[Any] | None]:
    """The section that a part begins in, and the key that it begins after."""
    if cursor is None:
        return next(iter(_SECTIONS)), None
    for section, kinds in _SECTIONS.items():
        try:
            return section, [_plain(part) for part in decode_cursor(cursor, f"export {section}", kinds)]
        except InvalidInput:
            continue
    raise InvalidInput("cursor", "is not one that an export answered")


def _plain(part: Any) -> Any:
    return part if isinstance(part, int) else str(part)
