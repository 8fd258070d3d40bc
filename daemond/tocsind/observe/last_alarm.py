"""The last alarm of a daemon that cannot write any more: its journal was deleted or replaced, or the disk broke.

Nothing can be recorded, so no lane sends the alarm and no limit applies: it is one message, and then the daemon exits. It goes to one
destination after the other, first those that people read, until one accepts it.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from tocsin.signals import Signal
from tocsind.clock import Clock
from tocsind.config import Config, DestinationOptions
from tocsind.destinations import Destination
from tocsind.destinations.http import HttpClient
from tocsind.destinations.registry import build
from tocsind.errors import StorageFailed, StorageLost
from tocsind.events import Emit, StorageProblem
from tocsind.policy.delivery import Delivery, Priority
from tocsind.policy.outcomes import Delivered
from tocsind.policy.routes import by_rules, chain
from tocsind.policy.sources import DAEMON_SOURCE

PATIENCE = 8.0  # seconds for all destinations; the service manager waits for the daemon to exit
_EACH = 3.0  # seconds for one destination
_MIN_UPTIME = (
    60.0  # seconds; a daemon that fails sooner is restarted again and again, and must not send the alarm each time
)


@asynccontextmanager
async def reporting_storage_failure(
    config: Callable[[], Config], client: HttpClient, folder: Path, clock: Clock, emit: Emit
) -> AsyncIterator[None]:
    """Send the alarm when a failure of the storage leaves the context; the error is raised again."""
    began = clock.now()
    try:
        yield
    except BaseException as error:
        if failure := should_report(error, clock.now() - began):
            emit(StorageProblem(str(failure)))
            with trio.CancelScope(shield=True):
                destinations = [build(each, client, folder) for each in destinations_in_order(config())]
                await send(failure, config(), destinations, clock)
        raise


def should_report(error: BaseException, uptime: float) -> StorageFailed | None:
    """The storage failure in an exception or a group, if it needs an alarm."""
    found = _storage_failure(error)
    return found if isinstance(found, StorageLost) or uptime >= _MIN_UPTIME else None


def _storage_failure(error: BaseException) -> StorageFailed | None:
    if isinstance(error, BaseExceptionGroup):
        return next((found for each in error.exceptions if (found := _storage_failure(each))), None)
    return error if isinstance(error, StorageFailed) else None


async def send(error: StorageFailed, config: Config, destinations: Iterable[Destination], clock: Clock) -> str | None:
    """Send the alarm; the name of the destination that accepted it, None when none did. `destinations` are built from
    `destinations_in_order`, in that order.
    """
    signal = Signal(
        "tocsind stops: its journal is lost" if isinstance(error, StorageLost) else "tocsind stops: its disk failed",
        body=f"{error}. Its undelivered signals may be lost; `tocsin status` and the log of the next start have details.",
        priority="urgent",
        source=DAEMON_SOURCE,
        host=os.uname().nodename,
    )
    with trio.move_on_after(PATIENCE):
        for options, destination in zip(destinations_in_order(config), destinations, strict=True):
            if await _delivered(signal, options.name, destination, clock):
                return options.name
    return None


async def _delivered(signal: Signal, name: str, destination: Destination, clock: Clock) -> bool:
    delivery = Delivery(0, signal, name, Priority.URGENT, clock.wall())
    with trio.move_on_after(_EACH):
        report = await destination.deliver([delivery])
        return isinstance(report.outcomes[0], Delivered)
    return False


def destinations_in_order(config: Config) -> list[DestinationOptions]:
    """The destinations that are not disabled, in the order of the routes of an URGENT signal, files last."""
    known = [config.destinations[name] for name in dict.fromkeys(_names(config)) if name in config.destinations]
    return sorted((each for each in known if each.disabled is None), key=lambda each: each.kind == "file")


def _names(config: Config) -> Iterator[str]:
    for name in by_rules(Signal("tocsind stops", source=DAEMON_SOURCE), Priority.URGENT, config.routes):
        yield name
        yield from chain(name, config.fallbacks)
    yield from config.destinations
