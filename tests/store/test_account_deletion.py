"""A deleted account: nothing of it is left, and nothing that was on its way makes any of it again."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from uuid import UUID, uuid4

import psycopg
import pytest

from functions.store.dead_messages import DeadMessages
from functions.tasks.dead_messages import ids_in, read_dead_message
from functions.tasks.errors import AlreadyExists, NotFound
from functions.tasks.events import ChangeEvent, caller_of
from functions.tasks.models import CreateTask
from functions.tasks.planning import plan_create, plan_next
from tests.store.test_isolation import Ann
from tests.store.world import NOW, SECOND, World, together
from tests.support.waiting import eventually


@pytest.fixture
def ann(world: World) -> Ann:
    world.rows("delete from reminders")
    return Ann(world)


@pytest.fixture
def graves(world: World) -> DeadMessages:
    world.rows("delete from dead_messages")
    return DeadMessages(world.database)


def tables(world: World) -> list[str]:
    """Every table with a user_id, whatever a later version adds."""
    return [
        row["name"]
        for row in world.rows(
            "select c.relname as name from pg_catalog.pg_attribute a join pg_catalog.pg_class c on c.oid = a.attrelid"
            " join pg_catalog.pg_namespace n on n.oid = c.relnamespace"
            " where a.attname = 'user_id' and not a.attisdropped and c.relkind in ('r', 'p')"
            " and n.nspname not in ('pg_catalog', 'information_schema') order by 1"
        )
    ]


def left(world: World, user_id: UUID) -> dict[str, int]:
    """How many rows each table has of a user."""
    counts = {name: world.value(f"select count(*) from {name} where user_id = %s", user_id) for name in tables(world)}
    return {name: count for name, count in counts.items() if count}


def test_leaves_nothing_and_touches_nobody_else(world: World, ann: Ann) -> None:
    ben = world.user()
    world.add(ben, title="Ben's", tags=["Ben's"])
    bens = left(world, ben.user_id)
    assert left(world, ann.caller.user_id).keys() >= {
        *("users", "tasks", "tags", "task_tags", "reminders", "deliveries", "events", "activity", "devices", "digests")
    }
    world.users.delete(ann.caller.user_id)
    assert left(world, ann.caller.user_id) == {}
    assert left(world, ben.user_id) == bens
    world.users.delete(ann.caller.user_id)


def test_every_table_of_a_users_goes_with_their_row(world: World) -> None:
    """By foreign keys that cascade, up to users: so a table that a later version adds goes too, or fails here."""
    parents: dict[str, set[str]] = {name: set() for name in tables(world)}
    for row in world.rows(
        "select conrelid::regclass::text as child, confrelid::regclass::text as parent from pg_catalog.pg_constraint"
        " where contype = 'f' and confdeltype = 'c'"
    ):
        parents.setdefault(row["child"], set()).add(row["parent"])

    def goes(name: str) -> bool:
        return name == "users" or any(goes(parent) for parent in parents.get(name, ()))

    assert [name for name in parents if not goes(name)] == []


class TestWhatWasOnItsWay:
    """Messages about a deleted user: each consumer's store is told, and the user stays away."""

    @pytest.fixture
    def gone(self, world: World, ann: Ann) -> Iterator[Ann]:
        self.changes = world.changes(ann.caller)
        self.next = plan_next(ann.done, now=NOW)
        world.users.delete(ann.caller.user_id)
        yield ann
        assert left(world, ann.caller.user_id) == {}

    def test_log_activity(self, world: World, gone: Ann) -> None:
        world.log.append(self.changes)

    def test_spawn_recurrence(self, world: World, gone: Ann) -> None:
        assert self.next is not None
        assert world.tasks.completed(caller_of(self.changes[0]), gone.done.id) is None
        assert world.tasks.follow(self.next, caller_of(self.changes[0])) is None

    def test_route_reminder(self, world: World, gone: Ann) -> None:
        assert world.reminders.recipients([gone.due]) == {}
        assert world.reminders.plan_deliveries(gone.deliveries, NOW) == []

    def test_push_and_bury_notification(self, world: World, gone: Ann) -> None:
        assert world.reminders.begin_attempts(gone.deliveries, NOW) == []
        assert world.reminders.record(gone.deliveries, "sent", NOW + SECOND, "") == 0
        assert world.reminders.record(gone.deliveries, "failed", NOW + SECOND, "") == 0
        assert world.reminders.redrive() == 0

    def test_send_digest(self, world: World, gone: Ann) -> None:
        world.digests.record(gone.digest, "sent", NOW)
        world.users.end_digest(gone.caller.user_id)

    def test_publish_outbox(self, world: World, gone: Ann) -> None:
        published: list[ChangeEvent] = []
        world.outbox.publish([gone.caller.user_id], published.extend)
        assert published == []

    def test_create_task(self, world: World, gone: Ann) -> None:
        by_message = gone.caller.model_copy(update={"by_message": True})
        with pytest.raises(AlreadyExists):
            world.tasks.add(plan_create(CreateTask(title="imported"), time_zone="UTC", now=NOW), by_message)

    def test_a_command_that_waited_for_the_deletion(self, world: World, gone: Ann) -> None:
        with pytest.raises(NotFound):
            world.update(gone.caller, gone.task.id, title="changed")


