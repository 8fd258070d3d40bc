"""A host's way to the engine that all hosts share: it takes time, and it may be cut."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from enum import Enum
from random import Random
from typing import Final, NoReturn, TypeVar

from tocsind.shared.engine import (
    UNKNOWN_START,
    Account,
    EngineAway,
    Item,
    Learned,
    Noted,
    Question,
    Refused,
    Room,
    Seen,
    Settled,
    Start,
    Stored,
    Tended,
)
from tocsind.testing.engine import MemoryEngine

from .life import Life

T = TypeVar("T")
SILENCE: Final = 3.0  # s, after which a host gives up on an answer
THERE: Final = 0.0002, 0.002  # s, and the same back


class Cut(Enum):
    """What of a question and its answer is lost."""

    NOTHING = "nothing"
    QUESTIONS = "questions"  # the question, without a word
    ANSWERS = "answers"  # the engine does it, and the host does not hear of it


class Way:
    """The engine, as one life of a host sees it: `tocsind.shared.engine.Engine`. `cut` belongs to the host and outlives its lives."""

    def __init__(self, engine: MemoryEngine, life: Life, cut: Callable[[], Cut], chance: Random) -> None:
        self._engine = engine
        self._life = life
        self._cut = cut
        self._chance = chance

    async def tend(
        self,
        target: str,
        host: str,
        *,
        token: str,
        wants: bool,
        alone: bool = False,
        trouble: bytes = b"",
        start: Start = UNKNOWN_START,
    ) -> Tended:
        return await self._ask(
            lambda: self._engine.tend(target, host, token=token, wants=wants, alone=alone, trouble=trouble, start=start)
        )

    async def leave(self, target: str, host: str, start: Start) -> None:
        await self._ask(lambda: self._engine.leave(target, host, start))

    async def release(self, target: str, token: str) -> None:
        await self._ask(lambda: self._engine.release(target, token))

    async def offer(self, target: str, host: str, items: Sequence[Item]) -> None:
        await self._ask(lambda: self._engine.offer(target, host, items))

    async def look(
        self, target: str, host: str, after: Mapping[int, str] | None, most: int, start: Start = UNKNOWN_START
    ) -> Seen:
        return await self._ask(lambda: self._engine.look(target, host, after, most, start))

    async def begin(
        self, target: str, token: str, ids: Sequence[str], foreign: Sequence[str], request: str, *, copies: bool = True
    ) -> list[str] | None:
        return await self._ask(lambda: self._engine.begin(target, token, ids, foreign, request, copies=copies))

    async def settle(self, target: str, token: str, settled: Settled) -> None:
        await self._ask(lambda: self._engine.settle(target, token, settled))

    async def forget(self, target: str, host: str, ids: Sequence[str]) -> None:
        await self._ask(lambda: self._engine.forget(target, host, ids))

    async def withdraw(self, target: str, ids: Sequence[str]) -> dict[str, bool]:
        return await self._ask(lambda: self._engine.withdraw(target, ids))

    async def learned(self, target: str) -> Learned:
        return await self._ask(lambda: self._engine.learned(target))

    async def report(self, target: str, requests: Mapping[str, int]) -> None:
        await self._ask(lambda: self._engine.report(target, requests))

    async def account(self, target: str, host: str, account: Account) -> None:
        await self._ask(lambda: self._engine.account(target, host, account))

    async def ask(self, scope: str, question: Question) -> Room:
        return await self._ask(lambda: self._engine.ask(scope, question))

    async def answered(self, scope: str, request: str, ago: int | None) -> None:
        await self._ask(lambda: self._engine.answered(scope, request, ago))

    async def recall(self, scope: str, requests: Mapping[str, int | None]) -> None:
        await self._ask(lambda: self._engine.recall(scope, requests))

    async def teach(self, scope: str, state: bytes) -> None:
        await self._ask(lambda: self._engine.teach(scope, state))

    async def quarantine(self, target: str, priority: int, stored: Stored) -> None:
        await self._ask(lambda: self._engine.quarantine(target, priority, stored))

    async def note(
        self, host: str, note: bytes, start: Start = UNKNOWN_START, *, leaves: bool = False
    ) -> list[Noted] | Refused:
        return await self._ask(lambda: self._engine.note(host, note, start, leaves=leaves))

    async def hosts(self) -> list[Noted]:
        return await self._ask(self._engine.hosts)

    async def claim(self, about: str, host: str, seconds: float) -> bool:
        return await self._ask(lambda: self._engine.claim(about, host, seconds))

    async def try_out(self, name: str) -> None:
        await self._ask(lambda: self._engine.try_out(name))

    async def complaints(self) -> list[str]:
        return await self._ask(self._engine.complaints)

    async def wait(self, targets: Sequence[str], host: str) -> Collection[str]:
        await self._life.step()
        if self._cut() is not Cut.NOTHING:
            raise EngineAway("it hung up")
        found = await self._engine.wait(targets, host)
        await self._life.step(self._chance.uniform(*THERE))
        return found

    async def aclose(self) -> None:
        """Nothing is open."""

    async def _ask(self, question: Callable[[], Awaitable[T]]) -> T:
        await self._life.step(self._chance.uniform(*THERE))
        if self._cut() is Cut.QUESTIONS:
            await self._wait_in_vain()
        answer = await question()
        if self._cut() is not Cut.NOTHING:
            await self._wait_in_vain()
        await self._life.step(self._chance.uniform(*THERE))
        return answer

    async def _wait_in_vain(self) -> NoReturn:
        await self._life.step(SILENCE)
        raise EngineAway("no answer")
