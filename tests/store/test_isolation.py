"""Nobody reads or writes another user's data: each method of the store, tried with another user's ids."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from dataclasses import replace
from datetime import date, time
from pathlib import Path
from typing import Any

import psycopg
import pytest

import functions
from functions.store.accounts import Account, Accounts, PersonalTokens
from functions.store.changes import ChangeLog
from functions.store.commands import CommandLog, Key, Outcome
from functions.store.devices import Devices
from functions.store.digests import Digests
from functions.store.events import ActivityLog, Outbox
from functions.store.exports import Exports
from functions.store.reminders import Reminders
from functions.store.tags import Tags
from functions.store.task_lists import TaskLists
from functions.store.tasks import Tasks
from functions.store.users import Users
from functions.tasks.accounts import PersonalToken
from functions.tasks.delivery import route
from functions.tasks.devices import Registration
from functions.tasks.digest import DueDigest
from functions.tasks.errors import DomainError, NotFound
from functions.tasks.events import ChangeEvent, Delivery, DueReminder
from functions.tasks.models import Caller, CreateTask, Task, UpdateTask
from functions.tasks.planning import plan_create, plan_deletion, plan_next, plan_update
from functions.tasks.query import ListActivity, ListTasks
from functions.tasks.user_settings import UserSettings
from tests.store.world import HOUR, NOW, SECOND, World

SECRET = "Ann's secret"
WEBHOOK = Registration(kind="webhook", endpoint="https://hooks.example/ann", name=SECRET)

ACROSS_USERS = {
    *("Reminders.claim_due", "Reminders.release_expired", "Reminders.next_due", "Reminders.forget_claims"),
    *("Digests.plan", "Digests.claim"),
    *("Outbox.pending_users", "Outbox.replay_unseen", "Outbox.replay_recent"),
    *("Accounts.of_email", "ChangeLog.prune"),
}
"""What the ticks call, and signing in: they look across users, and are given no user."""

OF_SEVERAL = {
    *("Reminders.recipients", "Reminders.plan_deliveries", "Reminders.begin_attempts", "Reminders.record"),
    *("Reminders.release", "Outbox.publish", "Outbox.pending", "ChangeLog.current"),
    "ChangeLog.of_several",
}
"""What handles several users' reminders or events at once: each with its user."""

OF_NOBODY = {
    *("DeadMessages.bury", "DeadMessages.counts", "DeadMessages.redrive", "DeadMessages.topics"),
    *("DeadMessages.publish", "Host._healthz", "Users.delete"),
}
"""What touches no row of a user."""

SYSTEM = ACROSS_USERS | OF_SEVERAL | OF_NOBODY | {"Reminders.redrive"}
"""Each place that makes a statement for all users. What is added here needs a reason that is as good; `redrive` is for
an operator, and when a user asks, a statement of that user."""


def planned(world: World, due: DueReminder) -> list[Delivery]:
    return world.reminders.plan_deliveries(route([due], world.reminders.recipients([due]), NOW), NOW)


class Ann:
    """A user who has something of everything."""

    def __init__(self, world: World) -> None:
        self.caller = world.user(f"{SECRET}@example.com")
        self.task = world.add(
            self.caller,
            title=SECRET,
            description=SECRET,
            tags=[SECRET],
            due_date="2026-11-23T10:00:00Z",
            reminder_offset="PT1H",
            recurrence={"type": "daily"},
        )
        self.tag = self.task.tags[0]
        (self.due,) = world.reminders.claim_due(NOW, 10)
        self.deliveries = planned(world, self.due)
        self.done = world.complete(self.caller, world.add(self.caller, title=SECRET, **_DAILY).id)
        follows = plan_next(self.done, now=NOW)
        assert follows is not None
        assert world.tasks.follow(follows, self.caller) is not None
        world.log.append(world.changes(self.caller))
        self.device = world.devices.register(self.caller, WEBHOOK, SECRET, NOW)
        self.account = self.caller.model_copy(
            update={"email": f"{self.caller.user_id}@example.com", "sign_in": self.caller.user_id}
        )
        assert world.accounts.sign_up(self.account, SECRET, TOKEN, NOW, time_zone="UTC")
        self.personal: PersonalToken = world.personal_tokens.add(self.caller, SECRET, ["read"], TOKEN, NOW, NOW + HOUR)
        world.commands.once(key_of(self.caller), NOW, lambda: Outcome(0, SECRET))
        self.digest = DueDigest(str(self.caller.user_id), date(2026, 11, 23), UserSettings())
        world.rows("insert into digests (user_id, day) values (%s, %s)", self.caller.user_id, self.digest.day)
        world.rows("update users set time_zone = 'Asia/Tokyo' where user_id = %s", self.caller.user_id)

    def everything(self, world: World) -> dict[str, list[dict[str, Any]]]:
        """All rows that are Ann's."""
        tables = [
            row["name"]
            for row in world.rows(
                "select distinct table_name as name from information_schema.columns"
                " where table_schema = 'public' and column_name = 'user_id' order by 1"
            )
        ]
        assert len(tables) >= 8
        return {
            table: world.rows(f"select * from {table} t where user_id = %s order by t::text", self.caller.user_id)
            for table in tables
        }


