"""The view that a host has of an engine."""

from __future__ import annotations

from tocsind.policy.delivery import Priority
from tocsind.shared.engine import Done, Engine, Stored

T, A = "target", "host-a"


async def read(engine: Engine, priority: int = Priority.NORMAL, after: str = "", most: int = 10) -> list[Stored]:
    """The items of a priority."""
    seen = await engine.look(T, A, {priority: after}, most)
    return [stored for of, stored in seen.items if of == priority]


async def news(engine: Engine, host: str = A) -> list[Done]:
    """The ended items of a host."""
    seen = await engine.look(T, host, None, 10)
    assert not seen.items
    return list(seen.news)
