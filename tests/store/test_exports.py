"""Exports: all that is a user's, in parts that lose nothing, and inputs that make it again."""

from __future__ import annotations

from typing import Any

import pytest

from functions.store.exports import Exports
from functions.tasks.devices import Registration
from functions.tasks.errors import InvalidInput
from functions.tasks.exports import Export
from functions.tasks.models import Caller
from functions.tasks.planning import plan_next
from functions.tasks.query import encode_cursor
from tests.store.test_isolation import Ann
from tests.store.world import DAY, HOUR, NOW, World

NOT_EXPORTED = {
    "events": "the change log: what it says is in the activity log and in the tasks as they are",
    "users": "as account and settings",
    "task_tags": "as the tags of tasks",
    "reminders": "as the reminders of tasks",
    "accounts": "the address is in account, the rest is the password's hash",
    "refresh_tokens": "hashes of tokens",
    "commands": "answers that were given before, for repeats: what they tell of is in tasks, tags and the activity log",
    "personal_tokens": "hashes of tokens; what each is for: GET /api/auth/tokens",
}
LISTS = ("devices", "tags", "tasks", "activity", "deliveries", "digests")


@pytest.fixture
def exports(world: World) -> Exports:
    return Exports(world.database)


def parts(exports: Exports, caller: Caller, part_bytes: int) -> list[Export]:
    answered = [exports.part(caller, None, NOW, part_bytes=part_bytes)]
    while cursor := answered[-1].next_cursor:
        answered.append(exports.part(caller, cursor, NOW, part_bytes=part_bytes))
    return answered


def joined(answered: list[Export]) -> dict[str, Any]:
    """The file that the parts make."""
    files = [part.model_dump(mode="json") for part in answered]
    return files[0] | {name: [item for file in files for item in file[name]] for name in LISTS} | {"next_cursor": None}


def test_has_something_of_everything(world: World, exports: Exports) -> None:
    world.rows("delete from reminders")
    ann = Ann(world)
    export = exports.part(ann.caller, None, NOW)
    assert export.next_cursor is None
    assert all(getattr(export, name) for name in LISTS)
    assert export.account is not None
    assert (export.account.email, export.settings.time_zone) == (ann.caller.email, "Asia/Tokyo")
    assert export.seq == len(world.changes(ann.caller)) == len(export.activity)
    assert {task.status for task in export.tasks} == {"open", "completed"}
    assert "reminder_specs" not in export.model_dump_json()


def test_every_table_of_a_users_is_exported_or_told_why_not(world: World, exports: Exports) -> None:
    """A table that a later version adds belongs here too."""
    tables = {
        row["table_name"]
        for row in world.rows(
            "select table_name from information_schema.columns"
            " where table_schema = 'public' and column_name = 'user_id'"
        )
    }
    assert tables - NOT_EXPORTED.keys() == set(LISTS)


def test_tells_no_secret(world: World, exports: Exports) -> None:
    caller = world.user()
    keys = {"p256dh": "the-key", "auth": "the-auth"}
    device = Registration(kind="webhook", endpoint="https://hooks.example/", name="hook", **keys)
    world.devices.register(caller, device, "the-secret", NOW)
    text = exports.part(caller, None, NOW).model_dump_json()
    assert "hooks.example" in text
    assert not any(secret in text for secret in ("the-secret", "the-key", "the-auth"))


def test_of_a_user_whom_nobody_knows_is_empty(world: World, exports: Exports) -> None:
    caller = world.user("new@example.org")
    export = exports.part(caller, None, NOW)
    assert (export.account, export.seq, export.next_cursor) == (None, 0, None)
    assert export.settings.email == "new@example.org"
    assert not any(getattr(export, name) for name in LISTS)


def test_leaves_out_what_was_deleted(world: World, exports: Exports) -> None:
    caller = world.user()
    task = world.add(caller, title="deleted")
    world.delete(caller, task.id)
    assert exports.part(caller, None, NOW).tasks == []


@pytest.fixture
def rich(world: World) -> Caller:
    world.rows("delete from reminders")
    ann = Ann(world)
    for number in range(30):
        world.add(ann.caller, NOW + number * HOUR, title=f"task {number}", tags=[f"tag {number}"])
    world.add(ann.caller, id="00000000-0000-0000-0000-000000000000", title="of the lowest id")
    world.log.append(world.changes(ann.caller))
    for day in range(5):
        world.rows(
            "insert into digests (user_id, day) values (%s, %s)", ann.caller.user_id, NOW.date() + day * DAY + DAY
        )
    return ann.caller


@pytest.mark.parametrize("part_bytes", [1, 900, 5000])
def test_parts_make_the_whole(exports: Exports, rich: Caller, part_bytes: int) -> None:
    (whole,) = parts(exports, rich, 2_000_000)
    several = parts(exports, rich, part_bytes)
    assert len(several) > 5
    assert joined(several) == joined([whole])
    assert {part.seq for part in several} == {whole.seq}
    if part_bytes == 1:
        assert all(sum(len(getattr(part, name)) for name in LISTS) <= 1 for part in several)


