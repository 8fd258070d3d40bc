"""Webhooks of one channel of Discord in virtual time, in place of the HTTP client. The destination, its messages and its table of answers
are real.

The server counts a request at an instant between its sending and its answer, whatever becomes of the host meanwhile.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import Final

import msgspec
import trio
from tests.simulator.record import RunRecord
from tests.simulator.server import Answer as Verdict
from tests.simulator.server import Server
from tests.simulator.signals import Signal
from tests.simulator.wire import draw

from tocsind.destinations.http import Answer, Body, Failure, HttpClient
from tocsind.secret import Secret
from tocsind.testing.reader import alerts_in

from .life import Life

URL: Final = "https://discord.com/api/webhooks/10000000000000000{}/" + "t" * 68  # of a webhook, by number
TITLE: Final = "alert {}"
_NUMBER: Final = re.compile("[0-9]+")


class Discord:
    """The far end of all hosts. `marked` counts arrivals of a signal that say that it may have come before."""

    def __init__(self, server: Server, record: RunRecord, nursery: trio.Nursery, chance: Random, spikes: float) -> None:
        self.record = record
        self.arrivals: Counter[int] = Counter()
        self.marked: Counter[int] = Counter()
        self.signals: dict[int, Signal] = {}
        self._server = server
        self._nursery = nursery
        self._chance = chance
        self._spikes = spikes
        self._messages = 0

    @property
    def unmarked_copies(self) -> int:
        """How many arrivals were not the first and do not say so. (A mark without an earlier arrival is harmless.)"""
        return sum(max(0, n - 1 - self.marked[number]) for number, n in self.arrivals.items())

    async def post(self, webhook: int, body: Body) -> Verdict:
        """One message."""
        self.record.requests += 1
        latency = draw(self._chance, self._spikes)
        counted_after = self._chance.uniform(0.0, latency)
        found: list[Verdict] = []
        answered = trio.Event()

        async def count() -> None:
            await trio.sleep(counted_after)
            found.append(self._counted(webhook, body))
            await trio.sleep(latency - counted_after)
            answered.set()

        self._nursery.start_soon(count)
        await answered.wait()
        return found[0]

    def next_id(self) -> str:
        self._messages += 1
        return str(200000000000000000 + self._messages)

    def _counted(self, webhook: int, body: Body) -> Verdict:
        now = trio.current_time()
        alerts = alerts_in(msgspec.json.decode(b"".join(body.parts)))
        numbers = [int(found[0]) for each in alerts if (found := _NUMBER.search(each.title))]
        batch = [self.signals[number] for number in numbers]
        verdict = self._server.ask(webhook, now)
        self.record.answered(now, batch, verdict.scope)
        if verdict.passed:
            self.arrivals.update(numbers)
            self.marked.update(number for number, each in zip(numbers, alerts, strict=True) if each.doubt)
        return verdict


class Connection(HttpClient):
    """The HTTP client of one life of a host."""

    def __init__(self, discord: Discord, life: Life) -> None:
        self._discord = discord
        self._life = life

    async def request(
        self,
        method: str,
        url: Secret,
        *,
        body: Body | None = None,
        headers: Mapping[str, str | Secret] | None = None,
        deadline: float = 15.0,
    ) -> Answer | Failure:
        del method, headers, deadline  # it answers in time
        await self._life.step()
        if body is None:  # which channel is it?
            return _answer(200, {"channel_id": "300000000000000001", "name": "alerts"})
        verdict = await self._discord.post(int(url.reveal().split("/")[-2][-1]), body)
        await self._life.step()
        told = {}
        if verdict.told is not None:
            told = {
                "x-ratelimit-limit": str(verdict.told.limit),
                "x-ratelimit-remaining": str(verdict.told.remaining),
                "x-ratelimit-reset-after": f"{verdict.told.reset_after:.3f}",
            }
        if verdict.passed:
            return _answer(200, {"id": self._discord.next_id()}, told)
        refusal = {"message": "You are being rate limited.", "retry_after": verdict.wait, "global": False}
        return _answer(
            429, refusal, {**told, "x-ratelimit-scope": verdict.scope or "", "retry-after": str(verdict.wait)}
        )


def _answer(status: int, body: object, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status, headers or {}, msgspec.json.encode(body))
