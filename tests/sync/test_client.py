"""The sync client of web/, against the running system: two devices edit offline and meet again."""

from __future__ import annotations

import subprocess

from tests.support.system import System
from tools import web


def test_two_devices_of_the_client_end_with_the_servers_list(system: System) -> None:
    """web/tests/real.test.ts compares them with GET /api/tasks."""
    web.install()
    done = subprocess.run(
        ["npm", "run", "--silent", "test:real", "--", system.url],
        cwd=web.WEB,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout
