"""Messages as Discord saves them, and settings for property tests of large messages."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import HealthCheck, settings

from tocsind.discord_api.validation import check
from tocsind.testing.messages import Message, MessageLog, Moment
from tocsind.testing.webhooks import numbered_webhook

slowly = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def stored(payload: dict[str, Any]) -> Message:
    """The message that Discord saves, after all its checks."""
    checked = check(msgspec.json.decode(msgspec.json.encode(payload)))
    assert checked.errors == {}
    log = MessageLog(1)
    return log.add(checked.payload, at=Moment(0.0, 0.0, 2e9), channel_id="c", by=numbered_webhook(0, "c"))
