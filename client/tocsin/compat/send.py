"""The calls. Each answers whether the signal is on disk, the daemon's or the spool's; why one is not goes to the log `tocsin`."""

from __future__ import annotations

from typing import Any

from tocsin.client import Client
from tocsin.replies import receipt_of

from .foreign_signals import signal_of
from .send_queue import send_queue

_client = Client()  # opens nothing until it is used


async def send_signal_async(
    signal: Any,
    priority: Any = None,
    user_tier: Any = None,
    additional_context: Any = None,
) -> bool:
    """Hand a signal over while the loop, asyncio's or trio's, goes on: True once it is on disk, the daemon's or the spool's.

    `signal` is a mapping or any object with the usual attributes (tocsin.compat.foreign_signals). `priority` and `user_tier` are a
    NotificationPriority and a UserTier, or say the same in another way; without a priority the confidence decides. `additional_context`, a
    mapping, goes into the message's fields. Never raises, but cancellation.
    """
    return await _sent(signal, priority, user_tier, additional_context)


async def send_signal_to_discord(
    signal: Any,
    priority: Any = None,
    user_tier: Any = None,
    additional_context: Any = None,
) -> bool:
    """What old code falls back on: the same road once more, daemon first and then spool. It does not wait for Discord either."""
    return await _sent(signal, priority, user_tier, additional_context)


def send_signal_sync(
    signal: Any,
    priority: Any = None,
    user_tier: Any = None,
    additional_context: Any = None,
) -> bool:
    """`send_signal_async` for code without a loop, in any thread: within 0.25 s and one local write. Never raises."""
    try:
        return _client.send(signal_of(signal, priority, user_tier, additional_context)).accepted
    except Exception as error:  # noqa: BLE001 - whatever a foreign object may raise
        return _refused(error)


async def _sent(signal: Any, priority: Any, tier: Any, context: Any) -> bool:
    try:
        receipt = await send_queue(_client).submit(signal_of(signal, priority, tier, context))
    except Exception as error:  # noqa: BLE001 - as above
        return _refused(error)
    return receipt.accepted


def _refused(error: Exception) -> bool:
    """Log and count what is no signal at all; what the client could not hand over, it logs itself."""
    _client.losses.note([receipt_of(error, "")], [None])
    return False
