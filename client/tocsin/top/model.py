"""The lanes of a status, and delivery rates from several statuses."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tocsin.cli.shared_lines import who_sends
from tocsin.cli.status_lines import reason as status_reason
from tocsin.signals import PRIORITIES

REMEMBERED = 20  # intervals of a sparkline
_BARS = "▁▂▃▄▅▆▇█"
_PLAIN_BARS = "_.:-=+*#"


@dataclass(frozen=True)
class Lane:
    """One destination, as the screen shows it. Ages are seconds; `rates` are deliveries a second, the newest last."""

    name: str
    kind: str
    condition: str
    why: str  # the reason, or the last error
    about: str  # the same, and until when, what waits, and what did not arrive
    until: float | None  # seconds
    queued: tuple[int, ...]  # by priority, URGENT first
    age: float | None  # of the oldest queued delivery
    windows: tuple[Mapping[str, Any], ...]  # the limits, as in the status
    rates: tuple[float, ...]
    sent: int
    dead: int

    @property
    def waiting(self) -> int:
        """Queued deliveries of all priorities."""
        return sum(self.queued)

    @property
    def left(self) -> str:
        """The remaining requests of the scarcest limit, as `12/30`."""
        if not self.windows:
            return "-"
        scarcest = min(self.windows, key=lambda window: _number(window, "left") / max(1, _number(window, "count")))
        return f"{_number(scarcest, 'left')}/{_number(scarcest, 'count')}"


def _number(of: Mapping[str, Any], name: str) -> int:
    return int(of.get(name) or 0)


class History:
    """The number of sent deliveries of each lane in the latest statuses, with their times."""

    def __init__(self) -> None:
        self._sent: dict[str, deque[tuple[float, int]]] = {}

    def add(self, status: Mapping[str, Any], now: float) -> None:
        """Add a status of the time `now`. Where a count is lower than before, the daemon has restarted."""
        for each in status.get("destinations") or []:
            seen = self._sent.setdefault(str(each.get("name")), deque(maxlen=REMEMBERED + 1))
            sent = _number(each, "sent")
            if seen and sent < seen[-1][1]:
                seen.clear()
            seen.append((now, sent))

    def rates(self, name: str) -> tuple[float, ...]:
        """Deliveries a second between successive statuses, the newest last."""
        seen = list(self._sent.get(name, ()))
        return tuple(
            (sent - before) / (at - earlier) for (earlier, before), (at, sent) in pairwise(seen) if at > earlier
        )


def lanes(status: Mapping[str, Any], history: History) -> list[Lane]:
    """The lanes of a status, in the configuration's order."""
    held: dict[str, list[str]] = {}
    for each in status.get("held") or []:
        what = f"{_number(each, 'deliveries'):,} {each.get('reason')}"
        held.setdefault(str(each.get("destination")), []).append(what)
    sent_by = {
        name: who_sends(lane)
        for lane in (status.get("shared") or {}).get("lanes") or []
        for name in lane.get("destinations") or []
    }
    return [
        _lane(each, history, "; ".join(held.get(str(each.get("name")), ())), sent_by.get(str(each.get("name")), ""))
        for each in status.get("destinations") or []
    ]


def _lane(told: Mapping[str, Any], history: History, held: str, sent_by: str) -> Lane:
    """A lane of a status. `held`: what quiet hours and delays hold back there; `sent_by`: which host sends; for people."""
    name, queued = str(told.get("name")), told.get("queued") or {}
    reason, error = told.get("reason"), told.get("last_error")
    return Lane(
        name=name,
        kind=str(told.get("kind")),
        condition=str(told.get("condition")),
        why=_joined(str(reason or held or (f"last error: {error}" if error else "")), sent_by),
        about=_joined(held if held and not reason else status_reason(told), sent_by),
        until=told.get("until_seconds"),
        queued=tuple(_number(queued, priority) for priority in PRIORITIES),
        age=told.get("oldest_seconds"),
        windows=tuple((told.get("limits") or {}).get("windows") or ()),
        rates=history.rates(name),
        sent=_number(told, "sent"),
        dead=_number(told, "dead"),
    )


def _joined(*texts: str) -> str:
    return "; ".join(filter(None, texts))


_WELL = frozenset({"ready", "limited"})
_ORDERS: Mapping[str, Callable[[Lane], Any]] = {
    "file": lambda _: 0,
    "queued": lambda lane: -lane.waiting,
    "age": lambda lane: -(lane.age or 0.0),
    "rate": lambda lane: -(lane.rates[-1] if lane.rates else 0.0),
    "name": lambda lane: lane.name,
}
ORDERS = tuple(_ORDERS)  # "file" is the order of the configuration


def ordered(found: Sequence[Lane], order: str) -> list[Lane]:
    """Lanes sorted by one of ORDERS; the sort is stable."""
    return sorted(found, key=_ORDERS[order])


def busiest(found: Sequence[Lane]) -> int:
    """The place of the lane that needs the operator most: the most waiting; else one that is not ready; else the fastest."""
    urgency = [(lane.waiting, lane.condition not in _WELL, lane.rates[-1] if lane.rates else 0.0) for lane in found]
    return urgency.index(max(urgency)) if urgency else 0


def sparkline(rates: Sequence[float], width: int, *, plain: bool = False) -> str:
    """The newest `width` rates as bars, scaled to the highest; `plain` uses ASCII only."""
    bars = _PLAIN_BARS if plain else _BARS
    shown = rates[-width:]
    most = max(shown, default=0.0)
    if most <= 0:
        return (bars[0] * len(shown)).rjust(width)
    return "".join(bars[round(max(0.0, rate) / most * (len(bars) - 1))] for rate in shown).rjust(width)
