"""Tags: their colors, and what may be done to them."""

from __future__ import annotations

import hashlib
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel

from functions.tasks.errors import InvalidInput
from functions.tasks.models import Input, Tag
from functions.tasks.values import Color, TagName

PALETTE = (
    "#b91c1c", "#c2410c", "#a16207", "#4d7c0f", "#15803d", "#0f766e",
    "#0369a1", "#1d4ed8", "#6d28d9", "#a21caf", "#be185d", "#57534e",
)  # fmt: skip
"""Colors of at least 4.5:1 contrast on white (WCAG 2.2, 1.4.3)."""


class ManageTags(Input):
    """`action` follows from the verb (GET list, POST create, PATCH update, DELETE delete) unless given."""

    action: Literal["list", "create", "update", "delete"] = "list"
    tag_id: UUID | None = None
    name: TagName | None = None
    color: Color | None = None


class TagList(BaseModel):
    items: list[Tag]


def color_of(name: str) -> str:
    """The color of a new tag: the same for the same name, whoever makes it."""
    return PALETTE[hashlib.sha256(name.casefold().encode()).digest()[0] % len(PALETTE)]


def check(command: ManageTags) -> tuple[str, UUID, dict[str, Any]]:
    """The action, the tag and the fields that a command names. Raises InvalidInput for one it lacks."""
    fields = command.model_dump(include={"name", "color"}, exclude_none=True)
    if command.action == "create" and "name" not in fields:
        raise InvalidInput("name", "is required")
    if command.action == "update" and not fields:
        raise InvalidInput("name", "give a name or a color")
    if command.action in ("update", "delete") and command.tag_id is None:
        raise InvalidInput("tag_id", "is required")
    if command.action in ("list", "create") and command.tag_id is not None:
        raise InvalidInput("tag_id", f"is not for {command.action}")
    return command.action, command.tag_id or UUID(int=0), fields
