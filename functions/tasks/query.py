"""What list-tasks and list-activity are asked, and the cursors that page them."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, get_args
from uuid import UUID

from pydantic import BeforeValidator, Field, StringConstraints

from functions.tasks.errors import InvalidInput
from functions.tasks.models import Input, Priority, Status
from functions.tasks.values import Bool, Instant, Int, PlainText, TagName, comma_list, date_time, fold

Names = Annotated[list[TagName], Field(max_length=50), BeforeValidator(comma_list)]
SortBy = Literal["due_date", "priority", "created_at", "title"]
Cursor = Annotated[PlainText, StringConstraints(max_length=4000)]


class ListTasks(Input):
    """Filters are joined by AND; `tags` asks for all of them, `tags_any` for one at least."""

    status: Status | None = None
    priority: Annotated[list[Priority], BeforeValidator(comma_list)] | None = None
    due_before: Instant | None = None
    due_after: Instant | None = None
    tags: Names | None = None
    tags_any: Names | None = None
    overdue: Bool | None = None
    search: Annotated[PlainText, StringConstraints(max_length=500)] | None = None
    sort_by: SortBy = "due_date"
    sort_order: Literal["asc", "desc"] = "asc"
    limit: Annotated[Int, Field(ge=1, le=200)] = 50
    cursor: Cursor | None = None


class ListActivity(Input):
    """Newest first. `from` is inclusive and `to` exclusive."""

    from_: Annotated[Instant | None, Field(alias="from")] = None
    to: Instant | None = None
    event_type: Annotated[list[PlainText], BeforeValidator(comma_list)] | None = None
    entity_type: Annotated[list[PlainText], BeforeValidator(comma_list)] | None = None
    entity_id: UUID | None = None
    task_id: UUID | None = None
    limit: Annotated[Int, Field(ge=1, le=200)] = 50
    offset: Annotated[Int, Field(ge=0, le=100_000)] = 0
    cursor: Cursor | None = None


def encode_cursor(key: list[Any]) -> str:
    """An opaque cursor (base64url) that names the last row of a page by its sort key."""
    return base64.urlsafe_b64encode(json.dumps(key, default=str).encode()).decode().rstrip("=")


def decode_cursor(cursor: str, sort: str, kinds: Sequence[str]) -> list[Any]:
    """The key of `encode_cursor`; raises InvalidInput unless it is one of this sort, of these PostgreSQL types."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        name, *key = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if name == sort:
            return [_PART[kind](part) for kind, part in zip(kinds, key, strict=True)]
    except (ValueError, TypeError, AttributeError, RecursionError):
        pass
    raise InvalidInput("cursor", "is not one that this query answered")


def _time(part: Any) -> Any:
    return part if part in ("infinity", "-infinity") else date_time(part)


def _one_of_priorities(part: Any) -> Any:
    return get_args(Priority)[get_args(Priority).index(part)]


def _text(part: Any) -> Any:
    if "\x00" in part:
        raise ValueError(part)
    part.encode()  # a lone surrogate cannot be
    return part


def _number(part: Any) -> Any:
    if type(part) is not int or not 0 < part < 2**63:
        raise ValueError(part)
    return part


_PART: dict[str, Callable[[Any], Any]] = {
    "timestamptz": _time,
    "priority": _one_of_priorities,
    "text": _text,
    "uuid": UUID,
    "bigint": _number,
}


_WORD = re.compile(r"[^\W_]+")
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3041-\u30ff\u3400-\u9fff\U00020000-\U0003ffff"
"""Characters of scripts that put no space between words: Thai, Lao, Burmese, Khmer, Japanese, Chinese."""
_RUN = re.compile(f"[{_UNSPACED}]+|[^{_UNSPACED}]+")


def words_of(text: str) -> list[str]:
    """The words that full-text search knows a text by, folded, each once: runs of letters and digits, and where a
    script has no spaces each character with the next one, as a word may begin at any of them."""
    return sorted({word for part in _parts(text) for word in _indexed(part)})


def search_expression(text: str) -> str:
    """The tsquery that finds all words of `text`, the last one as a prefix; the empty one, which finds nothing, for
    a text without words. Of a script without spaces it finds the pairs of characters, or what begins with a single one.
    """
    terms: list[str] = []
    for part in (parts := _parts(text)):
        if _is_unspaced(part):
            terms += [f"'{pair}'" for pair in _indexed(part)[:-1]] or [f"'{part}':*"]
        else:
            terms.append(f"'{part[:100]}'")
    if parts and not _is_unspaced(parts[-1]):
        terms[-1] += ":*"
    return " & ".join(dict.fromkeys(terms))


def _parts(text: str) -> list[str]:
    return [part for word in _WORD.findall(fold(text)) for part in _RUN.findall(word)]


def _is_unspaced(part: str) -> bool:
    return re.match(f"[{_UNSPACED}]", part) is not None


def _indexed(part: str) -> list[str]:
    return [part[at : at + 2] for at in range(len(part))] if _is_unspaced(part) else [part[:100]]
