"""Row security, beneath the statements: what PostgreSQL shows where a statement forgets its user."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from functions.store.database import ALL_USERS, Database, Scope, Statements
from functions.store.migrate import migrate
from functions.tasks.errors import DomainError
from functions.tasks.query import ListTasks
from tests.store.conftest import NewDatabase
from tests.store.test_isolation import ATTEMPTS, SECRET, SYSTEM, Ann, Attempt
from tests.store.world import NOW, World

NOBODY = Scope(b"select 1")
"""A statement that says neither whose it is nor that it is for all."""

OF_NO_USER = {"schema_migrations", "dead_messages", "deleted_users"}
"""The tables that hold nothing of a user."""

UNPROTECTED = """
    select relname from pg_class c where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not (
        relrowsecurity and relforcerowsecurity
        and (select array_agg(
                concat_ws(' ', polcmd, polpermissive, polroles::regrole[], pg_get_expr(polqual, polrelid))
                order by polname) from pg_policy where polrelid = c.oid) = array[
            '* t {tickler_system} true',
            '* t {tickler_user} '
            '(user_id = (NULLIF(current_setting(''tickler.user_id''::text, true), ''''::text))::uuid)'])
"""
"""The tables without exactly these policies: all rows to the system, their own to users."""


@pytest.fixture
def ann(world: World) -> Ann:
    world.rows("delete from reminders")
    return Ann(world)


@pytest.fixture
def ben(world: World) -> Ann:
    """Another user who has something of everything."""
    world.rows("update reminders set status = 'cancelled'")
    return Ann(world)


@pytest.fixture
def tables(world: World) -> list[str]:
    rows = world.rows(
        "select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' order by 1"
    )
    found = [row["name"] for row in rows if row["name"] not in OF_NO_USER]
    assert len(found) >= 10
    return found


def unprotected(connection: psycopg.Connection[Any]) -> set[str]:
    return {name for (name,) in connection.execute(UNPROTECTED)}


class TestPolicies:
    def test_are_on_every_table_with_a_user(self, world: World) -> None:
        """A new one ends its migration with `select isolate('...')`."""
        with psycopg.connect(world.url) as connection:
            assert unprotected(connection) == OF_NO_USER

    def test_are_missed_on_a_new_table(self, world: World) -> None:
        """And until it has them, no function can use it."""
        with psycopg.connect(world.url) as connection:
            connection.execute("create table notes (user_id uuid references users, text text)")
            assert unprotected(connection) == OF_NO_USER | {"notes"}
            for role in (b"tickler_user", b"tickler_system"):
                connection.execute(b"savepoint made; set local role " + role)
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute("select from notes")
                connection.execute("rollback to savepoint made")
            connection.execute("select isolate('notes')")
            assert unprotected(connection) == OF_NO_USER
            connection.rollback()

    def test_bind_roles_that_cannot_get_around_them(self, world: World) -> None:
        roles = world.rows(
            "select rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolcanlogin as more,"
            " exists (select from pg_class where relowner = r.oid) as owner,"
            " exists (select from pg_auth_members where member = r.oid) as member"
            " from pg_roles r where rolname in ('tickler_user', 'tickler_system')"
        )
        assert roles == [{"more": False, "owner": False, "member": False}] * 2

    def test_leave_nothing_behind_in_the_pool(self, world: World, ann: Ann) -> None:
        """The next statement on the connection is of whom it says."""
        single = Database(world.url, size=1)
        single.open()
        try:
            seen = "select current_user as role, (select count(*) from tasks) as tasks"
            own = single.of(ann.caller.user_id).one(seen)
            assert single.system.one(seen) == {
                "role": "tickler_system",
                "tasks": world.value("select count(*) from tasks"),
            }
            assert single.run(NOBODY, seen, ()) == [{"role": "tickler_user", "tasks": 0}]
            assert single.of(ann.caller.user_id).one(seen) == own
            assert single.of(uuid4()).one(seen) == {"role": "tickler_user", "tasks": 0}
            with pytest.raises(psycopg.errors.UndefinedTable):
                single.system.all("select from no_such_table")
            assert single.run(NOBODY, seen, ()) == [{"role": "tickler_user", "tasks": 0}]
        finally:
            single.close()


class TestWithoutAWhere:
    """Statements that forgot their user."""

    def everybody(self, world: World, table: str) -> list[dict[str, Any]]:
        return world.rows(f"select * from {table} t order by t::text")

    def test_a_user_sees_their_own_rows_and_no_others(
        self, world: World, ann: Ann, ben: Ann, tables: list[str]
    ) -> None:
        own = ann.everything(world)
        for table in tables:
            seen = world.database.of(ann.caller.user_id).all(f"select * from {table} t order by t::text")
            assert seen == own[table]
            assert seen, f"Ann has nothing in {table}: this proves nothing"
            assert len(seen) < len(self.everybody(world, table))

    @pytest.mark.parametrize(
        "statement", ["update {} set user_id = user_id returning user_id", "delete from {} returning user_id"]
    )
    def test_a_user_changes_their_own_rows_and_no_others(
        self, world: World, ann: Ann, ben: Ann, tables: list[str], statement: str
    ) -> None:
        for table in tables:
            with world.database.of(ann.caller.user_id).transaction() as connection:
                changed = connection.execute(statement.format(table)).fetchall()
                assert {row["user_id"] for row in changed} == {ann.caller.user_id}
                raise psycopg.Rollback

    def test_no_row_can_be_made_for_another_user_or_given_to_one(
        self, world: World, ann: Ann, ben: Ann, tables: list[str]
    ) -> None:
        theirs = ben.everything(world)
        of_ann = world.database.of(ann.caller.user_id)
        for table in tables:
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
                of_ann.all(f"update {table} set user_id = %s", (ben.caller.user_id,))
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
                of_ann.all(
                    f"insert into {table} select (jsonb_populate_record(t, jsonb_build_object('user_id', %s::uuid))).*"
                    f" from {table} t",
                    (ben.caller.user_id,),
                )
        assert ben.everything(world) == theirs

    def test_who_is_nobody_sees_and_changes_nothing(self, world: World, ann: Ann, tables: list[str]) -> None:
        for table in tables:
            for statement in (
                "select 1 from {}",
                "update {} set user_id = user_id returning 1",
                "delete from {} returning 1",
            ):
                assert world.database.run(NOBODY, statement.format(table), ()) == []

    def test_dead_messages_are_for_no_user(self, world: World, ann: Ann) -> None:
        for scope in (world.database.of(ann.caller.user_id), Statements(world.database, NOBODY)):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                scope.all("select * from dead_messages")


class Mistaken(Database):
    """Every statement of one user is of this one, whatever it says in its text."""

    def __init__(self, url: str, user_id: UUID) -> None:
        super().__init__(url, size=1)
        self.user_id = user_id

    def of(self, user_id: UUID) -> Statements:
        return super().of(self.user_id)


@pytest.mark.parametrize(
    "attempt",
    [attempt for name, attempt in ATTEMPTS if name not in SYSTEM],
    ids=[name for name, _ in ATTEMPTS if name not in SYSTEM],
)
def test_a_store_that_names_the_wrong_user_gets_nothing(world: World, ann: Ann, attempt: Attempt) -> None:
    """Ann's id is in every statement, and Ben is who asks."""
    before = ann.everything(world)
    with World(world.url, Mistaken(world.url, uuid4())) as mistaken:
        try:
            answer: object = attempt(mistaken, ann.caller.model_copy(update={"email": None}), ann)
        except (DomainError, psycopg.Error) as error:
            answer = error
    assert ann.everything(world) == before
    assert SECRET not in repr(answer)


class TestOperator:
    """A database whose owner is no superuser, and functions that log in as somebody else."""

    @pytest.fixture
    def logins(self, new_database: NewDatabase) -> tuple[str, str, str]:
        """The URLs of a superuser, of the database's owner, and of the functions."""
        url = new_database()
        name, owner, login = conninfo_to_dict(url)["dbname"], f"owner_{uuid4().hex}", f"login_{uuid4().hex}"
        with psycopg.connect(url, autocommit=True) as connection:
            for role in (owner, login):
                connection.execute(sql.SQL("create role {} login").format(sql.Identifier(role)))
            connection.execute(
                sql.SQL("alter database {} owner to {}").format(sql.Identifier(str(name)), sql.Identifier(owner))
            )
        return url, make_conninfo(url, user=owner), make_conninfo(url, user=login)

    def test_is_told_what_to_grant_and_then_all_works(self, logins: tuple[str, str, str]) -> None:
        superuser, owner, login = logins
        said = ""
        with psycopg.connect(superuser, autocommit=True) as administrator:
            for role in ("tickler_user", "tickler_system"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege, match=role) as error:
                    migrate(owner)
                said = error.value.diag.message_primary or ""
                mend = said.partition("; grant ")[2].rstrip('"')
                administrator.execute(f"grant {mend}".encode())
            migrate(owner)
            name = sql.Identifier(str(conninfo_to_dict(login)["user"]))
            administrator.execute(
                sql.SQL("grant tickler_user, tickler_system to {} with inherit false, set true").format(name)
            )
        with World(login) as world:
            ann, ben = Ann(world), world.user()
            assert [task.title for task in world.lists.page(ann.caller, ListTasks(search="secret"), NOW).items]
            assert world.lists.page(ben, ListTasks(search="secret"), NOW).items == []
            assert world.database.run(NOBODY, "select 1 from tasks", ()) == []
            assert len(world.database.run(ALL_USERS, "select 1 from users", ())) == 1
        with psycopg.connect(login) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select from tasks")
        with psycopg.connect(owner) as connection:  # as a migration that changes rows has to
            assert connection.execute("update users set name = 'x'").rowcount == 1
