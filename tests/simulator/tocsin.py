"""A sender with tocsin's pacing: the policy under test, with the rules of a lane and a journal that outlives it.

The lanes of one channel take turns: one request in flight; of those that may go, the one with the highest priority goes. A batch is formed
when the limiter opens. A kill leaves the journal: signals that are not settled, the times of responses, and the limits that were learned by
the last response. A request in flight counts as answered at the restart, and is repeated.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import chain, islice
from typing import NamedTuple

from tocsind.policy.batch import Batch, Footprint, form
from tocsind.policy.delivery import Priority
from tocsind.policy.limiter import Limiter, is_expedited
from tocsind.policy.outcomes import Cause, Deferred, Delivered, Outcome, Reach, Report
from tocsind.policy.rate_limits import ChannelLimit, HostLimit, SavedLimit, WebhookLimit

from .journal import Journal, Request, Rules
from .server import SHARED, USER, Answer
from .signals import Signal
from .wire import Wire
from .world import World

EMBEDS, ROOM = 10, 6000  # of a message: embeds, and code points over all of them
WINDOW = 64  # of a priority's queue are in memory


class Lane:
    """One webhook: its limiter and its queue."""

    def __init__(self, webhook: int, limiter: Limiter) -> None:
        self.webhook = webhook
        self.limiter = limiter
        self.waiting: dict[Priority, deque[Signal]] = {priority: deque() for priority in Priority}

    def window(self) -> list[Signal]:
        """What could go next, in order."""
        return list(chain.from_iterable(islice(queue, WINDOW) for queue in self.waiting.values()))


class Offer(NamedTuple):
    """What a lane would send, at which priority, and when."""

    when: float
    priority: Priority
    batch: list[Signal]
    lane: Lane


def by_priority(signal: Signal) -> Priority:
    """tocsin's own order."""
    return signal.priority


def first_come(_: Signal) -> Priority:
    """For a sender without priorities: all are alike, and all may use everything."""
    return Priority.HIGH


class Tocsin:
    """One run of the daemon: `hand` gives it signals. It posts as soon as its limiters permit; `kill` ends it."""

    def __init__(  # noqa: PLR0917 - put together in one place, by `host`
        self,
        world: World,
        wire: Wire,
        journal: Journal,
        rules: Rules,
        webhooks: int,
        rank: Callable[[Signal], Priority] = by_priority,
    ) -> None:
        self._world, self._wire, self._journal, self._rank = world, wire, journal, rank
        self._channel, self._address = ChannelLimit(rules.channel), HostLimit(rules.address)
        self._lanes = [
            Lane(number, Limiter(rules.ours, WebhookLimit(rules.webhook), self._channel, self._address))
            for number in range(webhooks)
        ]
        self._in_flight = False
        self._will_look = False
        self._alive = True
        self._restore()

    def hand(self, signal: Signal) -> None:
        """A program hands it over."""
        lane = self._lanes[signal.webhook]
        lane.waiting[self._rank(signal)].append(signal)
        if is_expedited(signal.priority):
            lane.limiter.note_demand(self._world.now)
        self._look_soon()

    def kill(self) -> None:
        """Power off."""
        self._alive = False

    # --- the turn ---------------------------------------------------------------------------------------------------------

    def _look_soon(self) -> None:
        """Once, after all that is handed over at this instant: one commit of the journal holds it all."""
        if not self._will_look:
            self._will_look = True
            self._world.at(self._world.now, self._look)

    def _look(self) -> None:
        """Send what may go; when nothing may, look again when it might."""
        self._will_look = False
        if self._in_flight or not self._alive:
            return
        offers = [self._offer(lane, window) for lane in self._lanes if (window := lane.window())]
        ready = [offer for offer in offers if offer.when <= self._world.now]
        if ready:
            self._send(min(ready, key=lambda offer: (offer.priority, offer.batch[0].number)))
        elif offers:
            self._world.at(min(offer.when for offer in offers), self._look)

    def _offer(self, lane: Lane, window: list[Signal]) -> Offer:
        batch, priority = self._form(window), self._rank(window[0])
        when = lane.limiter.ready_at(self._world.now, priority, full=batch.is_full)
        return Offer(when, priority, [window[place] for place in batch.chosen], lane)

    def _form(self, window: list[Signal]) -> Batch:
        return form([Footprint(signal.size, signal.key) for signal in window], EMBEDS, ROOM)

    def _send(self, offer: Offer) -> None:
        for signal in offer.batch:
            offer.lane.waiting[self._rank(signal)].remove(signal)
        self._in_flight = True
        offer.lane.limiter.acquire(self._world.now, offer.priority)
        self._journal.requests.append(Request(offer.lane.webhook, is_expedited(offer.priority)))
        self._wire.post(offer.lane.webhook, offer.batch, lambda answer: self._answered(offer, answer))

    def _answered(self, offer: Offer, answer: Answer) -> None:
        if not self._alive:
            return
        now, limiter = self._world.now, offer.lane.limiter
        outcome = outcome_of(answer)
        limiter.on_response(
            now, offer.priority, Report((outcome,) * len(offer.batch), answer.told, invalid=answer.scope == USER)
        )
        if isinstance(outcome, Deferred):
            limiter.on_limited(now, outcome)
            for signal in reversed(offer.batch):
                offer.lane.waiting[self._rank(signal)].appendleft(signal)
        self._settle(offer, answer)
        self._in_flight = False
        self._look()

    # --- the journal ------------------------------------------------------------------------------------------------------

    def _settle(self, offer: Offer, answer: Answer) -> None:
        request = self._journal.requests.pop()
        self._journal.requests.append(request._replace(answered=self._world.now))
        self._journal.memories |= {"channel": self._channel.saved()} | {
            str(lane.webhook): lane.limiter.endpoint.saved() for lane in self._lanes
        }
        if answer.passed:
            for signal in offer.batch:
                del self._journal.open[signal.number]

    def _restore(self) -> None:
        memories = self._journal.memories
        self._channel.restore(memories.get("channel", SavedLimit()))
        for lane in self._lanes:
            lane.limiter.endpoint.restore(memories.get(str(lane.webhook), SavedLimit()))
        self._save_state()
        for signal in self._journal.open.values():
            self._lanes[signal.webhook].waiting[self._rank(signal)].append(signal)
        self._look()

    def _save_state(self) -> None:
        self._journal.reopen(self._world.now)
        for webhook, expedited, at in self._journal.requests:
            assert at is not None
            self._lanes[webhook].limiter.restore_requests(at, expedited=expedited, endpoint=True)
            self._channel.restore_request(at, expedited=expedited)


def outcome_of(answer: Answer) -> Outcome:
    """As the Discord destination would put it."""
    if answer.passed:
        return Delivered()
    reach = Reach.CHANNEL if answer.scope == SHARED else Reach.ENDPOINT
    return Deferred(f"429 {answer.scope}", Cause.LIMITED, reach, wait=answer.wait)
