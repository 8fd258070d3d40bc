"""A scope of the engine in memory: the same steps as `shared.scope_scripts`. Times are milliseconds."""

from __future__ import annotations

from math import inf

from tocsin.ids import new_id
from tocsind.shared.engine import FULL_MS, GONE_MS, MAX_REQUESTS, SEEN_MS, SETTLING_MS, Question, Room


class MemoryScope:
    """The requests of all hosts into one scope. `now` is when the scope was made."""

    def __init__(self, now: int) -> None:
        self.state = b""
        self._epoch, self._since = new_id(), now
        self._log: dict[str, float] = {}  # request -> when it was answered; infinite: in flight
        self._hosts: dict[str, int] = {}
        self._urgent_until = 0

    def ask(self, question: Question, now: int) -> Room:
        """As `Engine.ask`."""
        self._hosts[question.host] = now
        self._close(question, now)
        wait = self._wait(question, now)
        if question.takes:
            if not question.expedited and now < self._urgent_until:
                wait = max(wait, FULL_MS)
            if wait == 0:
                self._log[question.request] = inf
            if question.expedited:
                self._urgent_until = now + wait + 5 * FULL_MS if wait else 0
        longest = max((window.per for window in question.windows), default=0)
        requests = [(name, int(at)) for name, at in self._log.items() if now - longest < at <= now]
        hosts = sum(at >= now - SEEN_MS for at in self._hosts.values())
        return Room(wait, now, self._epoch, hosts, requests, self.state)

    def answered(self, request: str, at: int | None) -> None:
        """As `Engine.answered`, with the time of the answer."""
        self._log.pop(request, None)
        if at is not None:
            self._log[request] = at
            self._log = dict(sorted(self._log.items(), key=lambda pair: pair[1])[-MAX_REQUESTS:])

    def recall(self, request: str, at: float) -> None:
        """As `Engine.recall`, for one request."""
        if self._is_open(request):
            self._log[request] = at

    def _is_open(self, request: str) -> bool:
        """Whether no answer of it is known."""
        return self._log.get(request, inf) == inf

    def _close(self, question: Question, now: int) -> None:
        for name in [name for name in self._log if self._is_open(name) and name != question.request]:
            host = name.partition("/")[0]
            if host == question.host or now - self._hosts.get(host, 0) > GONE_MS:
                self._log[name] = now

    def _wait(self, question: Question, now: int) -> int:
        waits = [0, int(question.epoch != self._epoch)]
        if not question.alone or len(self._hosts) > 1:
            waits.append(self._since + SETTLING_MS - now)
        for count, per, others, borrow in question.windows:
            waits.append(self._needs(count, per, now, list(self._log), but=question.request))
            if question.takes and not question.expedited:
                names = [name for name in self._log if not name.endswith("/1")]
                waits.append(self._needs(others, per - borrow, now, names, but=question.request))
        return max(waits)

    def _needs(self, allowed: int, per: int, now: int, names: list[str], but: str) -> int:
        """Milliseconds until one more of these requests has room."""
        open_ = sum(self._is_open(name) for name in names if name != but)
        used = sorted(at for at in map(self._log.__getitem__, names) if now - per < at <= now)
        surplus = len(used) + open_ - allowed
        if open_ >= allowed:
            return FULL_MS
        return int(used[surplus]) + per - now if surplus >= 0 else 0
