"""`tocsind check --online`: asks every destination at once whether it works. Nothing is posted, and every question ends in time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import trio

from tocsind.config import DestinationOptions
from tocsind.destinations import Destination
from tocsind.destinations.http import HttpClient
from tocsind.destinations.registry import build
from tocsind.errors import EXIT_CONFIGURATION
from tocsind.policy.outcomes import ChannelInfo, Deferred, Refused
from tocsind.secret import redacted_struct

EXIT_UNREACHABLE: Final = 69
LONGEST: Final = 10.0  # seconds, whatever the destination's own deadline is


class Finding(NamedTuple):
    """What a destination answered. `exit_code` is 0, 69 (not reached, or not now) or 78 (it refuses what the configuration says)."""

    exit_code: int
    words: str

    @property
    def line(self) -> str:
        """The finding for people."""
        state = {0: "ready", EXIT_UNREACHABLE: "not reached", EXIT_CONFIGURATION: "refused"}[self.exit_code]
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
