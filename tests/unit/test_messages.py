"""What goes to the broker: whole, in order per user, and small enough."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import groupby
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from functions.runtime import messages
from functions.runtime.messages import Message, bulks, rounds
from functions.tasks.events import ChangeEvent, Changes, topic_of

USERS = [uuid4() for _ in range(4)]


def event(user: UUID, seq: int, kind: str = "task.created", size: int = 0) -> ChangeEvent:
    return ChangeEvent(
        event_id=uuid4(),
        type=kind,
        user_id=user,
        seq=seq,
        occurred_at=datetime(2027, 1, 1, tzinfo=UTC),
        entity_type="task",
        entity_id=uuid4(),
        data={"task": {"description": "x" * size}},
    )


logs = st.lists(
    st.tuples(
        st.sampled_from(USERS),
        st.sampled_from(["task.created", "reminder.sent"]),
        st.sampled_from([0, 0, 200_000, messages.MESSAGE_BYTES]),
    ),
    max_size=30,
).map(lambda log: [event(user, seq, kind, size) for seq, (user, kind, size) in enumerate(sorted(log), 1)])


@given(logs)
def test_every_event_is_in_one_message_of_its_topic_in_order(log: list[ChangeEvent]) -> None:
    told = [
        (topic, told)
        for topic, published in rounds(log)
        for message in published
        for told in Changes.model_validate_json(message.data).events
    ]
    assert sorted(each.seq for _, each in told) == [each.seq for each in log]
    assert all(topic == topic_of(each.type) for topic, each in told)
    for _, own in groupby(
        sorted(told, key=lambda pair: (pair[0], pair[1].user_id)), key=lambda p: (p[0], p[1].user_id)
    ):
        numbers = [each.seq for _, each in own]
        assert numbers == sorted(numbers)


@given(logs)
def test_a_round_has_one_message_a_user_keyed_by_the_user(log: list[ChangeEvent]) -> None:
    for _, published in rounds(log):
        keys = [message.key for message in published]
        assert len(keys) == len(set(keys))
        for message in published:
            events = Changes.model_validate_json(message.data).events
            assert {str(each.user_id) for each in events} == {message.key}
            assert message.identity == f"{message.key}/{events[0].seq}-{events[-1].seq}"


@given(logs)
def test_a_message_is_longer_than_its_limit_only_for_a_single_event(log: list[ChangeEvent]) -> None:
    for _, published in rounds(log):
        for message in published:
            events = Changes.model_validate_json(message.data).events
            assert len(message.data) <= messages.MESSAGE_BYTES + 1000 or len(events) == 1


def test_what_is_small_goes_in_one_message() -> None:
    ((topic, published),) = rounds(event(USERS[0], seq) for seq in range(1, 101))
    assert (topic, len(published)) == ("task.events", 1)


@given(st.lists(st.integers(0, messages.BULK_BYTES + 1), max_size=12))
def test_bulks_keep_the_order_and_what_a_sidecar_takes(sizes: list[int]) -> None:
    given = [Message("k", str(number), b"x" * size) for number, size in enumerate(sizes)]
    made = list(bulks(given))
    assert [message for bulk in made for message in bulk] == given
    assert all(bulk for bulk in made)
    assert all(len(bulk) == 1 or sum(len(m.data) for m in bulk) <= messages.BULK_BYTES for bulk in made)
