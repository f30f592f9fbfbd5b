"""manage-devices: registers, lists, tests and removes the devices that notifications go to."""

from __future__ import annotations

from datetime import datetime, timedelta

from functions.runtime.channels import Channels
from functions.runtime.keys import Keys
from functions.runtime.limits import Limit, Limits
from functions.runtime.outbound import Outbound
from functions.runtime.triggers import http
from functions.runtime.webhook import new_secret
from functions.store.devices import Devices
from functions.tasks.delivery import trial_delivery
from functions.tasks.devices import (
    Device,
    DeviceList,
    DeviceTested,
    ManageDevices,
    check_device_id,
    check_registration,
)
from functions.tasks.errors import InvalidInput, Undeliverable
from functions.tasks.models import Caller, Deleted

NEW_DEVICES = Limit("new-devices", 20, timedelta(hours=1))
"""What is registered is written to at every reminder, and nobody at that address has confirmed it. Only new ones
count: a browser registers its subscription again each time the app is opened."""

TESTS = Limit("device-tests", 10, timedelta(minutes=10))
"""A test sends at once, wherever the device is. Setting one up takes a few."""


@http("GET", "/api/devices", action="list")
@http("POST", "/api/devices", action="create")
@http("DELETE", "/api/devices/{device_id}", action="delete")
@http("POST", "/api/devices/{device_id}/test", action="test")
def manage_devices(
    command: ManageDevices,
    caller: Caller,
    devices: Devices,
    channels: Channels,
    outbound: Outbound,
    keys: Keys,
    limits: Limits,
    now: datetime,
) -> Device | DeviceList | DeviceTested | Deleted:
    match command.action:
        case "create":
            device = check_registration(command, insecure=outbound.allow_private)
            if device.endpoint not in {known.endpoint for known in devices.list(caller)}:
                limits.take(NEW_DEVICES, caller.user_id, now)
            if device.kind != "email":
                try:
                    outbound.check(device.endpoint)
                except Undeliverable as error:
                    raise InvalidInput("endpoint", str(error)) from None
            return devices.register(caller, device, new_secret() if device.kind == "webhook" else None, now)
        case "delete":
            devices.remove(caller.user_id, check_device_id(command))
            return Deleted(id=check_device_id(command))
        case "test":
            device_id = check_device_id(command)
            row = devices.get(caller.user_id, device_id)
            limits.take(TESTS, caller.user_id, now)
            channels.send(trial_delivery(row, caller.user_id, now))
            return DeviceTested(id=device_id)
    return DeviceList(items=devices.list(caller), vapid_public_key=keys.vapid_public)
