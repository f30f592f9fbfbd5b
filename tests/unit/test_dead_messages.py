"""Dead messages: the same one is known again, whatever its bytes are."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.tasks.dead_messages import LONGEST, partition_key, read_dead_message

USER = "01a207a2-3280-7d4b-a45f-90293695dcbc"


def cloud_event(**fields: Any) -> bytes:
    event = {"id": "e-1", "topic": "task.create", "source": "import", "specversion": "1.0", "data": {}}
    return json.dumps(event | fields).encode()


def test_a_cloud_event_says_where_it_belongs() -> None:
    dead = read_dead_message(cloud_event())
    assert (dead.topic, dead.event_id, dead.data) == ("task.create", "e-1", cloud_event())


def test_the_same_event_is_the_same_message_whatever_was_added_on_the_way() -> None:
    assert read_dead_message(cloud_event()).id == read_dead_message(cloud_event(time="2026-11-23T09:00:00Z")).id


@pytest.mark.parametrize("other", [{"id": "e-2"}, {"topic": "task.events"}, {"source": "mail"}], ids=str)
def test_another_event_is_another_message(other: dict[str, str]) -> None:
    assert read_dead_message(cloud_event()).id != read_dead_message(cloud_event(**other)).id


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"\xff\x00", b"title=x", b"null", b"[1]", b'"text"', b"{}", b'{"id": "1"}', b'{"topic": "t"}'),
        *(cloud_event(id=1), cloud_event(id=""), cloud_event(topic=None), cloud_event(topic="t" * 250)),
        *(cloud_event(id="a\x00b"), cloud_event(topic="a\x00b"), cloud_event(id="\ud800")),
        cloud_event().replace(b"import", b"\xff"),
        cloud_event(data="x" * LONGEST),
        b'{"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=lambda data: repr(data[:40]),
)
def test_what_cannot_be_published_again_names_no_topic_and_is_known_by_its_bytes(data: bytes) -> None:
    dead = read_dead_message(data)
    assert (dead.topic, dead.event_id, dead.data) == (None, None, data)
    assert dead.id == read_dead_message(data).id != read_dead_message(data + b" ").id
    assert partition_key(dead) == str(dead.id)


@given(st.binary())
def test_any_bytes_are_kept(data: bytes) -> None:
    assert read_dead_message(data).data == data


@pytest.mark.parametrize(
    "payload",
    [
        {"user_id": USER, "command": {"title": "x"}},
        {"events": [{"user_id": USER}, {"user_id": "another"}]},
        {"reminders": [{"user_id": USER}]},
        {"delivery": {"user_id": USER}},
    ],
    ids=lambda payload: next(iter(payload)),
)
def test_it_is_published_under_the_user_whom_it_is_about(payload: Any) -> None:
    assert partition_key(read_dead_message(cloud_event(data=payload))) == USER


@pytest.mark.parametrize(
    "payload",
    [None, [], "text", 1, {}, {"user_id": 1}, {"events": []}, {"events": {}}, {"events": [1]}, {"delivery": "x"}],
    ids=repr,
)
def test_it_is_published_under_its_own_id_where_it_is_about_nobody(payload: Any) -> None:
    dead = read_dead_message(cloud_event(data=payload))
    assert partition_key(dead) == str(dead.id)