_DAILY: dict[str, Any] = {"due_date": "2026-11-24T09:00:00Z", "recurrence": {"type": "daily"}}


@pytest.fixture
def ann(world: World) -> Ann:
    world.rows("delete from reminders")
    return Ann(world)


def of(ben: Caller, reminder: Delivery | DueReminder) -> Any:
    """The same, as if it were of the other user."""
    return reminder.model_copy(update={"user_id": ben.user_id})


def bens(ben: Caller, ann: Ann) -> ChangeEvent:
    """A change that says it is Ben's, of Ann's task."""
    return ChangeEvent(
        event_id=ann.task.id, type="task.created", user_id=ben.user_id, seq=1, occurred_at=NOW,
        entity_type="task", entity_id=ann.task.id, data={"task": {"title": "Ben's"}},
    )  # fmt: skip


def as_bens(ben: Caller, ann: Ann) -> DueDigest:
    return replace(ann.digest, user_id=str(ben.user_id))


def own_occurrence(ann: Ann) -> Any:
    change = plan_next(ann.done, now=NOW)
    assert change is not None
    return change


def create(task: Task) -> Any:
    return plan_create(CreateTask(title="Ben's", id=task.id), time_zone="UTC", now=NOW)


def change(task: Task) -> Any:
    return plan_update(UpdateTask(task_id=task.id, title="Ben was here"), task, now=NOW)


WEBHOOK_OF_BEN = Registration(kind="webhook", endpoint="https://hooks.example/ann", name="Ben's")
DIGEST_OF_BEN = UserSettings(digest_at=time(7, 30))

Attempt = Callable[[World, Caller, Ann], Any]

TOKEN = b"of Ann's"


def sign_up(world: World, ben: Caller, ann: Ann) -> Any:
    return world.accounts.sign_up(
        ben.model_copy(update={"email": ann.account.email, "sign_in": ann.account.sign_in}),
        "Ben's", TOKEN, NOW, time_zone="UTC",
    )  # fmt: skip


def key_of(caller: Caller) -> Key:
    return Key(caller.user_id, "of Ann's", b"", "key")


def account_of(ben: Caller) -> Account:
    """One that says what Ann's says, but whose it is."""
    return Account(ben.user_id, "Ben", ben.email, SECRET, NOW)


