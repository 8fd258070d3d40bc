"""Refusals in a row: when do they say that it is the destination that refuses, and not this alert that is refused?

    strike      a refusal that is known to be the destination's (no permission, no such channel): at the third request in a row
    the same    of STRIKES different alerts in a row, whatever the code: one alert may be wrong, three are not wrong in the same way
    named       the far end named a part of the alert, so it is the alert's own: it counts for people only, and breaks no row

A delivery ends every row. What is retried by hand is the same alert, and counts once.
"""

from __future__ import annotations

from collections.abc import Sequence

from .outcomes import Refused

STRIKES = 3
MAX_REMEMBERED = 1000  # alerts remembered; people are told of "1000 or more"


class Refusals:
    """What one destination refused since its last delivery. `strikes` outlive a restart."""

    def __init__(self, strikes: int = 0) -> None:
        self.strikes = strikes
        self.reason: str | None = None  # of the last refusal
        self._last_reason: str | None = None  # what the alerts in a row were refused with
        self._same_reason: set[str] = set()  # these alerts
        self._alerts: set[str] = set()  # all that were refused

    @property
    def alerts(self) -> int:
        """How many different alerts were refused, MOST_KNOWN at most."""
        return len(self._alerts)

    @property
    def is_all(self) -> bool:
        """Whether enough were refused, and nothing delivered, for people to know."""
        return self.alerts >= STRIKES

    def on_delivered(self) -> None:
        """Something got through."""
        self.strikes, self.reason, self._last_reason = 0, None, None
        self._same_reason.clear()
        self._alerts.clear()

    def on_refused(self, refusal: Refused, alerts: Sequence[str]) -> str | None:
        """One request was refused, with these alerts in it. Why the destination counts as refusing everything; None: it does not yet."""
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
