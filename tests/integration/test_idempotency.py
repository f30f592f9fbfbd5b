"""Idempotency-Key, merging and batches, from outside: through the edge, in both spellings."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.support.client import Api, Client, Json, expect, refused
from tests.support.system import System


def keyed(key: str | None = None) -> dict[str, str]:
    return {"Idempotency-Key": key or str(uuid4())}


def iso(moment: datetime) -> str:
    return moment.isoformat()


def batch(client: Client, commands: list[Json], sent_at: datetime | None = None) -> list[Json]:
    said = {"sent_at": iso(sent_at or datetime.now(UTC)), "commands": commands}
    results: list[Json] = expect(client.rest("POST", "/api/commands", said))["results"]
    return results


def command(function: str, made_at: datetime | None = None, key: str | None = None, **inputs: Any) -> Json:
    made = {} if made_at is None else {"made_at": iso(made_at)}
    return {"key": key or str(uuid4()), "function": function, "input": inputs, **made}


class TestKey:
    def test_a_repeat_answers_as_before_and_changes_nothing(self, client: Client) -> None:
        headers = keyed()
        first = client.rest("POST", "/api/tasks", {"title": "once", "tags": ["a"]}, headers=headers)
        task = expect(first)
        client.patch(task["id"], title="changed since")
        again = client.rest("POST", "/api/tasks", {"title": "once", "tags": ["a"]}, headers=headers)
        assert again.content == first.content
        assert [one["title"] for one in client.tasks()] == ["changed since"]

    def test_both_spellings_have_one(self, client: Client) -> None:
        headers = keyed()
        first = client.rest("POST", "/api/tasks", {"title": "once"}, headers=headers)
        assert client.dapr("create-task", {"title": "once"}, headers=headers).content == first.content
        assert len(client.tasks()) == 1

    def test_of_many_at_once_one_is_carried_out(self, client: Client) -> None:
        headers = keyed()
        with ThreadPoolExecutor(12) as pool:
            answers = list(
                pool.map(lambda _: client.rest("POST", "/api/tasks", {"title": "once"}, headers=headers), range(12))
            )
        assert len({expect(answer)["id"] for answer in answers}) == 1
        assert len(client.tasks()) == 1

    def test_with_other_inputs_is_refused(self, client: Client) -> None:
        headers = keyed()
        expect(client.rest("POST", "/api/tasks", {"title": "once"}, headers=headers))
        other = client.rest("POST", "/api/tasks", {"title": "other"}, headers=headers)
        refused(other, 400, code=3, field="Idempotency-Key")
        refused(client.rest("POST", "/api/tags", {"name": "x"}, headers=headers), 400, field="Idempotency-Key")

    def test_is_the_users_own(self, system: System, client: Client) -> None:
        headers = keyed()
        expect(client.rest("POST", "/api/tasks", {"title": "once"}, headers=headers))
        other = system.client(f"other-{uuid4().hex[:8]}")
        assert expect(other.rest("POST", "/api/tasks", {"title": "theirs"}, headers=headers))["title"] == "theirs"

    def test_a_refusal_is_answered_again_too(self, client: Client) -> None:
        task, headers = client.create(), keyed()
        path = f"/api/tasks/{task['id']}"
        first = refused(client.rest("PATCH", path, {"title": "b", "version": 2}, headers=headers), 409, code=10)
        client.patch(task["id"], title="c")
        again = refused(client.rest("PATCH", path, {"title": "b", "version": 2}, headers=headers), 409, code=10)
        assert again["message"] == first["message"]
        assert client.get(task["id"])["title"] == "c"

    def test_what_is_no_input_leaves_the_key_free(self, client: Client) -> None:
        headers = keyed()
        refused(client.rest("POST", "/api/tasks", {"title": ""}, headers=headers), 400, field="title")
        assert expect(client.rest("POST", "/api/tasks", {"title": "good"}, headers=headers))["title"] == "good"

    @pytest.mark.parametrize("key", ["x" * 129, "x" * 5000])
    def test_that_is_too_long_is_refused(self, client: Client, key: str) -> None:
        answer = client.rest("POST", "/api/tasks", {"title": "x"}, headers=keyed(key))
        refused(answer, 400, field="Idempotency-Key")
        assert client.tasks() == []

    def test_that_is_no_ascii_is_refused(self, client: Client) -> None:
        answer = client.http.post("/api/tasks", headers=[(b"Idempotency-Key", "\u00fc".encode())], json={"title": "x"})
        refused(answer, 400)
        assert client.tasks() == []

    def test_of_a_read_is_ignored(self, client: Client) -> None:
        headers = keyed()
        assert expect(client.rest("GET", "/api/tags", headers=headers))["items"] == []
        expect(client.rest("POST", "/api/tags", {"name": "new"}, headers=headers))
        assert len(expect(client.rest("GET", "/api/tags", headers=headers))["items"]) == 1
        expect(client.rest("GET", "/api/settings", headers=keyed("x" * 1000)))

    def test_every_command_takes_one(self, client: Client) -> None:
        """Each is answered the same twice; and the second time nothing happens."""
        recurring = {"due_date": "2031-01-01T09:00:00Z", "recurrence": {"type": "daily"}, "reminder_offset": "PT1H"}
        skipped = client.create("recurring", **recurring)
        reminded = client.create("reminded", due_date="2031-01-01T09:00:00Z", reminder_offset="PT1H")
        task = client.create("task")
        tag = expect(client.rest("POST", "/api/tags", {"name": "old"}))
        path = f"/api/tasks/{task['id']}"
        asked: list[tuple[str, str, Json | None]] = [
            ("PATCH", path, {"title": "patched"}),
            ("PUT", path, {"title": "put"}),
            ("POST", f"/api/tasks/{skipped['id']}/skip", None),
            ("POST", f"/api/reminders/{reminded['reminders'][0]['id']}/snooze", {"minutes": 5}),
            ("POST", f"/api/reminders/{reminded['reminders'][0]['id']}/cancel", None),
            ("POST", f"{path}/complete", None),
            ("POST", f"{path}/reopen", None),
            ("PATCH", f"/api/tags/{tag['id']}", {"name": "new"}),
            ("DELETE", f"/api/tags/{tag['id']}", None),
            ("POST", "/api/tags", {"name": "third"}),
            ("PATCH", "/api/settings", {"time_zone": "Europe/Berlin"}),
            ("POST", "/api/notifications/redrive", {}),
            ("DELETE", path, None),
        ]
        for verb, target, body in asked:
            headers = keyed()
            first = client.rest(verb, target, body, headers=headers)
            expect(first)
            seen = (client.tasks(), client.tags(), expect(client.rest("GET", "/api/settings")))
            again = client.rest(verb, target, body, headers=headers)
            assert again.content == first.content, f"{verb} {target}"
            assert (client.tasks(), client.tags(), expect(client.rest("GET", "/api/settings"))) == seen


class TestMerging:
    def test_edits_of_two_devices_are_merged_and_told_of(self, system: System, api: Api) -> None:
        task = api.ok("create", title="a")
        now = datetime.now(UTC)
        api.ok("update", task_id=task["id"], title="theirs", priority="high")
        earlier = api.ok(
            "update",
            task_id=task["id"],
            base_version=1,
            made_at=iso(now - timedelta(hours=1)),
            title="yours",
            description="kept",
        )
        assert earlier["conflicts"] == [{"field": "title", "winner": "theirs", "yours": "yours", "theirs": "theirs"}]
        assert (earlier["title"], earlier["description"], earlier["priority"]) == ("theirs", "kept", "high")
        later = api.ok("update", task_id=task["id"], base_version=1, title="yours")
        assert later["conflicts"] == [{"field": "title", "winner": "yours", "yours": "yours", "theirs": "theirs"}]
        assert later["title"] == "yours"
        assert "field_changes" not in later
        (event,) = system.sql(
            "select data from events where user_id = %s and entity_id = %s order by seq desc limit 1",
            api.client.user_id,
            task["id"],
        )
        assert event["data"]["conflicts"] == later["conflicts"]

    def test_an_edit_of_a_deleted_task_is_not_found(self, api: Api) -> None:
        task = api.ok("create", title="a")
        api.ok("delete", task_id=task["id"])
        refused(api("update", task_id=task["id"], base_version=1, title="b"), 404)

    def test_what_makes_no_sense_together_changes_nothing(self, api: Api) -> None:
        task = api.ok("create", title="a", due_date="2031-01-01")
        api.ok("update", task_id=task["id"], due_date=None)
        before = api.ok("list")
        answer = api("update", task_id=task["id"], base_version=1, title="b", recurrence={"type": "daily"})
        refused(answer, 400, field="recurrence")
        assert api.ok("list") == before

    def test_tags_are_added_and_removed(self, api: Api) -> None:
        task = api.ok("create", title="a", tags=["one", "two"])
        answer = api.ok("update", task_id=task["id"], add_tags=["three"], remove_tags=["ONE"])
        assert sorted(tag["name"] for tag in answer["tags"]) == ["three", "two"]
        refused(api("update", task_id=task["id"], add_tags=["x"], tags=[]), 400, field="add_tags")
        refused(api("update", task_id=task["id"], version=1, base_version=1, title="x"), 400, field="base_version")


class TestBatch:
    def test_is_carried_out_in_order_and_what_is_refused_stops_nothing(self, client: Client) -> None:
        task_id = str(uuid4())
        commands = [
            command("create-task", id=task_id, title="first", tags=["a"]),
            command("update-task", task_id=task_id, title=""),
            command("update-task", task_id=task_id, base_version=1, title="second"),
            command("update-task", task_id=str(uuid4()), title="nobody's"),
            command("manage-tags", action="create", name="b"),
            command("manage-settings", time_zone="Europe/Berlin"),
            command("complete-task", task_id=task_id),
            command("delete-account", confirm="me"),
        ]
        results = batch(client, commands)
        assert [result["key"] for result in results] == [each["key"] for each in commands]
        assert [result["status"] for result in results] == [200, 400, 200, 404, 200, 200, 200, 400]
        assert [sorted(result) for result in results if result["status"] == 200] == [["answer", "key", "status"]] * 5
        assert results[2]["answer"]["title"] == "second"
        error = results[1]["error"]
        assert (error["code"], sorted(error)) == (3, ["code", "details", "message"])
        assert error["details"][0]["fieldViolations"][0]["field"] == "title"
        assert results[7]["error"]["details"][0]["fieldViolations"][0]["field"] == "function"
        assert client.get(task_id)["status"] == "completed"
        again = batch(client, commands)
        for result in (*results, *again):
            result.get("error", {}).pop("details", None)  # which have the id of the request
        assert again == results

    def test_a_key_is_the_same_as_in_the_header(self, client: Client) -> None:
        key = str(uuid4())
        task = expect(client.rest("POST", "/api/tasks", {"title": "once"}, headers=keyed(key)))
        (result,) = batch(client, [command("create-task", key=key, title="once")])
        assert result["answer"] == task
        (result,) = batch(client, [command("create-task", key=key, title="other")])
        assert result["status"] == 400
        assert result["error"]["details"][0]["fieldViolations"][0]["field"] == "key"
        assert len(client.tasks()) == 1

    def test_the_time_of_an_edit_is_corrected_by_the_callers_clock(self, system: System, client: Client) -> None:
        """This device's clock is a day behind: its edit was made a minute ago, and so after the other one."""
        task = client.create("a")
        wrong = datetime.now(UTC) - timedelta(days=1)
        other = iso(datetime.now(UTC) - timedelta(minutes=2))
        system.client(client.user).patch(task["id"], title="theirs", made_at=other)
        edit = command("update-task", wrong - timedelta(minutes=1), task_id=task["id"], base_version=1, title="yours")
        (result,) = batch(client, [edit], sent_at=wrong)
        assert result["answer"]["conflicts"][0]["winner"] == "yours"
        assert batch(client, [edit], sent_at=wrong + timedelta(seconds=5)) == [result]

    @pytest.mark.parametrize(
        ("said", "field"),
        [
            ({"commands": []}, "commands"),
            ({"commands": [command("create-task", title="x")] * 201}, "commands"),
            ({"commands": [command("create-task", key="\u00fc", title="x")]}, "commands.0.key"),
            ({"commands": [command("create-task", key="x" * 129, title="x")]}, "commands.0.key"),
            ({"commands": [{"function": "create-task"}]}, "commands.0.key"),
            ({"commands": [{"key": "1", "function": "create-task", "input": []}]}, "commands.0.input"),
            ({"commands": [command("create-task", title="x")], "sent_at": "now"}, "sent_at"),
        ],
    )
    def test_that_is_none_changes_nothing(self, client: Client, said: Json, field: str) -> None:
        answer = client.rest("POST", "/api/commands", {"sent_at": iso(datetime.now(UTC)), **said})
        refused(answer, 400, field=field)
        assert client.tasks() == []

    def test_of_anothers_ids_is_as_of_ids_that_nobody_has(self, system: System, client: Client) -> None:
        theirs = system.client(f"other-{uuid4().hex[:8]}").create("secret")["id"]
        for function in ("update-task", "complete-task", "delete-task"):
            named: dict[str, Any] = {"title": "stolen"} if function == "update-task" else {}
            results = batch(client, [command(function, task_id=one, **named) for one in (theirs, str(uuid4()))])
            assert [result["status"] for result in results] == [404, 404]
            assert results[0]["error"] == results[1]["error"]

    def test_needs_the_scope_of_each_command(self, system: System, client: Client) -> None:
        scopes = ["apply-commands", "create-task"]
        token = expect(client.rest("POST", "/api/auth/tokens", {"name": "import", "scopes": scopes}))["token"]
        limited = system.client(None, {"Authorization": f"Bearer {token}"})
        results = batch(limited, [command("create-task", title="x"), command("manage-tags", action="create", name="y")])
        assert [result["status"] for result in results] == [200, 403]
