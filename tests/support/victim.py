"""A user whose data no bad input may change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.support.client import Api, Client, Json, Spelling
from tests.support.system import System


@dataclass
class Victim:
    """A user with a task and two tags, and all that there is of them."""

    system: System
    client: Client
    task: Json
    tag: Json

    def rows(self) -> list[Json]:
        """A digest of this user's rows in every table; seq for itself, because it says how many changes there were."""
        parts = [
            f", (select md5(string_agg(r::text, ' ' order by r::text)) from {table} r where r.user_id = u.user_id)"
            f" as {table}"
            for table in ("tasks", "tags", "task_tags", "reminders", "activity")
        ]
        return self.system.sql(f"select seq{''.join(parts)} from users u where user_id = %s", self.client.user_id)

    def seen(self) -> Any:
        return self.client.tasks(), self.client.tags(), self.client.activity()

    @property
    def inputs(self) -> dict[str, Json]:
        """Good inputs of every operation, which a bad one makes bad."""
        task, tag = {"task_id": self.task["id"]}, {"tag_id": self.tag["id"]}
        return {
            "create": {"title": "new"},
            "list": {},
            "get": task,
            "update": task,
            "replace": {**task, "title": "replaced"},
            "delete": task,
            "complete": task,
            "reopen": task,
            "tags": {},
            "create_tag": {"name": "new"},
            "update_tag": {**tag, "name": "renamed"},
            "delete_tag": tag,
            "activity": {},
            "preview": {"recurrence": {"type": "daily"}, "due_date": "2027-01-01T09:00:00Z"},
        }

    def apis(self, *spellings: Spelling) -> list[Api]:
        """The operations in each of these spellings."""
        return [Api(self.client, spelling) for spelling in spellings]
