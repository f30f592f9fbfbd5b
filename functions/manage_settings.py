"""manage-settings: shows and changes the caller's settings: zone, email, quiet hours, daily digest."""

from __future__ import annotations

from datetime import datetime

from functions.runtime.triggers import http, once
from functions.store.users import Users
from functions.tasks.models import Caller
from functions.tasks.user_settings import ManageSettings, UserSettings, plan_settings


@http("GET", "/api/settings")
@http("PATCH", "/api/settings")
@once
def manage_settings(command: ManageSettings, caller: Caller, users: Users, now: datetime) -> UserSettings:
    return users.change(caller, lambda settings: plan_settings(command, settings), now)
