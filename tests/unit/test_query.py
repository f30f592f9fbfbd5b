"""Queries of lists: what they accept, cursors that nobody can break with, and search text that is always valid."""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from functions.tasks.errors import InvalidInput
from functions.tasks.query import (
    ListActivity,
    ListTasks,
    decode_cursor,
    encode_cursor,
    search_expression,
    words_of,
)

_NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
_SORTS: dict[str, tuple[str, ...]] = {
    "due_date asc": ("timestamptz", "uuid"),
    "created_at desc": ("timestamptz", "uuid"),
    "priority desc": ("priority", "uuid"),
    "title asc": ("text", "uuid"),
    "seq": ("bigint",),
}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def opaque(value: Any) -> str:
    """A cursor of any JSON."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


class TestCursor:
    @given(
        st.integers(0, 10**15).map(lambda us: datetime(1990, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)), st.uuids()
    )
    def test_of_times_round_trips(self, moment: datetime, identity: UUID) -> None:
        cursor = encode_cursor(["due_date asc", moment.isoformat(), identity])
        when, which = decode_cursor(cursor, "due_date asc", ("timestamptz", "uuid"))
        assert (datetime.fromisoformat(str(when)), UUID(str(which))) == (moment, identity)

    @pytest.mark.parametrize("moment", ["infinity", "-infinity"])
    def test_of_no_due_date_round_trips(self, moment: str) -> None:
        cursor = encode_cursor(["due_date asc", moment, uuid4()])
        assert decode_cursor(cursor, "due_date asc", ("timestamptz", "uuid"))[0] == moment

    @given(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=200), st.uuids())
    def test_of_text_round_trips(self, text: str, identity: UUID) -> None:
        key = decode_cursor(encode_cursor(["title asc", text, identity]), "title asc", ("text", "uuid"))
        assert [key[0], UUID(str(key[1]))] == [text, identity]

    @given(st.integers(1, 2**63 - 1))
    def test_of_a_number_round_trips(self, seq: int) -> None:
        assert decode_cursor(encode_cursor(["seq", seq]), "seq", ("bigint",)) == [seq]

    @given(st.integers(1, 2**63 - 1))
    def test_is_of_characters_that_a_query_string_keeps(self, seq: int) -> None:
        assert re.fullmatch(r"[A-Za-z0-9_-]+", encode_cursor(["seq", seq]))

    @pytest.mark.parametrize("sort", _SORTS)
    def test_of_another_sort_is_refused(self, sort: str) -> None:
        for other, kinds in _SORTS.items():
            if other != sort:
                with pytest.raises(InvalidInput) as error:
                    decode_cursor(encode_cursor([sort, "infinity", str(uuid4())]), other, kinds)
                assert error.value.field == "cursor"

    @given(st.sampled_from(sorted(_SORTS)), st.text(max_size=40))
    @example("seq", "")
    @example("seq", "é")
    @example("seq", "\ud800")
    @example("seq", "=")
    @example("seq", base64.b64encode(b"[" * 2990).decode())
    @example("seq", base64.b64encode(b"\xff\xfe").decode())
    @example("seq", base64.b64encode(b'["seq", ' + b"9" * 2900 + b"]").decode())
    def test_of_any_text_is_refused_and_no_worse(self, sort: str, text: str) -> None:
        with pytest.raises(InvalidInput):
            decode_cursor(text, sort, _SORTS[sort])

    @given(st.sampled_from(sorted(_SORTS)), st.lists(JSON, max_size=3))
    @example("due_date asc", ["infinity", 5])
    @example("due_date asc", [5, str(uuid4())])
    @example("due_date asc", ["2026-11-23'09:00:00+00:00", str(uuid4())])
    @example("due_date asc", ["2026-W48-1T09:00:00Z", str(uuid4())])
    @example("due_date asc", [["infinity"], str(uuid4())])
    @example("priority desc", ["highest", str(uuid4())])
    @example("priority desc", [["low"], str(uuid4())])
    @example("title asc", ["\ud800", str(uuid4())])
    @example("title asc", ["\x00", str(uuid4())])
    @example("title asc", [["a"], str(uuid4())])
    @example("seq", [True])
    @example("seq", [2**63])
    @example("seq", [0])
    @example("seq", [1.0])
    @example("seq", ["1"])
    @example("seq", [float("nan")])
    def test_of_a_wrong_key_is_refused_and_no_worse(self, sort: str, key: list[Any]) -> None:
        """Or it is a right one: then what it says is something that PostgreSQL reads as that type."""
        try:
            parts = decode_cursor(opaque([sort, *key]), sort, _SORTS[sort])
        except InvalidInput:
            return
        for kind, part in zip(_SORTS[sort], parts, strict=True):
            match kind:
                case "timestamptz":
                    assert part in ("infinity", "-infinity") or (
                        isinstance(part, datetime) and part.utcoffset() is not None
                    )
                case "uuid":
                    assert isinstance(part, UUID)
                case "priority":
                    assert part in ("low", "medium", "high", "urgent")
                case "text":
                    assert isinstance(part, str)
                    assert b"\x00" not in part.encode()
                case "bigint":
                    assert type(part) is int
                    assert 0 < part < 2**63

    @given(st.sampled_from(sorted(_SORTS)), JSON)
    def test_of_no_list_is_refused(self, sort: str, value: object) -> None:
        if not isinstance(value, list):
            with pytest.raises(InvalidInput):
                decode_cursor(opaque(value), sort, _SORTS[sort])


class TestSearch:
    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("Buy milk", ["buy", "milk"]),
            ("Café, CAFÉ & cafe", ["cafe"]),
            ("e-mail to ann@example.com", ["ann", "com", "e", "example", "mail", "to"]),
            ("snake_case", ["case", "snake"]),
            ("2nd of 3", ["2nd", "3", "of"]),
            ("it's", ["it", "s"]),
            ("日本語 test", ["日本", "本語", "語", "test"]),
            ("買うmilk", ["買う", "う", "milk"]),
            ("!?", []),
            ("", []),
        ],
    )
    def test_knows_a_text_by_its_words(self, text: str, words: list[str]) -> None:
        assert words_of(text) == sorted(words)

    @pytest.mark.parametrize(
        ("text", "expression"),
        [
            ("mil", "'mil':*"),
            ("Buy MIL", "'buy' & 'mil':*"),
            ("'; drop table tasks --", "'drop' & 'table' & 'tasks':*"),
            ("a & !b | (c <-> d):*", "'a' & 'b' & 'c' & 'd':*"),
            ("back\\slash", "'back' & 'slash':*"),
            ("牛奶", "'牛奶'"),
            ("牛", "'牛':*"),
            ("买牛奶 mil", "'买牛' & '牛奶' & 'mil':*"),
        ],
    )
    def test_asks_for_all_words_the_last_as_a_prefix(self, text: str, expression: str) -> None:
        assert search_expression(text) == expression

    @pytest.mark.parametrize("text", ["", " ", "!!", "_", "'", "\\", "&|!()<->:*"])
    def test_without_words_finds_nothing(self, text: str) -> None:
        assert search_expression(text) == ""

    @given(st.text(st.characters(codec="utf-8"), max_size=60))
    @example("x" * 5000)
    @example("ﷺ" * 90)
    def test_is_a_valid_tsquery_of_words_in_quotes(self, text: str) -> None:
        expression = search_expression(text)
        assert re.fullmatch(r"(?:'[^\W_]{1,100}'(?::\*)?(?: & |$))*", expression)

    @given(st.text(st.characters(codec="utf-8"), max_size=60))
    def test_for_a_text_finds_that_text(self, text: str) -> None:
        expression = search_expression(text)
        words = set(words_of(text))
        assert set(re.findall(r"'([^']+)'", expression)) <= words
        assert (expression == "") == (not words)

    @given(st.text(max_size=40), st.text(max_size=40))
    def test_knows_the_words_of_two_texts_together(self, title: str, description: str) -> None:
        assert set(words_of(f"{title} {description}")) == {*words_of(title), *words_of(description)}

    @given(st.text(max_size=60))
    def test_knows_each_word_once_and_never_an_empty_one(self, text: str) -> None:
        words = words_of(text)
        assert words == sorted(set(words))
        assert all(0 < len(word) <= 100 for word in words)


def refused(model: type[BaseModel], **fields: Any) -> set[str]:
    try:
        model.model_validate(fields)
    except ValidationError as error:
        return {str(item["loc"][0]) for item in error.errors()}
    return set()


class TestListTasks:
    def test_has_the_defaults_of_the_api(self) -> None:
        query = ListTasks()
        assert (query.sort_by, query.sort_order, query.limit, query.cursor) == ("due_date", "asc", 50, None)

    def test_splits_at_commas(self) -> None:
        query = ListTasks.model_validate({"priority": "high, urgent", "tags": "a,b", "tags_any": "c"})
        assert (query.priority, query.tags, query.tags_any) == (["high", "urgent"], ["a", "b"], ["c"])

    def test_takes_lists_too(self) -> None:
        query = ListTasks.model_validate({"priority": ["high"], "tags": ["a"], "due_before": "2026-11-23T09:00:00Z"})
        assert (query.priority, query.tags, query.due_before) == (["high"], ["a"], _NOW)

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("status", "done"),
            ("status", ""),
            ("priority", "high,highest"),
            ("due_before", "2026-11-23"),
            ("due_after", "yesterday"),
            ("tags", "a," + "x" * 51),
            ("tags", ",".join("x" * 51)),
            ("tags_any", "a\x00"),
            ("overdue", "yes"),
            ("overdue", 1),
            ("search", "x" * 501),
            ("search", "a\x00b"),
            ("sort_by", "version"),
            ("sort_by", "title; drop table tasks"),
            ("sort_order", "up"),
            ("limit", 0),
            ("limit", 201),
            ("limit", "fifty"),
            ("limit", 1.5),
            ("limit", True),
            ("cursor", "x" * 4001),
            ("cursor", "a\x00"),
            ("offset", 1),
        ],
        ids=lambda value: repr(value)[:30],
    )
    def test_refuses_naming_the_field(self, field: str, value: object) -> None:
        assert refused(ListTasks, **{field: value}) == {field}

    @pytest.mark.parametrize("limit", [1, 200])
    def test_takes_a_page_of_1_to_200(self, limit: int) -> None:
        assert ListTasks(limit=limit).limit == limit


class TestListActivity:
    def test_reads_its_fields(self) -> None:
        query = ListActivity.model_validate(
            {"from": "2026-11-23T09:00:00Z", "to": "2026-11-23T10:00:00Z", "event_type": "task.created,task.deleted"}
        )
        assert (query.from_, query.to) == (_NOW, _NOW + timedelta(hours=1))
        assert query.event_type == ["task.created", "task.deleted"]
        assert (query.limit, query.offset) == (50, 0)

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("from", "yesterday"),
            ("from_", "2026-11-23T09:00:00Z"),
            ("to", "2026-11-23"),
            ("event_type", "a\x00"),
            ("entity_type", 5),
            ("entity_id", "1"),
            ("limit", 0),
            ("limit", 201),
            ("offset", -1),
            ("offset", 10**9),
            ("offset", "1"),
            ("cursor", "x" * 4001),
        ],
        ids=lambda value: repr(value)[:30],
    )
    def test_refuses_naming_the_field(self, field: str, value: object) -> None:
        assert refused(ListActivity, **{field: value}) == {field}
