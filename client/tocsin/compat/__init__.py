"""The names that code written for AsyncNotificationService and its kin calls, over the daemon: change the import, and keep the calls.

    from tocsin.compat import NotificationPriority, UserTier, on_strategy_start, send_signal_async, send_signal_to_discord

    on_strategy_start()
    ok = await send_signal_async(signal=signal, priority=NotificationPriority.HIGH, user_tier=UserTier.PREMIUM, additional_context=context)

What was a queue, a pool of workers, a breaker and a limiter in each process is the daemon's business now, once for all of them; here
signals are read and handed over. The bool that comes back is the receipt's `accepted`: on disk, the daemon's or the spool's. That is the
fallback, too: first the daemon, then the spool. `send_signal_to_discord`, which old code tries second, goes the same way once more.

    words      priorities and tiers
    values     anything as a text, a number, a time
    shapes     any object as a signal: by the names of its attributes or keys
    courier    the thread that hands over for coroutines
    sending    the calls: async, and for those without a loop sync
    health     health and metrics under the old names
    services   the old classes, each a few of these calls

Why coroutines use a thread. A hand-off is one exchange on a Unix socket: some tenths of a millisecond with a daemon in good health, and a
loop could bear that. But with a daemon that hangs each takes its whole timeout, 0.25 s, and a spool file takes what the disk takes: ten
signals would hold up a loop, and with it the orders of a trading program, for 2.5 s. On a thread of its own a hand-off holds up
nobody, and what came meanwhile goes together, in one frame with one deadline: a coroutine waits for two timeouts and two local
writes at the most, however many there are. The price is being woken twice: measured 0.75 ms, where `send_signal_sync` took 0.43 and
`tocsin.send` 0.37 (medians, a busy machine, signals 3 ms apart); the loop itself is held for 0.18, half of which is reading the signal.
No task is created and no executor needed: the thread rings a bell in the loop, asyncio's or trio's, that waits for it. Without either a
coroutine hands over itself.

Nothing here raises into its caller, whatever a signal is made of. A coroutine that is cancelled has given its signal away already; it goes
all the same.
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
