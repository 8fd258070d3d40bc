"""The API of AsyncNotificationService and related classes, over the daemon: existing code changes its import and keeps its calls.

    from tocsin.compat import NotificationPriority, UserTier, on_strategy_start, send_signal_async, send_signal_to_discord

    on_strategy_start()
    ok = await send_signal_async(signal=signal, priority=NotificationPriority.HIGH, user_tier=UserTier.PREMIUM, additional_context=context)

The queue, the workers, the circuit breaker and the limiter that each process had are in the daemon, once for all processes; here signals
are converted and handed over. The returned bool is the receipt's `accepted`: the signal is on disk, for the daemon or in the spool.
`send_signal_to_discord`, which existing code calls as a fallback, does the same once more.

    enums             priorities and tiers
    foreign_signals   any object as a signal, by the names of its attributes or keys
    send              the calls, async and sync
    send_queue        the queue and thread that coroutines send through (tocsin.loop_waker wakes them)
    health            health and metrics under the old names; spooled counts what waits while no daemon answers
    services          the old classes

Why coroutines use a thread. A hand-off takes some tenths of a millisecond with a healthy daemon, which a loop could bear. But with a daemon
that hangs each takes its whole timeout, 0.25 s, and a spool file takes as long as the disk does: ten signals would block a loop, and with
it the orders of a trading program, for 2.5 s. In a background thread a hand-off blocks no loop, and the signals that are queued in the
meantime go together, in one frame with one deadline: a coroutine waits for two timeouts and two local writes at most, for any number of
signals. The cost is two wake-ups: measured 0.75 ms, where `send_signal_sync` took 0.43 and `tocsin.send` 0.37 (medians, a busy machine,
signals 3 ms apart); the loop itself is blocked for 0.18 ms, half of it for converting the signal. It creates no task and needs no executor:
the thread wakes the loop, asyncio's or trio's. Without a loop the coroutine sends the signal itself.

Nothing here raises into its caller, for any signal. A signal whose coroutine is cancelled is sent all the same.
"""

from .enums import NotificationPriority, UserTier
from .health import get_health_status, get_metrics
from .send import send_signal_async, send_signal_sync, send_signal_to_discord
from .services import (
    AsyncNotificationService,
    AsyncNotificationStartup,
    DiscordService,
    NotificationIntegration,
    on_strategy_start,
    on_strategy_stop,
)

__all__ = [
    "AsyncNotificationService",
    "AsyncNotificationStartup",
    "DiscordService",
    "NotificationIntegration",
    "NotificationPriority",
    "UserTier",
    "get_health_status",
    "get_metrics",
    "on_strategy_start",
    "on_strategy_stop",
    "send_signal_async",
    "send_signal_sync",
    "send_signal_to_discord",
]