def test_parts_tell_that_something_changed_in_between(world: World, exports: Exports, rich: Caller) -> None:
    first = exports.part(rich, None, NOW, part_bytes=2000)
    world.add(rich, title="meanwhile")
    second = exports.part(rich, first.next_cursor, NOW)
    assert second.seq == first.seq + 1


def test_a_cursor_of_another_user_shows_nothing_of_theirs(world: World, exports: Exports, rich: Caller) -> None:
    poor = world.user()
    for part in parts(exports, rich, 5000):
        if part.next_cursor:
            seen = exports.part(poor, part.next_cursor, NOW)
            assert (seen.account, [getattr(seen, name) for name in LISTS]) == (None, [[]] * len(LISTS))


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        encode_cursor(["seq", 5]),
        encode_cursor(["export events", 5]),
        encode_cursor(["export tasks", "no id"]),
        encode_cursor(["export activity", 0]),
        encode_cursor(["export deliveries", "00000000-0000-0000-0000-000000000000"]),
    ],
)
def test_a_cursor_that_is_none_is_refused(world: World, exports: Exports, cursor: str) -> None:
    with pytest.raises(InvalidInput, match=r"^cursor: "):
        exports.part(world.user(), cursor, NOW)


MADE: dict[str, dict[str, Any]] = {
    "plain": {"title": "plain", "description": "two\nlines — ✓", "priority": "urgent", "tags": ["Home", "work"]},
    "all day": {"due_date": "2027-02-28", "time_zone": "Europe/Berlin", "reminder_offset": "P1D"},
    "reminders": {
        "due_date": "2027-01-31T09:00:00+01:00",
        "reminder_offset": "PT0S",
        "reminders": [{"offset": "PT10M", "delivery_channel": "email"}, {"at": "2026-12-30T18:00:00Z"}],
    },
    "typed": {
        "due_date": "2027-01-31T09:00:00Z",
        "time_zone": "Asia/Tokyo",
        "recurrence": {"type": "monthly", "day_of_month": -1, "end_date": "2030-01-31", "exdates": ["2027-03-31"]},
    },
    "rrule": {"due_date": "2027-01-31", "recurrence": {"rrule": "FREQ=DAILY;COUNT=5"}},
    "completion": {
        "due_date": "2027-01-31T09:00:00Z",
        "recurrence": {"type": "custom", "unit": "week", "interval": 3, "anchor": "completion"},
    },
}


def again(world: World, exports: Exports, caller: Caller) -> tuple[Export, Export]:
    """The export of a user, and that of a new one who was given its tasks back."""
    export = exports.part(caller, None, NOW)
    other = world.user()
    for task in export.tasks:
        inputs = task.create.model_dump(mode="json")
        world.add(other, **inputs)
        if task.status == "completed":
            world.complete(other, task.id)
    return export, exports.part(other, None, NOW)


def same(export: Export) -> list[dict[str, Any]]:
    """Its tasks without what is a new user's own."""
    tasks = export.model_dump(mode="json", exclude={"tasks": {"__all__": {"created_at", "updated_at", "version"}}})[
        "tasks"
    ]
    for task in tasks:
        task["tags"] = [tag["name"] for tag in task["tags"]]
        for reminder in task["reminders"]:
            del reminder["id"]
    return tasks  # type: ignore[no-any-return]


@pytest.mark.parametrize("fields", MADE.values(), ids=MADE)
def test_the_inputs_make_the_task_again(world: World, exports: Exports, fields: dict[str, Any]) -> None:
    caller = world.user()
    world.add(caller, **fields)
    export, second = again(world, exports, caller)
    assert [task.create for task in export.tasks] == [task.create for task in second.tasks]
    if "completion" in str(fields) or "recurrence" not in fields:
        assert same(export) == same(second)


def test_a_series_goes_on_where_it_is(world: World, exports: Exports) -> None:
    """Monthly on the 31st, which February clamps: the next ones are on the 31st; and 2 of 4 are left after it."""
    caller = world.user()
    task = world.add(caller, due_date="2027-01-31", recurrence={"type": "monthly", "count": 4})
    done = world.complete(caller, task.id)
    change = plan_next(done, now=NOW)
    assert change is not None
    world.tasks.follow(change, caller)
    _, second = again(world, exports, caller)
    completed, following = sorted(second.tasks, key=lambda task: str(task.due_date))
    assert (completed.status, completed.recurrence) == ("completed", None)
    due = []
    other = Caller(
        user_id=world.value(
            "select user_id from tasks where task_id = %s and user_id <> %s", following.id, caller.user_id
        ),
        name="",
    )
    current = world.tasks.get(other, following.id)
    while True:
        due.append(str(current.due_date))
        change = plan_next(world.complete(other, current.id), now=NOW)
        if change is None or (following := world.tasks.follow(change, other)) is None:  # type: ignore[assignment]
            break
        current = world.tasks.get(other, following.id)
    assert due == ["2027-02-28", "2027-03-31", "2027-04-30"]
