"""Devices: one a user and endpoint, and a limit."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

import pytest

from functions.store.devices import Devices
from functions.store.users import Users
from functions.tasks.devices import LIMIT, Registration
from functions.tasks.errors import AlreadyExists, InvalidInput, NotFound
from functions.tasks.models import Caller
from tests.store.notices import NOW, webhook


class TestDevices:
    def test_registered_again_keep_their_id_and_secret(self, devices: Devices, caller: Caller) -> None:
        first = devices.register(caller, webhook(), "s1", NOW)
        again = devices.register(caller, webhook(name="Office"), "s2", NOW + timedelta(days=1))
        assert (first.secret, again.secret) == ("s1", None)
        assert again == first.model_copy(update={"name": "Office", "secret": None})
        assert devices.list(caller) == [again]
        assert devices.get(caller.user_id, first.id)["secret"] == "s1"

    def test_of_a_user_have_an_endpoint_once_however_often_at_once(self, devices: Devices, caller: Caller) -> None:
        with ThreadPoolExecutor(8) as pool:
            made = list(pool.map(lambda n: devices.register(caller, webhook(), f"s{n}", NOW), range(16)))
        assert len({device.id for device in made}) == 1
        assert sum(device.secret is not None for device in made) == 1

    def test_of_two_users_may_have_the_same_endpoint_and_never_meet(self, devices: Devices, caller: Caller) -> None:
        other = Caller(user_id=uuid4(), name="ben")
        mine, theirs = (devices.register(who, webhook(), "s", NOW) for who in (caller, other))
        assert mine.id != theirs.id
        for act in (lambda: devices.remove(caller.user_id, theirs.id), lambda: devices.get(caller.user_id, theirs.id)):
            with pytest.raises(NotFound):
                act()
        assert [device.id for device in devices.list(other)] == [theirs.id]

    def test_of_another_kind_with_the_same_endpoint_are_refused(self, devices: Devices, caller: Caller) -> None:
        devices.register(caller, webhook(), "s", NOW)
        with pytest.raises(AlreadyExists):
            devices.register(caller, Registration(kind="web_push", endpoint=webhook().endpoint, name="x"), None, NOW)

    def test_are_limited_however_many_come_at_once(self, devices: Devices, caller: Caller) -> None:
        def register(number: int) -> bool:
            try:
                devices.register(caller, webhook(f"https://hooks.example/{number}"), "s", NOW)
            except InvalidInput:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(register, range(LIMIT + 10))) == LIMIT
        kept = devices.list(caller)[0]
        assert devices.register(caller, webhook(kept.endpoint, "New"), "s", NOW).id == kept.id

    def test_an_address_unsubscribed_is_no_device_and_no_address_any_more(
        self, devices: Devices, users: Users, caller: Caller
    ) -> None:
        assert caller.email is not None
        for address in (caller.email, "second@example.org"):
            devices.register(caller, Registration(kind="email", endpoint=address, name="x"), None, NOW)
        devices.unsubscribe(caller.user_id, "second@example.org")
        assert [device.endpoint for device in devices.list(caller)] == [caller.email]
        assert users.settings(caller).email_notifications
        for _ in range(2):
            devices.unsubscribe(caller.user_id, caller.email)
        assert devices.list(caller) == []
        assert not users.settings(caller).email_notifications