ATTEMPTS: list[tuple[str, Attempt]] = [
    ("Tasks.time_zone", lambda world, ben, ann: world.tasks.time_zone(ben)),
    ("Tasks.get", lambda world, ben, ann: world.tasks.get(ben, ann.task.id)),
    ("Tasks.add", lambda world, ben, ann: world.tasks.add(create(ann.task), ben)),
    ("Tasks.completed", lambda world, ben, ann: world.tasks.completed(ben, ann.done.id)),
    ("Tasks.of_reminder", lambda world, ben, ann: world.tasks.of_reminder(ben, ann.due.reminder_id)),
    ("Tasks.follow", lambda world, ben, ann: world.tasks.follow(own_occurrence(ann), ben)),
    ("Tasks.change", lambda world, ben, ann: world.tasks.change(ben, ann.task.id, change)),
    (
        "Tasks.change",
        lambda world, ben, ann: world.tasks.change(
            ben, ann.task.id, lambda task: plan_deletion(task, version=None, now=NOW)
        ),
    ),
    ("Tasks.completed", lambda world, ben, ann: world.tasks.completed(ben, ann.done.id)),
    ("Tasks.of_reminder", lambda world, ben, ann: world.tasks.of_reminder(ben, ann.due.reminder_id)),
    ("Tasks.withdraw_next", lambda world, ben, ann: world.tasks.withdraw_next(ben, ann.done, NOW)),
    ("TaskLists.page", lambda world, ben, ann: world.lists.page(ben, ListTasks(), NOW)),
    ("TaskLists.page", lambda world, ben, ann: world.lists.page(ben, ListTasks(search="secret"), NOW)),
    ("TaskLists.page", lambda world, ben, ann: world.lists.page(ben, ListTasks(tags=[SECRET]), NOW)),
    ("Tags.list", lambda world, ben, ann: world.tags.list(ben)),
    ("Tags.create", lambda world, ben, ann: world.tags.create(ben, "Ben's", None, NOW)),
    ("Tags.update", lambda world, ben, ann: world.tags.update(ben, ann.tag.id, {"name": "Ben's"}, NOW)),
    ("Tags.delete", lambda world, ben, ann: world.tags.delete(ben, ann.tag.id, NOW)),
    ("Reminders.recipients", lambda world, ben, ann: world.reminders.recipients([of(ben, ann.due)])),
    (
        "Reminders.plan_deliveries",
        lambda world, ben, ann: world.reminders.plan_deliveries([of(ben, d) for d in ann.deliveries], NOW),
    ),
    (
        "Reminders.begin_attempts",
        lambda world, ben, ann: world.reminders.begin_attempts([of(ben, d) for d in ann.deliveries], NOW),
    ),
    (
        "Reminders.end_attempt",
        lambda world, ben, ann: world.reminders.end_attempt(of(ben, ann.deliveries[0]), "Ben was here"),
    ),
    ("Reminders.release", lambda world, ben, ann: world.reminders.release([of(ben, ann.due)])),
    (
        "Reminders.record",
        lambda world, ben, ann: world.reminders.record([of(ben, d) for d in ann.deliveries], "sent", NOW + SECOND, ""),
    ),
    (
        "Reminders.postpone",
        lambda world, ben, ann: world.reminders.postpone(of(ben, ann.deliveries[0]), NOW + HOUR, "Ben was here"),
    ),
    ("Reminders.release", lambda world, ben, ann: world.reminders.release([of(ben, ann.due)])),
    ("Reminders.redrive", lambda world, ben, ann: world.reminders.redrive(ben.user_id, ann.due.reminder_id)),
    ("Devices.list", lambda world, ben, ann: world.devices.list(ben)),
    ("Devices.register", lambda world, ben, ann: world.devices.register(ben, WEBHOOK_OF_BEN, "s", NOW)),
    ("Devices.get", lambda world, ben, ann: world.devices.get(ben.user_id, ann.device.id)),
    ("Devices.remove", lambda world, ben, ann: world.devices.remove(ben.user_id, ann.device.id)),
    ("Devices.unsubscribe", lambda world, ben, ann: world.devices.unsubscribe(ben.user_id, ann.caller.email or "")),
    ("Users.settings", lambda world, ben, ann: world.users.settings(ben)),
    ("Users.change", lambda world, ben, ann: world.users.change(ben, lambda s: DIGEST_OF_BEN, NOW)),
    ("Users.end_digest", lambda world, ben, ann: world.users.end_digest(ben.user_id)),
    ("Users.delete", lambda world, ben, ann: world.users.delete(ben.user_id)),
    ("Exports.part", lambda world, ben, ann: Exports(world.database).part(ben, None, NOW)),
    ("ChangeLog.after", lambda world, ben, ann: world.change_log.after(ben.user_id, 0, 100)),
    ("ChangeLog.of_several", lambda world, ben, ann: world.change_log.of_several({ben.user_id: 0}, 100, 1000)),
    ("ChangeLog.current", lambda world, ben, ann: world.change_log.current([ben.user_id])),
    ("ChangeLog.notify", lambda world, ben, ann: world.change_log.notify(ben.user_id, 1)),
    ("ChangeLog.snapshot", lambda world, ben, ann: world.change_log.snapshot(ben, None, 100)),
    ("Accounts.sign_up", sign_up),
    ("Accounts.of_user", lambda world, ben, ann: world.accounts.of_user(ben.user_id)),
    (
        "Accounts.begin",
        lambda world, ben, ann: world.accounts.begin(account_of(ben), ann.caller.user_id, TOKEN, NOW),
    ),
    ("Accounts.rehash", lambda world, ben, ann: world.accounts.rehash(account_of(ben), "Ben's")),
    ("Accounts.refresh", lambda world, ben, ann: world.accounts.refresh(ben.user_id, TOKEN, b"next", NOW)),
    ("Accounts.end", lambda world, ben, ann: world.accounts.end(ben.user_id, NOW)),
    (
        "Accounts.change_password",
        lambda world, ben, ann: world.accounts.change_password(account_of(ben), "Ben's", None, NOW),
    ),
    ("PersonalTokens.list", lambda world, ben, ann: world.personal_tokens.list(ben.user_id)),
    (
        "PersonalTokens.add",
        lambda world, ben, ann: world.personal_tokens.add(ben, "Ben's", ["read"], TOKEN, NOW, NOW + HOUR),
    ),
    ("PersonalTokens.remove", lambda world, ben, ann: world.personal_tokens.remove(ben.user_id, ann.personal.id)),
    ("PersonalTokens.use", lambda world, ben, ann: world.personal_tokens.use(ben.user_id, TOKEN, NOW)),
    ("CommandLog.once", lambda world, ben, ann: world.commands.once(key_of(ben), NOW, lambda: Outcome(0, "Ben's"))),
    (
        "CommandLog.each",
        lambda world, ben, ann: world.commands.each([key_of(ben)], NOW, lambda _: Outcome(0, "Ben's"), lambda _: None),
    ),
    ("Digests.tasks", lambda world, ben, ann: world.digests.tasks(as_bens(ben, ann))),
    ("Digests.record", lambda world, ben, ann: world.digests.record(as_bens(ben, ann), "sent", NOW)),
    ("Outbox.pending", lambda world, ben, ann: world.outbox.pending([ben.user_id])),
    ("Outbox.publish", lambda world, ben, ann: world.outbox.publish([ben.user_id], lambda events: None)),
    ("Outbox.pending", lambda world, ben, ann: world.outbox.pending([ben.user_id])),
    ("ActivityLog.append", lambda world, ben, ann: world.log.append([bens(ben, ann)])),
    ("ActivityLog.page", lambda world, ben, ann: world.log.page(ben, ListActivity())),
    ("ActivityLog.page", lambda world, ben, ann: world.log.page(ben, ListActivity(task_id=ann.task.id))),
]  # fmt: skip


