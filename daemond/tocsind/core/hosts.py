"""Which hosts signals come from. While it is one, no message says so; from the second host on, each says from which one it is.

A signal without a host comes from this one. What this run has seen counts: after a restart the first signal of another host decides again,
or the journal, where hosts share channels and this one has met another.
The daemon's own signals (alarms, reports) always name their host.
"""

from __future__ import annotations

import os
from typing import Any

from tocsind.policy.sources import DAEMON_SOURCE


class Hosts:
    """The hosts that were seen; `own` is this one."""

    def __init__(self, own: str | None = None) -> None:
        self.own = own or os.uname().nodename
        self.are_several = False

    def note(self, host: str | None) -> None:
        """Note the host of a signal that came."""
        self.are_several |= host is not None and host != self.own

    def note_others(self) -> None:
        """Other hosts send to the same channels."""
        self.are_several = True

    def add_to(self, values: dict[str, Any]) -> None:
        """Add this host to the fields of a signal that names none, where a reader has to know it."""
        if "host" not in values and (self.are_several or values.get("source") == DAEMON_SOURCE):
            values["host"] = self.own
