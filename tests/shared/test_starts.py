"""The contract of the engine about starts of one host: a lease belongs to one start, and a second one that lives is refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
from tests.harness import PATIENCE
from tests.shared.conftest import RedisServer
from tests.shared.looks import news

from tocsind.config.shared import EngineAddress
from tocsind.shared.engine import Done, Engine, Item, Refused, Settled, Start, Tended
from tocsind.shared.redis_engine import RedisEngine

T, A, B = "target", "host-a", "host-b"
FIRST, SECOND = Start("aa", "10", 7), Start("bb", "10", 7)


async def tend(engine: Engine, start: Start, token: str = f"{A}:0", host: str = A) -> Tended:
    return await engine.tend(T, host, token=token, wants=True, start=start)


async def lease_of(engine: Engine, start: Start) -> str:
    """The token of host A's lease, when this start has got it."""
    with trio.fail_after(PATIENCE):
        while not (found := await tend(engine, start)).token.endswith(f".{start.token}"):  # noqa: ASYNC110 - the engine does not tell
            await trio.sleep(0.1)
    return found.token


async def accepted(step: Callable[[], Awaitable[Refused | None]]) -> set[int]:
    """Repeat this step until the engine does not refuse it. When it saw the other start, as it said meanwhile."""
    seen = set()
    with trio.fail_after(PATIENCE):
        while refused := await step():
            assert not refused.is_ahead
            seen.add(refused.seen)
            await trio.sleep(0.1)
    return seen


async def test_engine_refuses_a_second_live_start_and_does_nothing_for_it(engine: Engine) -> None:
    token = await lease_of(engine, FIRST)
    before = await engine.tend(T, B, token="", wants=False)
    refused = await tend(engine, SECOND, token)
    assert refused.refused == Refused(refused.refused.seen if refused.refused else 0)
    assert (refused.token, refused.epoch) == ("", "")
    assert (await tend(engine, FIRST, token)).token == token
    assert await engine.begin(T, token, [], [], "r") == []
    after = await engine.tend(T, B, token="", wants=False)
    assert (after.token, sorted(after.seen)) == (before.token, [A, B])


async def test_refusal_says_when_the_other_start_was_seen_last(engine: Engine) -> None:
    token = await lease_of(engine, FIRST)
    times = []
    for _ in range(2):
        await trio.sleep(0.01)
        await tend(engine, FIRST, token)
        found = (await tend(engine, SECOND)).refused
        assert found
        times.append(found.seen)
    assert times[0] < times[1]


async def test_start_is_accepted_when_the_lease_of_a_killed_one_has_ended(engine: Engine) -> None:
    old = await lease_of(engine, FIRST)

    async def step() -> Refused | None:
        return (await tend(engine, SECOND, "")).refused

    assert len(await accepted(step)) <= 1, "a start that was killed is not seen again"
    assert await engine.begin(T, old, [], [], "r") is None
    assert (await tend(engine, FIRST, old)).refused, "now it is the one that comes second"
    assert await lease_of(engine, SECOND) != old


async def test_start_is_accepted_at_once_after_the_end_of_the_one_before(engine: Engine) -> None:
    await engine.release(T, await lease_of(engine, FIRST))
    await engine.leave(T, A, SECOND)
    assert (await tend(engine, SECOND)).refused, "only a start itself says that it ends"
    await engine.leave(T, A, FIRST)
    assert (await tend(engine, SECOND)).refused is None


async def test_start_with_fewer_commits_of_the_same_journal_is_refused_for_good(engine: Engine) -> None:
    await tend(engine, Start("aa", "10", 7))
    await engine.leave(T, A, Start("aa", "10", 8))
    refused = (await tend(engine, Start("bb", "10", 7))).refused
    assert refused
    assert refused.is_ahead
    assert (await tend(engine, Start("bb", "20", 1))).refused is None, "another journal, as after its recovery"
    assert (await tend(engine, Start("bb", "20", 0))).refused is None, "its own start"