def test_every_method_of_the_store_is_tried() -> None:
    public = {
        f"{store.__name__}.{name}"
        for store in (
            *(Tasks, TaskLists, Tags, Reminders, Devices, Users, Digests, Outbox, ActivityLog),
            *(Exports, Accounts, PersonalTokens, CommandLog, ChangeLog),
        )
        for name, _ in inspect.getmembers(store, inspect.isfunction)
        if not name.startswith("_")
    }
    assert {name for name, _ in ATTEMPTS} | ACROSS_USERS == public


def test_every_statement_for_all_users_is_listed() -> None:
    """Every other one is of one user. Only a statement that names its scope can be made at all."""
    made = {
        f"{scope.name}.{method.name}"
        for path in Path(functions.__file__).parent.rglob("*.py")
        for scope in ast.walk(ast.parse(path.read_text()))
        if isinstance(scope, ast.ClassDef)
        for method in scope.body
        if isinstance(method, ast.FunctionDef)
        for node in ast.walk(method)
        if (isinstance(node, ast.Attribute) and node.attr == "system")
        or (isinstance(node, ast.Name) and node.id == "ALL_USERS")
    }
    assert made - {"Database.system"} == SYSTEM


@pytest.mark.parametrize("known", [True, False], ids=["known", "new"])
@pytest.mark.parametrize("attempt", [attempt for _, attempt in ATTEMPTS], ids=[name for name, _ in ATTEMPTS])
def test_another_user_sees_nothing_and_changes_nothing(world: World, ann: Ann, attempt: Attempt, known: bool) -> None:
    ben = world.user()
    if known:
        world.add(ben, title="Ben's", tags=["Ben's"], **_DAILY)
    before = ann.everything(world)
    try:
        answer = attempt(world, ben, ann)
    except (DomainError, psycopg.IntegrityError) as error:
        answer = error
    assert ann.everything(world) == before
    assert SECRET not in repr(answer)


@pytest.mark.parametrize(
    "attempt",
    [attempt for name, attempt in ATTEMPTS if name in ("Tasks.get", "Tasks.change", "Tags.update", "Tags.delete")],
)
def test_what_is_another_users_is_not_there(world: World, ann: Ann, attempt: Attempt) -> None:
    """And said in the same words as of what is nobody's."""
    ben = world.user()
    with pytest.raises(NotFound) as theirs:
        attempt(world, ben, ann)
    world.rows("delete from users where user_id = %s", ann.caller.user_id)
    with pytest.raises(NotFound) as nobodys:
        attempt(world, ben, ann)
    assert str(theirs.value) == str(nobodys.value)


def test_a_cursor_of_another_user_shows_nothing_of_theirs(world: World, ann: Ann) -> None:
    for _ in range(3):
        world.add(ann.caller, NOW + HOUR, title=SECRET)
    cursor = world.lists.page(ann.caller, ListTasks(limit=1), NOW).next_cursor
    assert cursor is not None
    assert world.lists.page(world.user(), ListTasks(cursor=cursor), NOW).items == []
