"""Who hands over what and when. Each workload is a function of chance alone; its name is what the command line and the tables call it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from random import Random

from tocsind.policy.delivery import Priority

from .signals import Signal

URGENT, HIGH, NORMAL, LOW = Priority
MINUTE = 60.0
LENGTH = 15 * MINUTE  # of a steady workload
SIZES = 120, 450  # code points: ten of them always fit

Offer = tuple[float, Priority]  # seconds from the beginning
Workload = Callable[[Random], Iterator[Offer]]


def burst(_: Random) -> Iterator[Offer]:
    """500 in one moment."""
    yield from ((0.0, NORMAL) for _ in range(500))


def steady(rate: float, length: float = LENGTH, priority: Priority = NORMAL) -> Workload:
    """So many a second, as an exponential wait between them would have it."""

    def offers(random: Random) -> Iterator[Offer]:
        at = random.expovariate(rate)
        while at < length:
            yield at, priority
            at += random.expovariate(rate)

    return offers


def bars(random: Random) -> Iterator[Offer]:
    """60 within a few milliseconds at each minute: so many strategies saw the bar close."""
    for minute in range(15):
        yield from ((minute * MINUTE + random.uniform(0.0, 0.005), NORMAL) for _ in range(60))


def first_ten(random: Random) -> Iterator[Offer]:
    """Ten alerts of a channel that was quiet, one by one: all at once in one run, ten seconds apart in another."""
    apart = random.choice((0.0, 0.1, 0.3, 0.6, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0))
    yield from ((place * apart * random.uniform(0.9, 1.1), NORMAL) for place in range(10))


def mixed(random: Random) -> Iterator[Offer]:
    """One a second of every priority, most of them LOW, and a burst of 100 now and then."""
    priorities, weights = list(Priority), (2, 8, 30, 60)
    for at, _ in steady(1.0)(random):
        yield at, random.choices(priorities, weights)[0]
    for _ in range(4):
        at = random.uniform(0.0, LENGTH)
        yield from ((at, random.choice((NORMAL, LOW))) for _ in range(100))


def backlog(urgent: int, length: float = 10 * MINUTE) -> Workload:
    """1,000 LOW at once and three a second behind them, so that they never run out; `urgent` at random instants of each minute."""

    def offers(random: Random) -> Iterator[Offer]:
        yield from ((0.0, LOW) for _ in range(1000))
        yield from steady(3.0, length, LOW)(random)
        for minute in range(int(length / MINUTE)):
            yield from ((minute * MINUTE + random.uniform(0.0, MINUTE), URGENT) for _ in range(urgent))

    return offers


WORKLOADS: dict[str, Workload] = {
    "burst of 500": burst,
    "1/s": steady(1.0),
    "4/s": steady(4.0),
    "bar closes": bars,
    "first ten": first_ten,
    "mixed": mixed,
    "backlog, 4 urgent": backlog(4),
    "backlog, 10 urgent": backlog(10),
}


def signals(offers: Iterable[Offer], random: Random, begin: float, webhooks: int = 1, keys: int = 1) -> list[Signal]:
    """As they are accepted: in order of time, to any of the webhooks."""
    return [
        Signal(
            number,
            begin + at,
            priority,
            webhook=random.randrange(webhooks),
            size=random.randint(*SIZES),
            key=random.randrange(keys),
        )
        for number, (at, priority) in enumerate(sorted(offers))
    ]
