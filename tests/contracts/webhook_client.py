"""A Discord destination, its HTTP client and the fake Discord in one event loop. Test modules import the fixtures by name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tocsind.config import DiscordOptions
from tocsind.destinations.discord import DiscordWebhook
from tocsind.destinations.http import HttpClient
from tocsind.policy.outcomes import Cause, Deferred, Reach
from tocsind.secret import Secret
from tocsind.testing import FakeDiscord, Settings, Status, serve_fake

UNLIMITED = Settings().without_limits()
BLOCKED = "from Cloudflare: this address is blocked"


@pytest.fixture
async def fake() -> AsyncIterator[FakeDiscord]:
    async with serve_fake(UNLIMITED) as fake:
        yield fake


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    async with HttpClient() as client:
        yield client


def webhook(fake: FakeDiscord, client: HttpClient, **options: Any) -> DiscordWebhook:
    return at(fake.url().replace("/api/", "/api/v10/"), client, **options)


def at(url: str, client: HttpClient, **options: Any) -> DiscordWebhook:
    return DiscordWebhook(DiscordOptions(webhook=Secret(url), **{"deadline": 5.0, **options}), client)


def limited(reason: str, reach: Reach, wait: float | None) -> Deferred:
    return Deferred(reason, Cause.LIMITED, reach, wait)


def words(status: int, code: int, message: str = "Words") -> Status:
    return Status(status, code=code, message=message)
