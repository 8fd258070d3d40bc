"""Every kind of destination with its fake, as the contract suite uses them (tests/contracts/test_kinds.py).

A new kind adds one entry to `SUBJECTS`, and a subclass of Subject where its fake differs from a FakeService.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import tomli_w
import trio

from tocsin.signals import Signal
from tocsind.clock import SystemClock
from tocsind.config import Config, parse
from tocsind.delivery.lane import Lane
from tocsind.delivery.limiters import LimiterRegistry
from tocsind.destinations.http import HttpClient
from tocsind.destinations.registry import build
from tocsind.policy.delivery import Priority, State
from tocsind.testing import Drop, FakeDiscord, Poison, RateLimited, Settings, Status
from tocsind.testing.kinds import SERVICES
from tocsind.testing.kinds.apprise import QUICK as QUICK_APPRISE
from tocsind.testing.service import FakeService, serving
from tocsind.testing.store import MemoryStore

QUICK = {"limit": "1000/s", "retry": {"first": "20ms", "most": "50ms"}, "fallback": ["f"], "deadline": "30s"}


class Subject:
    """A kind, and its fake as the suite sees it."""

    facts: Mapping[str, str] = {}  # what follows a fault (test_kinds.FAULTS), where that differs from HTTP
    is_remote = True  # whether it is reached over a network
    says_why = True  # whether it can say that it is gone, or that a signal is at fault

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.fake: FakeService = SERVICES[kind]()

    def serving(self) -> AbstractAsyncContextManager[Any]:
        """The fake answers for the length of the block."""
        return serving(self.fake)

    def table(self) -> dict[str, Any]:
        """The destination's keys."""
        return self.fake.destination()

    def environment(self) -> dict[str, str]:
        """The variables that they name; all are secret."""
        return self.fake.environment()

    def variables(self) -> dict[str, str]:
        """Further variables of the daemon; none is secret."""
        return {}

    def titles(self) -> list[str]:
        """The messages that a reader sees, in order."""
        return [each.title for each in self.fake.saved]

    def texts(self) -> list[str]:
        """Everything that a reader sees of each message."""
        return [f"{each.title}\n{each.text}\n{each.body}" for each in self.fake.saved]

    def violations(self) -> list[str]:
        """What the service accepted, and no client should send."""
        return self.fake.violations

    def lose_answer(self) -> None:
        """The next message is saved, and its answer is lost."""
        self.fake.script(Drop(saved=True))

    def limit(self, wait: float) -> None:
        """The next request is one too many."""
        self.fake.script(RateLimited(retry_after=wait))

    def kill(self) -> None:
        """The destination is gone for good."""
        self.fake.dead = True

    def poison(self, text: str) -> None:
        """A message with this text is refused."""
        self.fake.poison = text

    def answer_in_html(self, status: int) -> None:
        """A proxy answers the next request."""
        self.fake.script(Status(status=status, html=True))


class DiscordSubject(Subject):
    """Discord has a fake of its own."""

    def __init__(self) -> None:
        self.kind = "discord"
        self.discord = FakeDiscord(Settings().without_limits())

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            await nursery.start(self.discord.serve)
            yield
            nursery.cancel_scope.cancel()

    def table(self) -> dict[str, Any]:
        return {"kind": "discord", "webhook": {"env": "FAKE_DISCORD"}}

    def environment(self) -> dict[str, str]:
        return {"FAKE_DISCORD": self.discord.url()}

    def titles(self) -> list[str]:
        return [embed.get("title", "") for embed in self._embeds()]

    def texts(self) -> list[str]:
        return [str(embed) for embed in self._embeds()]

    def violations(self) -> list[str]:
        return []

    def lose_answer(self) -> None:
        self.discord.script(Drop(saved=True))

    def limit(self, wait: float) -> None:
        self.discord.script(RateLimited(retry_after=wait))

    def kill(self) -> None:
        self.discord.delete()

    def poison(self, text: str) -> None:
        self.discord.script(Poison(text=text))

    def answer_in_html(self, status: int) -> None:
        self.discord.script(Status(status=status, html=True))

    def _embeds(self) -> list[dict[str, Any]]:
        return [embed for message in self.discord.messages for embed in message.payload["embeds"]]


