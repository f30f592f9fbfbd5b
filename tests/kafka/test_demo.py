"""`make demo` on Kafka: the same as on the embedded broker."""

from __future__ import annotations

import subprocess
import sys

from tests.support.system import REPOSITORY, System


def test_the_demo_passes(kafka: System) -> None:
    demo = subprocess.run(
        [sys.executable, "-m", "tools.demo", "--url", kafka.url, "--no-timing"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "demo passed" in demo.stdout
