"""unsubscribe: ends a kind of mail by the link in one of them. Opening the link only asks; the button acts."""

from __future__ import annotations

from functions.runtime.channels import DIGEST
from functions.runtime.keys import Keys
from functions.runtime.triggers import http
from functions.store.devices import Devices
from functions.store.users import Users
from functions.tasks.models import Page
from functions.tasks.unsubscribing import Unsubscribe, asking_page, done_page


@http("GET", "/api/unsubscribe", public=True, action="ask")
@http("POST", "/api/unsubscribe", public=True, action="unsubscribe")
def unsubscribe(command: Unsubscribe, keys: Keys, devices: Devices, users: Users) -> Page:
    user_id, what = keys.read_unsubscribe_token(command.token)
    said = "the daily digest" if what == DIGEST else f"reminders by email to {what}"
    if command.action == "ask":
        return asking_page(said)
    if what == DIGEST:
        users.end_digest(user_id)
    else:
        devices.unsubscribe(user_id, what)
    return done_page(said)
