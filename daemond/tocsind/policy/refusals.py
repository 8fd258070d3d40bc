"""Refusals in a row: when do they show that the destination refuses, and not that this alert is faulty?

    strike      a refusal that is known to be the destination's (no permission, no such channel): at the third request in a row
    the same    of STRIKES different alerts in a row, whatever the code: one alert may be faulty, three are not faulty in the same way
    named       the server named a part of the alert, so the alert is at fault: it is counted for `status` only, and ends no row

A delivery that arrives ends every row. A retry by the operator is the same alert, and counts once.
"""

from __future__ import annotations

from collections.abc import Sequence

from .outcomes import Refused

STRIKES = 3
MAX_REMEMBERED = 1000  # alerts; `status` then says "1000 or more"


class Refusals:
    """What one destination refused since its last delivery. The journal keeps `strikes` over a restart."""

    def __init__(self, strikes: int = 0) -> None:
        self.strikes = strikes
        self.reason: str | None = None  # of the last refusal
        self._last_reason: str | None = None  # reason of the refusals in a row
        self._same_reason: set[str] = set()  # ids of the alerts that were refused for that reason
        self._alerts: set[str] = set()  # ids of all refused alerts

    @property
    def alerts(self) -> int:
        """How many different alerts were refused, at most MAX_REMEMBERED."""
        return len(self._alerts)

    @property
    def is_all(self) -> bool:
        """Whether enough alerts were refused, and none delivered, to report it."""
        return self.alerts >= STRIKES

    def on_delivered(self) -> None:
        """A delivery arrived."""
        self.strikes, self.reason, self._last_reason = 0, None, None
        self._same_reason.clear()
        self._alerts.clear()

    def on_refused(self, refusal: Refused, alerts: Sequence[str]) -> str | None:
        """A request with these alerts was refused. Returns why the destination counts as refusing everything; None: not yet."""
        self.reason = refusal.reason
        self._alerts.update(alerts[: MAX_REMEMBERED - self.alerts])
        if refusal.named:
            return None
        self.strikes = self.strikes + 1 if refusal.strike else 0
        if refusal.reason != self._last_reason:
            self._last_reason = refusal.reason
            self._same_reason.clear()
        self._same_reason.update(alerts)
        if refusal.strike:
            return refusal.reason if self.strikes >= STRIKES else None
        return (
            f"{refusal.reason} (so for {STRIKES} different alerts in a row)"
            if len(self._same_reason) >= STRIKES
            else None
        )
