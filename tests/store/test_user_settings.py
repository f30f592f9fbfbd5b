"""Settings: what one command sets no other undoes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import time
from uuid import uuid4

from functions.store.users import Users
from functions.tasks.models import Caller
from tests.store.notices import change


class TestSettings:
    def test_of_a_user_who_never_came_are_the_defaults_and_can_be_set(self, users: Users) -> None:
        caller = Caller(user_id=uuid4(), name="new", email="new@example.org")
        assert users.settings(caller).email == "new@example.org"
        changed = change(
            users, caller, time_zone="Asia/Tokyo", quiet_hours={"start": "22:00", "end": "07:00"}, digest_at="07:30"
        )
        assert users.settings(caller) == changed
        assert changed.model_dump(mode="json") == {
            "email": "new@example.org", "time_zone": "Asia/Tokyo", "email_notifications": True,
            "quiet_hours": {"start": "22:00", "end": "07:00"}, "digest_at": "07:30",
        }  # fmt: skip

    def test_lose_no_field_that_another_command_changes_at_once(self, users: Users, caller: Caller) -> None:
        fields = [
            {"time_zone": "Asia/Tokyo"},
            {"email_notifications": False},
            {"digest_at": "07:30"},
            {"quiet_hours": {"start": "22:00", "end": "07:00"}},
        ]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda values: change(users, caller, **values), fields))
        settings = users.settings(caller)
        assert (settings.time_zone, settings.email_notifications) == ("Asia/Tokyo", False)
        assert settings.digest_at == time(7, 30)
        assert settings.quiet_hours is not None
