"""The daemon on a host whose way to Discord can be cut: while the file CUT is there, each request fails, with its text as the reason.

A text that begins with "gone" is the answer that disables a destination, "banned" that of a server which has blocked this host's address.

    CUT=/tmp/x/cut python -m tests.shared.cut_off run --config alerts.toml
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tocsind.__main__ import main
from tocsind.config import DestinationOptions
from tocsind.delivery import supervisor
from tocsind.destinations import Destination
from tocsind.destinations.http import HttpClient
from tocsind.destinations.registry import build
from tocsind.policy.batch import Footprint
from tocsind.policy.delivery import Delivery
from tocsind.policy.live_message import Editing
from tocsind.policy.outcomes import Cause, ChannelInfo, Deferred, Reach, Refused, Report

CUT = Path(os.environ["CUT"])


def problem() -> Deferred | Refused | None:
    """How a request fails now."""
    if not CUT.exists():
        return None
    text = CUT.read_text()
    if text.startswith("gone"):
        return Refused(text, disable=True)
    if text.startswith("banned"):
        return Deferred(text, cause=Cause.LIMITED, reach=Reach.KIND, wait=600.0)
    return Deferred(text, unsent=True)


class CutOff:
    """A destination that may be out of reach."""

    def __init__(self, real: Destination) -> None:
        self._real = real

    @property
    def max_items(self) -> int:
        return self._real.max_items

    @property
    def editing(self) -> Editing:
        return self._real.editing

    @property
    def repeatable(self) -> bool:
        return self._real.repeatable

    @property
    def max_chars(self) -> float:
        return self._real.max_chars

    @property
    def max_bytes(self) -> float:
        return self._real.max_bytes

    def footprint(self, delivery: Delivery) -> Footprint:
        return self._real.footprint(delivery)

    def preview(self, batch: Sequence[Delivery]) -> dict[str, Any]:
        return self._real.preview(batch)

    async def discover(self) -> ChannelInfo:
        found = problem()
        return ChannelInfo(problem=found) if found else await self._real.discover()

    async def check(self) -> ChannelInfo:
        return await self.discover()

    async def aclose(self) -> None:
        await self._real.aclose()

    async def deliver(self, batch: Sequence[Delivery]) -> Report:
        found = problem()
        return Report((found,) * len(batch)) if found else await self._real.deliver(batch)


def build_cut_off(options: DestinationOptions, client: HttpClient, state_folder: Path) -> Destination:
    """Build a destination as the registry does; a network's one can be cut off."""
    real = build(options, client, state_folder)
    return CutOff(real) if options.is_shared else real


if __name__ == "__main__":
    with patch.object(supervisor, "build", build_cut_off):
        sys.exit(main())
