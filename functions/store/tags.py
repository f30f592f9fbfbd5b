"""Tags by themselves: a change of one is written with its event, and shows in every task that has it."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from functions.store.database import Database
from functions.tasks.errors import AlreadyExists, NotFound
from functions.tasks.models import Caller, Tag
from functions.tasks.tags import color_of
from functions.tasks.values import uuid7


class Tags:
    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self, caller: Caller) -> list[Tag]:
        """All of the caller's tags, by name."""
        rows = self._database.of(caller.user_id).all(
            "select tag_id as id, name, color from tags where user_id = %s order by key", (caller.user_id,)
        )
        return [Tag.model_validate(row) for row in rows]

    def create(self, caller: Caller, name: str, color: str | None, now: datetime) -> Tag:
        """Raises AlreadyExists for a name that another tag has, whatever its case."""
        tag = Tag(id=uuid7(now), name=name, color=color or color_of(name))
        return self._save("created", caller, tag.model_dump(mode="json"), now)

    def update(self, caller: Caller, tag_id: UUID, changes: dict[str, Any], now: datetime) -> Tag:
        """Raises NotFound, and AlreadyExists for a name that another tag has."""
        return self._save("updated", caller, {"id": str(tag_id), **changes}, now)

    def delete(self, caller: Caller, tag_id: UUID, now: datetime) -> Tag:
        """Takes the tag from every task too. Raises NotFound."""
        return self._save("deleted", caller, {"id": str(tag_id)}, now)

    def _save(self, what: str, caller: Caller, tag: dict[str, Any], now: datetime) -> Tag:
        if "name" in tag:
            tag["key"] = tag["name"].casefold()
        row = self._database.of(caller.user_id).one(
            "select * from save_tag(%s, %s, %s, %s, %s, %s)",
            (
                Jsonb(caller.model_dump(mode="json")),
                f"tag.{what}",
                Jsonb(tag),
                uuid7(now),
                now,
                caller.correlation_id,
            ),
        )
        assert row is not None
        if row["outcome"] == "exists":
            raise AlreadyExists("a tag with this name exists")
        if row["outcome"] == "gone":
            raise NotFound("tag")
        self._database.changed([caller.user_id])
        return Tag.model_validate(row["tag"])
