"""The test's record of a run, which no sender sees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from tocsind.policy.delivery import Priority

from .server import USER
from .signals import Signal
from .world import BEGIN

BAN = 10_000, 600.0  # invalid requests in so many seconds, and Cloudflare bans the address


class RunRecord:
    """Counts of a run. `tell` receives a line for each event."""

    def __init__(self, tell: Callable[[float, str], None] | None = None) -> None:
        self.signals = 0
        self.requests = 0
        self.refused: Counter[str] = Counter()  # by scope
        self.waits: dict[
            Priority, list[tuple[float, float]]
        ] = {}  # handed over at, and seconds until the server accepted
        self.finished = 0.0
        self.copies = 0
        self.overtaken = 0
        self.banned = False
        self._tell = tell
        self._waiting: dict[int, Signal] = {}
        self._last: dict[tuple[int, int, Priority, int], int] = {}
        self._invalid: list[float] = []

    @property
    def lost(self) -> int:
        """Handed over, and not accepted yet."""
        return len(self._waiting)

    def handed(self, signal: Signal) -> None:
        """A program handed it over."""
        self.signals += 1
        self._waiting[signal.number] = signal

    def sent(self, now: float, batch: Sequence[Signal]) -> None:
        """A request left."""
        self.requests += 1
        self.note(now, f"send {_words(batch)}")

    def answered(self, now: float, batch: Sequence[Signal], refused_by: str | None) -> None:
        """The server made up its mind."""
        if refused_by is not None:
            self.note(now, f"429 {refused_by} for {_words(batch)}")
            self.refused[refused_by] += 1
            self._watch_for_ban(now, refused_by)
            return
        for signal in batch:
            self._accepted(now, signal)

    def note(self, now: float, line: str) -> None:
        """Something for the story."""
        if self._tell is not None:
            self._tell(now, line)

    def _accepted(self, now: float, signal: Signal) -> None:
        if self._waiting.pop(signal.number, None) is None:
            self.copies += 1
            return
        kind = signal.host, signal.webhook, signal.priority, signal.key
        self.overtaken += signal.number < self._last.get(kind, -1)
        self._last[kind] = signal.number
        self.waits.setdefault(signal.priority, []).append((signal.at, now - signal.at))
        self.finished = now

    def _watch_for_ban(self, now: float, scope: str) -> None:
        if scope == USER:
            self._invalid.append(now)
            count, seconds = BAN
            self.banned = self.banned or (len(self._invalid) >= count and self._invalid[-count] > now - seconds)


def _words(batch: Sequence[Signal]) -> str:
    counts = Counter(signal.priority for signal in batch)
    return ", ".join(f"{n} {priority.label}" for priority, n in sorted(counts.items()))


def waits(records: Iterable[RunRecord], priority: Priority, after: float = 0.0) -> list[float]:
    """Seconds from hand-off to acceptance of the signals of one priority that were handed over `after` seconds into the run, or later."""
    return [wait for record in records for at, wait in record.waits[priority] if at >= BEGIN + after]
