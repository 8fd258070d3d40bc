"""The alarm of a daemon that can write nothing any more: its journal was deleted or replaced, or the disk broke.

Nothing is recorded, so no lane sends it and no limit is asked: it is one message, and the daemon leaves behind it. The destinations are
tried one after the other, those that a person reads first, until one has it.
"""

from __future__ import annotations

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

PATIENCE = 8.0  # seconds for all of it; the service manager waits for our end
_EACH = 3.0  # and for one destination
_SETTLED_IN = 60.0  # a daemon that fails sooner than this after its start is started again and again, and must not tell it each time


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
    """The failure of the storage in an exception or a group, if people should be told of it."""
    found = _storage_failure(error)
    return found if isinstance(found, StorageLost) or uptime >= _SETTLED_IN else None


def _storage_failure(error: BaseException) -> StorageFailed | None:
    if isinstance(error, BaseExceptionGroup):
        return next((found for each in error.exceptions if (found := _storage_failure(each))), None)
    return error if isinstance(error, StorageFailed) else None


async def send(error: StorageFailed, config: Config, destinations: Iterable[Destination], clock: Clock) -> str | None:
    """Tell people of a failure; the destination that has it, None when there is none. `destinations` are
    those of `targets`, in their order.
    """
    signal = Signal(
        "tocsind stops: its journal is lost" if isinstance(error, StorageLost) else "tocsind stops: its disk failed",
        body=f"{error}. What waited in it may be lost; `tocsin status` and the log of the next start tell more.",
        priority="urgent",
        source=DAEMON_SOURCE,
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
    """The destinations that are set up, in the order in which they are tried: as URGENT signals are routed, files last."""
    known = [config.destinations[name] for name in dict.fromkeys(_names(config)) if name in config.destinations]
    return sorted((each for each in known if each.disabled is None), key=lambda each: each.kind == "file")


def _names(config: Config) -> Iterator[str]:
    for name in by_rules(Signal("tocsind stops", source=DAEMON_SOURCE), Priority.URGENT, config.routes):
        yield name
        yield from chain(name, config.fallbacks)
    yield from config.destinations
