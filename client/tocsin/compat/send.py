"""The functions that send. Each returns whether the signal is on disk; the reason of a failure is logged to the logger `tocsin`."""

from __future__ import annotations

from typing import Any

from tocsin.client import Client
from tocsin.replies import receipt_of

from .foreign_signals import signal_of
from .send_queue import send_queue

_client = Client()  # connects on first use


async def send_signal_async(
    signal: Any,
    priority: Any = None,
    user_tier: Any = None,
    additional_context: Any = None,
    **others: Any,
) -> bool:
    """Hand a signal over while the loop, asyncio's or trio's, goes on. True once it is on disk, for the daemon or in the spool.

    `signal` is a mapping or any object with the usual attributes (tocsin.compat.foreign_signals). `priority` and `user_tier` are a
    NotificationPriority and a UserTier, or other spellings of them; the default priority depends on the confidence. `additional_context`, a
    mapping, is added to the message's fields, and so are other keyword arguments. Raises nothing but cancellation.
    """
    return await _sent(signal, priority, user_tier, additional_context, others)


async def send_signal_to_discord(
    signal: Any,
    priority: Any = None,
    user_tier: Any = None,
    additional_context: Any = None,
    **others: Any,
) -> bool:
    """As `send_signal_async`: the fallback of existing code. It does not wait for Discord."""
    return await _sent(signal, priority, user_tier, additional_context, others)


def send_signal_sync(
    signal: Any,
    priority: Any = None,
    user_tier: Any = None,
    additional_context: Any = None,
    **others: Any,
) -> bool:
    """As `send_signal_async`, for code without a loop, in any thread. Takes at most 0.25 s and one local write. Never raises."""
    try:
        return _client.send(signal_of(signal, priority, user_tier, additional_context, others)).accepted
    except Exception as error:  # noqa: BLE001 - whatever a foreign object may raise
        return _refused(error)


async def _sent(signal: Any, priority: Any, tier: Any, context: Any, others: dict[str, Any]) -> bool:
    try:
        receipt = await send_queue(_client).submit(signal_of(signal, priority, tier, context, others))
    except Exception as error:  # noqa: BLE001 - as above
        return _refused(error)
    return receipt.accepted


def _refused(error: Exception) -> bool:
    """Log and count an object that cannot be converted; the client itself logs what it could not hand over."""
    _client.losses.note([receipt_of(error, "")], [None])
    return False