class SilentSubject(Subject):
    """A far end that cannot say for how long it is limited."""

    facts: Mapping[str, str] = {"429": "deferred"}

    def table(self) -> dict[str, Any]:
        return {**super().table(), "breaker": {"failures": 1000}}

    def limit(self, wait: float) -> None:
        self.fake.limited_until = self.fake.clock.now() + wait


class AppriseSubject(SilentSubject):
    """Apprise, quickly: the real one is in test_kinds.FAULTS and in the destination's own tests. It says no, and never why."""

    is_remote = False
    says_why = False
    facts = dict.fromkeys(("400", "500", "redirect", "dropped", "401", "429"), "deferred")

    def variables(self) -> dict[str, str]:
        return {"PYTHONPATH": QUICK_APPRISE}


class ExecSubject(SilentSubject):
    """A command."""

    is_remote = False


SUBJECTS: dict[str, Callable[[], Subject]] = {
    "discord": DiscordSubject,
    **{kind: partial(Subject, kind) for kind in SERVICES},
    "apprise": partial(AppriseSubject, "apprise"),
    "exec": partial(ExecSubject, "exec"),
}


class KindFixture:
    """A lane over real HTTP to the fake of a kind, with a store in memory and a fallback that keeps what it gets."""

    def __init__(self, subject: Subject, lane: Lane, store: MemoryStore) -> None:
        self.subject = subject
        self.lane = lane
        self.store = store

    def owe(self, *signals: Signal | str, priority: Priority = Priority.NORMAL) -> list[int]:
        """Numbers of the deliveries."""
        made = [each if isinstance(each, Signal) else Signal(each) for each in signals]
        return [self.store.owe_signal("d", each, priority) for each in made]

    async def until_settled(self, *numbers: int) -> list[State]:
        """Wait until these deliveries wait no more; their states."""
        open_states = {State.QUEUED, State.SENDING}
        with trio.fail_after(40):
            while any(self.store.state(number) in open_states for number in numbers):  # noqa: ASYNC110 - the store has no event
                await trio.sleep(0.005)
        return [self.store.state(number) for number in numbers]


def configuration(subject: Subject, folder: Path, **keys: Any) -> str:
    """An alerts.toml with the destination `d` of the kind, and the file `f` as its fallback."""
    destinations = {"d": {**QUICK, **subject.table(), **keys}, "f": {"kind": "file", "path": str(folder / "f.jsonl")}}
    return tomli_w.dumps({"destinations": destinations, "routes": [{"to": ["d"]}]})


def parsed(subject: Subject, folder: Path, monkeypatch: Any, **keys: Any) -> Config:
    for name, value in (subject.variables() | subject.environment()).items():
        monkeypatch.setenv(name, value)
    return parse(configuration(subject, folder, **keys), "alerts.toml")


@asynccontextmanager
async def running(subject: Subject, folder: Path, monkeypatch: Any, **keys: Any) -> AsyncIterator[KindFixture]:
    """The lane serves for the length of the block. The subject's fake must be serving."""
    options = parsed(subject, folder, monkeypatch, **keys).destinations["d"]
    assert options.disabled is None
    clock = SystemClock()
    store = MemoryStore(clock, {"d": ("f",)})
    async with HttpClient() as client, trio.open_nursery() as nursery:
        destination = build(options, client, folder)
        lane = Lane(options, destination, store, LimiterRegistry(store, clock), clock, lambda _: None)
        store.lanes["d"] = lane
        await lane.restore()
        nursery.start_soon(lane.run)
        yield KindFixture(subject, lane, store)
        nursery.cancel_scope.cancel()
