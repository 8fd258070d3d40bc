"""`tocsind check --online`: asks every destination at once whether it works. Nothing is posted, and every question ends in time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import trio

from tocsin.ids import new_id
from tocsind.config import DestinationOptions, SharedOptions
from tocsind.destinations import Destination
from tocsind.destinations.http import HttpClient
from tocsind.destinations.registry import build
from tocsind.errors import EXIT_CONFIGURATION
from tocsind.host.state_folder import is_served
from tocsind.policy.outcomes import ChannelInfo, Deferred, Refused
from tocsind.secret import redacted_struct

EXIT_UNREACHABLE: Final = 69
LONGEST: Final = 10.0  # seconds, whatever the destination's own deadline is


class Finding(NamedTuple):
    """The answer of a destination, or of the engine.

    `exit_code` is 0, 69 (not reached, or not now) or 78 (it refuses what the configuration says). `is_reached`: with 69, it answers.
    """

    exit_code: int
    words: str
    is_reached: bool = False

    @property
    def line(self) -> str:
        """The finding for people."""
        away = "not ready" if self.is_reached else "not reached"
        state = {0: "ready", EXIT_UNREACHABLE: away, EXIT_CONFIGURATION: "refused"}[self.exit_code]
        return f"{state}: {self.words}" if self.words else state


async def ask(destinations: Mapping[str, DestinationOptions], folder: Path) -> dict[str, Finding]:
    """The findings by name, in no order. Destinations that are disabled are not asked."""
    findings: dict[str, Finding] = {}

    async def ask_one(options: DestinationOptions, client: HttpClient) -> None:
        destination = build(options, client, folder)
        try:
            findings[options.name] = _finding(redacted_struct(await _answered(destination)))
        finally:
            await destination.aclose()

    async with HttpClient() as client, trio.open_nursery() as nursery:
        for options in destinations.values():
            if options.disabled is None:
                nursery.start_soon(ask_one, options, client)
    return findings


async def ask_engine(options: SharedOptions, folder: Path) -> Finding | None:
    """Whether the engine of several hosts can be used; None without one. Settings that may lose deliveries are named and no failure, nor is
    a copy of another host's state folder.

    The engine is tried out: what a host hands over is written, read and removed, at a place of its own.
    """
    if options.url is None:
        return None
    from tocsind.shared.assembly import address  # noqa: PLC0415 - a host alone does not load it
    from tocsind.shared.engine import SEEN_MS, EngineAway  # noqa: PLC0415 - as above
    from tocsind.shared.identity import known_name  # noqa: PLC0415 - as above
    from tocsind.shared.presence import is_stopped  # noqa: PLC0415 - as above
    from tocsind.shared.redis_engine import FORBIDDEN, TOO_OLD, RedisEngine  # noqa: PLC0415 - as above

    engine, name = RedisEngine(address(options)), f"check-{new_id()}"
    try:
        await engine.try_out(name)
        await engine.wait([name], name)
        hosts = [each for each in await engine.hosts() if each.ago < SEEN_MS]
        complaints = await engine.complaints()
    except EngineAway as away:
        code = EXIT_CONFIGURATION if away.cause.is_mistake else EXIT_UNREACHABLE
        return Finding(code, str(away), is_reached=away.cause.is_answer)
    finally:
        await engine.aclose()
    is_refused = any(each.startswith((TOO_OLD, FORBIDDEN)) for each in complaints)
    seen = f"{len(hosts)} host{'' if len(hosts) == 1 else 's'} there now"
    name = known_name(folder)
    own = next((each for each in hosts if each.host == name and not is_stopped(each)), None)
    copied = [_copied(name, own.ago)] if own and not is_served(folder) else []
    return Finding(EXIT_CONFIGURATION if is_refused else 0, "; ".join([*complaints, *copied, seen]))


def _copied(host: str, ago: int) -> str:
    return (
        f"{host} was there {ago // 1000} s ago, and no daemon runs on this state folder: if one runs elsewhere, the folder is a copy, "
        "and its daemon will take a new name"
    )


async def _answered(destination: Destination) -> ChannelInfo:
    with trio.move_on_after(LONGEST):
        return await destination.check()
    return ChannelInfo(problem=Deferred(f"no answer within {LONGEST:g} s"))


def _finding(found: ChannelInfo) -> Finding:
    match found.problem:
        case None:
            return Finding(0, found.shows)
        case Refused(reason=reason):
            return Finding(EXIT_CONFIGURATION, reason)
        case problem:
            return Finding(EXIT_UNREACHABLE, problem.reason)