def test_who_comes_back_finds_an_empty_account(world: World, ann: Ann) -> None:
    """The same id again: what was said of the old account is not taken for the new one's, whose log begins anew."""
    old = world.changes(ann.caller)
    world.users.delete(ann.caller.user_id)
    task = world.add(ann.caller, title="new")
    world.log.append(old)
    world.log.append(world.changes(ann.caller))
    assert world.rows("select seq, entity_id from activity where user_id = %s", ann.caller.user_id) == [
        {"seq": 1, "entity_id": task.id}
    ]
    by_message = ann.caller.model_copy(update={"by_message": True})
    world.tasks.add(plan_create(CreateTask(title="imported"), time_zone="UTC", now=NOW), by_message)


def test_a_message_makes_a_user_who_is_yet_to_come(world: World) -> None:
    new = world.user().model_copy(update={"by_message": True})
    world.tasks.add(plan_create(CreateTask(title="imported"), time_zone="UTC", now=NOW), new)
    assert left(world, new.user_id) == {"users": 1, "tasks": 1, "events": 1}


def test_what_is_told_while_it_is_being_deleted_is_not_kept(world: World, ann: Ann) -> None:
    """A consumer and a command that wait for the deletion to commit find nobody."""
    changes, user_id = world.changes(ann.caller), ann.caller.user_id
    world.rows("delete from activity where user_id = %s", user_id)
    failed: list[BaseException] = []

    def try_to(work: object) -> None:
        try:
            with suppress(NotFound):
                work()  # type: ignore[operator]
        except BaseException as error:
            failed.append(error)

    works = [lambda: world.log.append(changes), lambda: world.update(ann.caller, ann.task.id, title="changed")]
    threads = [threading.Thread(target=try_to, args=(work,)) for work in works]
    with psycopg.connect(world.url) as connection:
        connection.execute("select delete_user(%s)", (user_id,))
        for thread in threads:
            thread.start()
        eventually(
            lambda: world.value("select count(*) from pg_locks where not granted") == 2,
            what="both wait for the deletion",
        )
    for thread in threads:
        thread.join(10)
    assert failed == []
    assert left(world, user_id) == {}


def test_many_commands_at_once_leave_all_or_nothing(world: World) -> None:
    caller = world.user()

    def work(number: int) -> None:
        if number == 5:
            world.users.delete(caller.user_id)
        else:
            world.add(caller, title=f"task {number}", tags=["one"])

    together(work, 12)
    seqs = [change.seq for change in world.changes(caller)]
    assert seqs == list(range(1, len(seqs) + 1))
    world.users.delete(caller.user_id)
    assert left(world, caller.user_id) == {}


def message(user_id: UUID | str, number: int = 1) -> bytes:
    event = {"id": f"e-{number}", "topic": "task.create", "source": "t", "data": {"user_id": str(user_id)}}
    return json.dumps(event).encode()


class TestDeadMessages:
    def test_those_of_the_user_go_with_them(self, world: World, graves: DeadMessages) -> None:
        ann, ben = uuid4(), uuid4()
        spelled: list[UUID | str] = [str(ann), str(ann).upper(), ann.hex, ann.urn, f"{ann}/7-9"]
        for number, user in enumerate([*spelled, ben]):
            graves.bury(read_dead_message(message(user, number)), NOW)
        graves.bury(read_dead_message(b"\xff\x00 " + str(ann).encode()), NOW)
        graves.bury(read_dead_message(b"\xff\x00 garbage"), NOW)
        world.users.delete(ann)
        kept = [row["data"] for row in world.rows("select data from dead_messages order by topic nulls last")]
        assert kept == [message(ben, len(spelled)), b"\xff\x00 garbage"]

    def test_one_that_comes_later_is_not_kept(self, world: World, graves: DeadMessages) -> None:
        user = uuid4()
        world.users.delete(user)
        graves.bury(read_dead_message(message(user)), NOW)
        assert graves.counts() == {}

    def test_of_a_user_who_came_back_it_is_kept(self, world: World, graves: DeadMessages) -> None:
        caller = world.user()
        world.users.delete(caller.user_id)
        world.add(caller)
        graves.bury(read_dead_message(message(caller.user_id)), NOW)
        assert graves.counts() == {"task.create": 1}

    def test_one_that_is_buried_meanwhile_goes_too(self, world: World, graves: DeadMessages) -> None:
        user = uuid4()
        dead = read_dead_message(message(user))
        with psycopg.connect(world.url) as connection:
            connection.execute("select delete_user(%s)", (user,))
            burying = threading.Thread(target=graves.bury, args=(dead, NOW))
            burying.start()
            eventually(
                lambda: world.value("select count(*) from pg_locks where not granted") == 1,
                what="it waits for the deletion",
            )
        burying.join(10)
        assert graves.counts() == {}

    def test_ids_are_found_however_they_are_spelled(self) -> None:
        one, two = uuid4(), uuid4()
        data = f'{{"a": "{one}", "b": "{two.hex.upper()}", "c": "{two.urn}", "d": "{one}{two.hex}"}}'.encode()
        assert set(ids_in(data)) == {one, two}
        assert ids_in(b"\xff no id, and deadbeef") == []


def test_what_is_kept_of_a_deleted_user_is_forgotten_after_a_month(world: World) -> None:
    first, second = uuid4(), uuid4()
    world.users.delete(first)
    assert world.value("select count(*) from deleted_users where user_hash = user_hash(%s)", first) == 1
    world.rows("update deleted_users set deleted_at = now() - interval '31 days'")
    world.users.delete(second)
    assert world.rows("select user_hash from deleted_users") == world.rows("select user_hash(%s) as user_hash", second)
