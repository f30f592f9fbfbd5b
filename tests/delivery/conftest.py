"""Senders that reach loopback, and an installation of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from functions.runtime.keys import Keys
from functions.runtime.outbound import Outbound
from functions.runtime.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path, public_url="https://tickler.example", mail_from="Tickler <tickler@tickler.example>")


@pytest.fixture
def keys(settings: Settings) -> Keys:
    return Keys(settings)


@pytest.fixture
def outbound() -> Outbound:
    """Reaches loopback, as TICKLER_WEBHOOK_ALLOW_PRIVATE lets it."""
    return Outbound(allow_private=True, seconds=2)
