"""Foreign data in the engine is put aside, and the rest goes on."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio
from tests.shared.conftest import RedisServer
from tests.shared.looks import news, read

from tocsind.config.shared import EngineAddress
from tocsind.policy.delivery import Priority
from tocsind.shared.engine import (
    LARGEST_BODY,
    LARGEST_NOTE,
    LARGEST_STATE,
    MAX_BAD,
    Account,
    Done,
    EngineAway,
    Item,
    Settled,
    Start,
)
from tocsind.shared.redis_engine import RedisEngine

T, A = "target", "host-a"
START = Start("5eed")
KEYS = ("lease", "fence", "epoch", "hosts", "trouble", "starts", "witnesses", "past", "s0", "s1", "s2", "s3")
MORE_KEYS = ("at", "open", "asked", "state", "stories", "bad", f"news:{A}")


@pytest.fixture
def engine(redis_server: RedisServer) -> RedisEngine:
    return RedisEngine(EngineAddress(path=str(redis_server.socket)))


def key(name: str) -> str:
    return f"tocsin:{{{T}}}:{name}"


async def use(engine: RedisEngine) -> list[Done]:
    """All steps of a host, once; what ended in them."""
    await engine.tend(T, A, token="", wants=False, start=START)
    tended = await engine.tend(T, A, token=f"{A}:0", wants=True, start=START)
    await engine.account(T, A, Account(tended.epoch, "before"))
    token = tended.token
    await engine.report(T, {"r0": 1})
    items = [Item(f"{A}/{priority.value}", priority, b"body", tended.epoch) for priority in Priority]
    await engine.offer(T, A, items)
    ids = [each.id for priority in Priority for each in await read(engine, priority)]
    await engine.begin(T, token, ids, [], "r")
    done = [Done(id_, A, b"sent") for id_ in ids]
    await engine.settle(T, token, Settled(done=done, request="r", state={"story x": b"1"}))
    await engine.learned(T)
    ended = await news(engine)
    await engine.forget(T, A, [each.id for each in ended])
    return ended


@pytest.mark.parametrize("name", [*KEYS, *MORE_KEYS])
async def test_a_key_of_another_type_is_put_aside_and_all_goes_on(
    engine: RedisEngine, redis_server: RedisServer, name: str
) -> None:
    await engine.tend(T, A, token="", wants=False)
    redis_server.command("DEL", key(name))
    wrong = ("LPUSH", "wrong") if name in {"lease", "fence"} else ("SET", "wrong")
    redis_server.command(wrong[0], key(name), wrong[1])
    ended: list[Done] = []
    for _ in range(3):  # the first step on the key fails
        with suppress(EngineAway):
            ended = ended or await use(engine)
    if name == "bad":
        redis_server.command("XADD", key("s2"), "*", "junk", "x")
        (stored,) = await read(engine)
        with pytest.raises(EngineAway, match="put aside"):
            await engine.quarantine(T, Priority.NORMAL, stored)
        await engine.quarantine(T, Priority.NORMAL, stored)
    assert len(ended) == len(Priority)
    assert name == "fence" or redis_server.command("EXISTS", f"{key(name)}:wrong") == "1"
    await engine.aclose()


async def test_a_lease_of_a_stranger_ends(engine: RedisEngine, redis_server: RedisServer) -> None:
    redis_server.command("SET", key("lease"), "stranger")
    redis_server.command("SET", key("fence"), "no number")
    redis_server.command("HSET", key("epoch"), "id", "x", "at", "no number")
    with trio.fail_after(30):
        while (await engine.tend(T, A, token="", wants=True)).holder != A:  # noqa: ASYNC110 - the engine does not tell
            await trio.sleep(0.1)
    await engine.aclose()


async def test_engine_reads_no_item_that_is_too_large(engine: RedisEngine, redis_server: RedisServer) -> None:
    large = LARGEST_BODY + 1
    await engine.tend(T, A, token="", wants=False)
    fill = "redis.call(ARGV[1], KEYS[1], unpack(cjson.decode((ARGV[2]:gsub('LARGE', ('x'):rep(tonumber(ARGV[3])))))))"
    for command, name, fields in (
        ("XADD", "s2", '["*", "i", "a/1", "b", "LARGE", "e", ""]'),
        ("XADD", "s2", '["*", "i", "LARGE", "b", "b", "e", ""]'),
        ("HSET", f"news:{A}", '["a", "LARGE"]'),
    ):
        assert "ERR" not in redis_server.command("EVAL", fill, "1", key(name), command, fields, str(large))
    found = await read(engine)
    assert [(each.body, each.id == each.place) for each in found] == [(b"", True), (b"", True)]
    assert await news(engine) == [Done("a", A, b"")]
    for n in range(1 + LARGEST_STATE // large):
        redis_server.command("EVAL", fill, "1", key("state"), "HSET", f'["{n}", "LARGE"]', str(large))
    assert sum(map(len, (await engine.learned(T)).state.values())) <= LARGEST_STATE
    await engine.aclose()


async def test_the_engine_keeps_a_limited_number_of_bad_items_and_the_true_item_of_the_same_id(
    engine: RedisEngine, redis_server: RedisServer
) -> None:
    epoch = (await engine.tend(T, A, token="", wants=False)).epoch
    await engine.offer(T, A, [Item(f"{A}/1", 2, b"body", epoch)])
    redis_server.command("XADD", key("s2"), "*", "i", f"{A}/1", "b", "false", "e", "")
    true, false = await read(engine)
    many = "for n = 1, tonumber(ARGV[1]) do redis.call('HSET', KEYS[1], n, '') end"
    redis_server.command("EVAL", many, "1", key("bad"), str(MAX_BAD))
    await engine.quarantine(T, 2, false)
    assert redis_server.command("HLEN", key("bad")) == str(MAX_BAD)
    await engine.settle(T, "", Settled(done=[Done(true.id, A, b"sent")]))
    assert await read(engine) == []
    await engine.aclose()


@pytest.mark.parametrize("name", ["seen", "notes", "told:it"])
@pytest.mark.parametrize("wrong", [("SET", "wrong"), ("LPUSH", "wrong"), ("HSET", "field", "wrong"), ("SADD", "wrong")])
async def test_keys_of_a_wrong_type_in_place_of_notes_are_put_aside(
    engine: RedisEngine, redis_server: RedisServer, name: str, wrong: tuple[str, ...]
) -> None:
    redis_server.command(wrong[0], f"tocsin:{{hosts}}:{name}", *wrong[1:])
    for _ in range(2):  # the first step on the key fails
        with suppress(EngineAway):
            await engine.note(A, b"here")
            await engine.claim("it", A, 60)
    assert await engine.note(A, b"here") == []
    aside = redis_server.command("KEYS", "*:wrong").split()
    assert all(int(redis_server.command("PTTL", each)) > 0 for each in aside)
    assert {each.host: each.note for each in await engine.hosts()}[A] == b"here"
    assert await engine.claim("it", A, 60) or (name, wrong[0]) == ("told:it", "SET")
    await engine.aclose()


async def test_notes_of_strangers_are_cut_and_those_of_the_future_forgotten(
    engine: RedisEngine, redis_server: RedisServer
) -> None:
    await engine.note(A, b"here")
    redis_server.command("ZADD", "tocsin:{hosts}:seen", "inf", "forever", "1e18", "later")
    redis_server.command("HSET", "tocsin:{hosts}:notes", A, "x" * (LARGEST_NOTE + 1))
    assert [len(each.note) for each in await engine.hosts() if each.host == A] == [LARGEST_NOTE]
    await engine.note("host-b", b"")
    assert {each.host for each in await engine.hosts()} == {A, "host-b"}
    await engine.aclose()
