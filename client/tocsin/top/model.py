"""What a status says of each lane, and what a number of them say of its pace."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tocsin.signals import PRIORITIES

REMEMBERED = 20  # intervals of a sparkline
_BARS = "▁▂▃▄▅▆▇█"
_PLAIN_BARS = "_.:-=+*#"


@dataclass(frozen=True)
class Lane:
    """One destination, as a line of the screen shows it. Ages are seconds; `rates` are deliveries a second, the newest last."""

    name: str
    kind: str
    condition: str
    why: str  # the reason, or the last error, and until when
    until: float | None
    queued: tuple[int, ...]  # by priority, URGENT first
    age: float | None  # of what waits longest
    windows: tuple[Mapping[str, Any], ...]  # the gate's budget, as the status has it
    rates: tuple[float, ...]
    sent: int
    dead: int

    @property
    def waiting(self) -> int:
        """In all priorities."""
        return sum(self.queued)

    @property
    def left(self) -> str:
        """What is left of the scarcest limit, as `12/30`."""
        if not self.windows:
            return "-"
        scarcest = min(self.windows, key=lambda window: _number(window, "left") / max(1, _number(window, "count")))
        return f"{_number(scarcest, 'left')}/{_number(scarcest, 'count')}"


def _number(of: Mapping[str, Any], name: str) -> int:
    return int(of.get(name) or 0)


class History:
    """Statuses, one after the other; what is kept of them is how many each lane had sent, and when."""

    def __init__(self) -> None:
        self._sent: dict[str, deque[tuple[float, int]]] = {}

    def add(self, status: Mapping[str, Any], now: float) -> None:
        """One more, of the instant `now`. A lane that has sent less than before belongs to a daemon that started anew."""
        for each in status.get("destinations") or []:
            seen = self._sent.setdefault(str(each.get("name")), deque(maxlen=REMEMBERED + 1))
            sent = _number(each, "sent")
            if seen and sent < seen[-1][1]:
                seen.clear()
            seen.append((now, sent))

    def rates(self, name: str) -> tuple[float, ...]:
        """Deliveries a second between each two statuses, the newest last."""
        seen = list(self._sent.get(name, ()))
        return tuple(
            (sent - before) / (at - earlier) for (earlier, before), (at, sent) in pairwise(seen) if at > earlier
        )


def lanes(status: Mapping[str, Any], history: History) -> list[Lane]:
    """The lanes of a status, in the configuration's order."""
    return [_lane(each, history) for each in status.get("destinations") or []]


def _lane(told: Mapping[str, Any], history: History) -> Lane:
    name, queued = str(told.get("name")), told.get("queued") or {}
    reason, error = told.get("reason"), told.get("last_error")
    return Lane(
        name=name,
        kind=str(told.get("kind")),
        condition=str(told.get("condition")),
        why=str(reason or (f"last error: {error}" if error else "")),
        until=told.get("until_seconds"),
        queued=tuple(_number(queued, priority) for priority in PRIORITIES),
        age=told.get("oldest_seconds"),
        windows=tuple((told.get("limits") or {}).get("windows") or ()),
        rates=history.rates(name),
        sent=_number(told, "sent"),
        dead=_number(told, "dead"),
    )


_ORDERS: Mapping[str, Callable[[Lane], Any]] = {
    "file": lambda _: 0,
    "queued": lambda lane: -lane.waiting,
    "age": lambda lane: -(lane.age or 0.0),
    "rate": lambda lane: -(lane.rates[-1] if lane.rates else 0.0),
    "name": lambda lane: lane.name,
}
ORDERS = tuple(_ORDERS)  # as the configuration has them, and by what


def ordered(found: Sequence[Lane], order: str) -> list[Lane]:
    """Lanes by one of ORDERS; equals stay as the configuration has them."""
    return sorted(found, key=_ORDERS[order])


def sparkline(rates: Sequence[float], width: int, *, plain: bool = False) -> str:
    """The newest `width` rates as bars, the highest of them full; `plain` keeps to ASCII."""
    bars = _PLAIN_BARS if plain else _BARS
    shown = rates[-width:]
    most = max(shown, default=0.0)
    if most <= 0:
        return (bars[0] * len(shown)).rjust(width)
    return "".join(bars[round(max(0.0, rate) / most * (len(bars) - 1))] for rate in shown).rjust(width)