async def test_start_of_another_version_is_not_compared(engine: Engine) -> None:
    await tend(engine, FIRST)
    assert (await tend(engine, Start())).refused is None
    assert (await tend(engine, SECOND)).refused


async def test_token_of_a_lease_names_the_start_that_got_it(engine: Engine) -> None:
    await lease_of(engine, FIRST)
    found = await engine.tend(T, B, token="", wants=False)
    assert not found.is_of_other_start(A, FIRST)
    assert found.is_of_other_start(A, SECOND)
    assert not found.is_of_other_start(B, SECOND), "it is another host's"


async def test_news_are_for_the_start_that_takes_part(engine: Engine) -> None:
    token = await lease_of(engine, FIRST)
    await engine.offer(T, A, [Item(f"{A}/1", 2, b"body", "")])
    await engine.settle(T, token, Settled(done=[Done(f"{A}/1", A, b"sent")]))
    assert (await engine.look(T, A, {}, 10, SECOND)).news == []
    assert (await engine.look(T, A, {}, 10, FIRST)).news == await news(engine, A) != []


async def test_note_of_a_second_live_start_is_refused(engine: Engine) -> None:
    assert await engine.note(A, b"first", FIRST) == []
    assert isinstance(await engine.note(A, b"second", SECOND), Refused)
    assert [each.note for each in await engine.hosts()] == [b"first"]
    assert await engine.note(B, b"b", SECOND) == []


async def test_note_of_the_next_start_is_written_when_the_one_before_has_left(engine: Engine) -> None:
    assert await engine.note(A, b"first", FIRST, leaves=True) == []
    assert await engine.note(A, b"second", SECOND) == []
    behind = await engine.note(A, b"third", Start("cc", "10", 6))
    assert isinstance(behind, Refused)
    assert behind.is_ahead
    assert [each.note for each in await engine.hosts()] == [b"second"]


@pytest.mark.parametrize("strange", ["", "x", "aa 10", "aa 10 -1", "aa 10 7 8", "zz 10 9", "\x00" * 100])
async def test_start_that_a_stranger_wrote_stops_no_host(redis_server: RedisServer, strange: str) -> None:
    engine = RedisEngine(EngineAddress(path=str(redis_server.socket)))
    for key in (f"tocsin:{{{T}}}", "tocsin:{hosts}"):
        redis_server.command("HSET", f"{key}:starts", A, strange.replace("\x00", "%00"))
    assert (await tend(engine, FIRST)).refused is None
    assert await engine.note(A, b"note", FIRST) == []
    await engine.aclose()


async def test_host_that_was_seen_in_the_future_is_not_waited_for(redis_server: RedisServer) -> None:
    engine = RedisEngine(EngineAddress(path=str(redis_server.socket)))
    await tend(engine, FIRST)
    redis_server.command("ZADD", f"tocsin:{{{T}}}:hosts", "9" * 15, A)
    assert (await tend(engine, SECOND)).refused is None
    await engine.aclose()


async def test_starts_of_hosts_that_are_gone_are_forgotten(redis_server: RedisServer) -> None:
    engine = RedisEngine(EngineAddress(path=str(redis_server.socket)))
    await tend(engine, FIRST)
    assert isinstance(await engine.note(A, b"note", FIRST), list)
    for key in (f"tocsin:{{{T}}}:hosts", "tocsin:{hosts}:seen"):
        redis_server.command("ZADD", key, "1", A)
    await tend(engine, SECOND, host=B)
    assert await engine.note(B, b"note", SECOND) == []
    for key in (f"tocsin:{{{T}}}:starts", "tocsin:{hosts}:starts"):
        assert redis_server.command("HKEYS", key) == B
    assert int(redis_server.command("TTL", "tocsin:{hosts}:starts")) > 86_000
    await engine.aclose()
