"""A scenario is one run, to the last instant: a model, a workload, a sender, what disturbs it, and a seed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from typing import NamedTuple, Protocol

from .baselines import HeadersOnly, OneEach
from .host import Host
from .journal import Rules
from .record import RunRecord
from .server import Model, Server
from .signals import Signal
from .tocsin import by_priority, first_come
from .wire import SPIKES, Wire
from .workloads import LENGTH, WORKLOADS, signals
from .world import BEGIN, World

HOUR = 3600.0  # the most by which the server's clock differs
HORIZON = 6 * HOUR  # signals that are not accepted by then count as lost
AT_FIRST = 90.0  # half of the kills fall into these first seconds, in which a burst is sent


class Sender(Protocol):
    """A sender under test."""

    def hand(self, signal: Signal) -> None:
        """Accept a signal of a program."""


class Foreign(NamedTuple):
    """Others who post in the channel: so many a minute, so many at a time."""

    a_minute: float
    at_a_time: int = 1


class Scenario(NamedTuple):
    """One run."""

    model: Model
    workload: str
    seed: int
    sender: str = "tocsin"
    webhooks: int = 1
    keys: int = 1
    kills: int = 0
    foreign: Foreign | None = None
    rules: Rules = Rules()
    spikes: float = SPIKES

    def __str__(self) -> str:
        disturbed = [f"--kills {self.kills}"] if self.kills else []
        if self.foreign:
            disturbed.append(f"--foreign {self.foreign.a_minute:g}/{self.foreign.at_a_time}")
        return " ".join(
            [
                "python -m tests.simulator",
                f"--seed {self.seed} --model {self.model} --workload '{self.workload}' --sender '{self.sender}'",
                f"--webhooks {self.webhooks} --keys {self.keys}",
                *disturbed,
            ]
        )


def tocsin(world: World, wire: Wire, scenario: Scenario) -> Sender:
    return Host(world, wire, scenario.rules, scenario.webhooks, by_priority)


def without_priorities(world: World, wire: Wire, scenario: Scenario) -> Sender:
    return Host(world, wire, scenario.rules, scenario.webhooks, first_come)


SENDERS: dict[str, Callable[[World, Wire, Scenario], Sender]] = {
    "tocsin": tocsin,
    "headers only": lambda world, wire, _: HeadersOnly(world, wire),
    "one each": lambda world, wire, _: OneEach(world, wire),
    "first come": without_priorities,
}


def run(scenario: Scenario, tell: Callable[[float, str], None] | None = None) -> RunRecord:
    """What became of it."""
    chance = {name: Random(f"{scenario.seed} {name}") for name in ("workload", "foreign", "kills")}
    world, record = World(scenario.seed), RunRecord(tell)
    server = Server(scenario.model, ahead(scenario.seed))
    sender = SENDERS[scenario.sender](world, Wire(world, server, record, scenario.spikes), scenario)
    offers = WORKLOADS[scenario.workload](chance["workload"])
    handed = signals(offers, chance["workload"], BEGIN, scenario.webhooks, scenario.keys)
    for signal in handed:
        world.at(signal.at, partial(hand_over, signal, record, sender))
    if scenario.foreign:
        intrude(world, server, scenario.foreign, chance["foreign"])
    if isinstance(sender, Host):
        for at in kills(scenario.kills, chance["kills"]):
            world.at(at, sender.kill)
    world.run(BEGIN + HORIZON, enough=lambda: record.banned or (record.signals == len(handed) and not record.lost))
    return record


def ahead(seed: int) -> float:
    """By how much the server's clock stands before ours: only its phase matters, so an hour behind is an hour less than two."""
    return Random(f"{seed} server").uniform(0.0, 2 * HOUR)


def hand_over(signal: Signal, record: RunRecord, sender: Sender) -> None:
    """A program raises a signal."""
    record.handed(signal)
    sender.hand(signal)


def kills(count: int, chance: Random) -> list[float]:
    """When the power goes off."""
    return [BEGIN + chance.uniform(0.0, AT_FIRST if n % 2 == 0 else LENGTH) for n in range(count)]


def intrude(world: World, server: Server, foreign: Foreign, chance: Random) -> None:
    """Let others post, for ever."""

    def some() -> None:
        for _ in range(foreign.at_a_time):
            world.after(chance.uniform(0.0, 1.0), lambda: server.foreign(world.now))
        world.after(chance.expovariate(foreign.a_minute / foreign.at_a_time / 60.0), some)

    world.after(chance.uniform(0.0, 60.0), some)
