"""The contract of the engine for scopes, limits that several targets share: for the one in memory and for Redis."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import trio
from tests.shared.conftest import RedisServer

from tocsind.config.shared import EngineAddress
from tocsind.secret import Secret
from tocsind.shared import engine as engines
from tocsind.shared import redis_engine
from tocsind.shared.engine import Account, Done, Engine, Item, Question, Room, Settled, Window
from tocsind.shared.redis_engine import RedisEngine
from tocsind.testing import engine_scope

SCOPE, A, B = "scope-1", "host-a", "host-b"
MINUTE = 60_000  # ms


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets times of both engines by name, so that no test waits, or has to be in time."""

    def choose(**chosen: int) -> None:
        for name, ms in chosen.items():
            for module in (redis_engine, engine_scope):
                monkeypatch.setattr(module, name, ms)

    return choose


@pytest.fixture
def settled(times: Callable[..., None]) -> None:
    """A new engine gives room at once."""
    times(SETTLING_MS=0)


def window(count: int, per: int, others: int | None = None) -> Window:
    """Without a reserve, unless it says how many requests may be others than expedited ones."""
    return Window(count, per, count if others is None else others, 0)


async def look(engine: Engine, host: str = A, request: str = "", *windows: Window) -> Room:
    """What a host sees without taking room."""
    return await engine.ask(SCOPE, Question(host, request, windows or (window(3, MINUTE),)))


async def take(engine: Engine, request: str, *windows: Window, expedited: bool = False) -> int:
    """Milliseconds to wait, 0 when there was room. Each host has reported its requests before."""
    host = request.partition("/")[0]
    epoch = (await look(engine, host)).epoch
    asked = Question(host, request, windows or (window(3, MINUTE),), epoch, takes=True, expedited=expedited)
    return (await engine.ask(SCOPE, asked)).wait


@pytest.mark.usefixtures("settled")
async def test_hosts_share_a_window_and_the_one_too_many_waits_for_the_oldest_answer(engine: Engine) -> None:
    for request, ago in ((f"{A}/1/0", 5000), (f"{B}/1/0", 2000), (f"{B}/2/1", 0)):
        assert await take(engine, request) == 0
        await engine.answered(SCOPE, request, ago)
    assert 45_000 < await take(engine, f"{A}/2/0") <= 55_000
    seen = await look(engine, B)
    assert sorted(name for name, _ in seen.requests) == [f"{A}/1/0", f"{B}/1/0", f"{B}/2/1"]
    assert seen.hosts == 2


@pytest.mark.usefixtures("settled")
async def test_a_request_in_flight_takes_room_until_it_is_answered_or_did_not_leave(engine: Engine) -> None:
    assert await take(engine, f"{A}/1/0", window(1, 1)) == 0
    assert await take(engine, f"{B}/1/0", window(1, 1)) == engines.FULL_MS
    assert (await look(engine, B, "", window(1, MINUTE))).requests == []
    await engine.answered(SCOPE, f"{A}/1/0", None)
    assert await take(engine, f"{B}/1/0", window(1, MINUTE)) == 0
    await engine.answered(SCOPE, f"{B}/1/0", 0)
    assert await take(engine, f"{A}/2/0", window(1, MINUTE)) > 50_000
    assert await take(engine, f"{A}/2/0", window(2, MINUTE)) == 0


@pytest.mark.usefixtures("settled")
async def test_every_window_must_have_room(engine: Engine) -> None:
    for n in range(2):
        assert await take(engine, f"{A}/{n}/0", window(2, MINUTE), window(30, 1000)) == 0
        await engine.answered(SCOPE, f"{A}/{n}/0", 10_000)
    assert await take(engine, f"{A}/3/0", window(30, 1000)) == 0
    await engine.answered(SCOPE, f"{A}/3/0", None)
    assert 45_000 < await take(engine, f"{A}/3/0", window(30, 1000), window(2, MINUTE)) <= 50_000


@pytest.mark.usefixtures("settled")
async def test_expedited_requests_may_use_what_others_leave(engine: Engine) -> None:
    half = window(4, MINUTE, 2)
    assert await take(engine, f"{A}/1/0", half) == 0
    assert await take(engine, f"{B}/1/0", half) == 0
    await engine.answered(SCOPE, f"{A}/1/0", 10_000)
    assert 45_000 < await take(engine, f"{A}/2/0", half) <= 50_000
    assert await take(engine, f"{A}/2/0", half._replace(borrow=51_000)) == 0
    await engine.answered(SCOPE, f"{A}/2/0", None)
    for n in range(3, 5):
        assert await take(engine, f"{A}/{n}/1", half, expedited=True) == 0
        await engine.answered(SCOPE, f"{A}/{n}/1", 0)
    assert await take(engine, f"{A}/5/1", half, expedited=True) > 45_000


@pytest.mark.usefixtures("settled")
async def test_a_host_that_asks_again_for_one_request_takes_room_once(engine: Engine) -> None:
    assert await take(engine, f"{A}/1/0", window(1, MINUTE)) == 0
    epoch = (await look(engine, A, f"{A}/1/0")).epoch
    again = Question(A, f"{A}/1/0", (window(1, MINUTE),), epoch, takes=True)
    assert (await engine.ask(SCOPE, again)).wait == 0


@pytest.mark.usefixtures("settled")
async def test_requests_that_their_host_does_not_name_any_more_count_as_answered(engine: Engine) -> None:
    assert await take(engine, f"{A}/1/0") == 0
    assert (await look(engine, A, f"{A}/1/0")).requests == []
    assert [name for name, _ in (await look(engine, A)).requests] == [f"{A}/1/0"]


@pytest.mark.usefixtures("settled")
async def test_requests_of_a_host_that_is_gone_count_as_answered(engine: Engine) -> None:
    await engine.recall(SCOPE, {"gone/1/0": None, "no name": None})
    assert {name for name, _ in (await look(engine)).requests} == {"gone/1/0", "no name"}


async def test_a_host_that_was_seen_lately_keeps_its_request_in_flight(
    engine: Engine, times: Callable[..., None]
) -> None:
    times(GONE_MS=MINUTE)
    await engine.recall(SCOPE, {f"{B}/1/0": None})
    await look(engine, B, f"{B}/1/0")
    assert (await look(engine)).requests == []
    times(GONE_MS=0)
    with trio.fail_after(30):
        while not (await look(engine)).requests:  # noqa: ASYNC110 - until a millisecond has passed
            await trio.sleep(0.002)


async def test_a_new_engine_gives_room_when_all_hosts_had_time_to_report(
    engine: Engine, times: Callable[..., None]
) -> None:
    times(SETTLING_MS=MINUTE)
    assert 30_000 < await take(engine, f"{A}/1/0") <= MINUTE
    await engine.recall(SCOPE, {f"{B}/1/0": 1000})
    times(SETTLING_MS=0)
    assert await take(engine, f"{A}/1/0", window(1, MINUTE)) > 0
    assert await take(engine, f"{A}/1/0", window(2, MINUTE)) == 0


@pytest.mark.usefixtures("settled")
async def test_a_host_that_has_not_reported_to_this_engine_gets_no_room(engine: Engine) -> None:
    asked = Question(A, f"{A}/1/0", (window(3, MINUTE),), "another engine", takes=True)
    room = await engine.ask(SCOPE, asked)
    assert room.wait == 1
    assert (await look(engine)).requests == []


@pytest.mark.usefixtures("settled")
async def test_reports_add_what_is_missing_and_change_no_known_answer(engine: Engine) -> None:
    assert await take(engine, f"{A}/1/0") == 0
    await engine.recall(SCOPE, {f"{A}/1/0": 3000, f"{B}/1/0": 2000, f"{B}/2/0": 1000})
    await engine.recall(SCOPE, {f"{A}/1/0": None, f"{B}/1/0": 50_000})
    room = await look(engine)
    ages = {name: room.now - at for name, at in room.requests}
    assert set(ages) == {f"{A}/1/0", f"{B}/1/0", f"{B}/2/0"}
    assert 2000 <= ages[f"{B}/1/0"] < 40_000


@pytest.mark.usefixtures("settled")
async def test_an_expedited_request_without_room_goes_before_others(engine: Engine, times: Callable[..., None]) -> None:
    times(FULL_MS=10_000)
    assert await take(engine, f"{A}/1/0", window(1, MINUTE)) == 0
    assert await take(engine, f"{B}/1/1", window(1, MINUTE), expedited=True) == 10_000
    await engine.answered(SCOPE, f"{A}/1/0", None)
    assert await take(engine, f"{A}/2/0", window(1, MINUTE)) == 10_000
    assert await take(engine, f"{B}/1/1", window(1, MINUTE), expedited=True) == 0
    await engine.answered(SCOPE, f"{B}/1/1", None)
    assert await take(engine, f"{A}/2/0", window(1, MINUTE)) == 0


@pytest.mark.usefixtures("settled")
async def test_an_expedited_request_that_is_not_made_holds_others_up_for_a_short_time_only(engine: Engine) -> None:
    assert await take(engine, f"{A}/1/0", window(1, MINUTE)) == 0
    assert await take(engine, f"{B}/1/1", window(1, MINUTE), expedited=True) > 0
    await engine.answered(SCOPE, f"{A}/1/0", None)
    with trio.fail_after(30):
        while await take(engine, f"{A}/2/0", window(1, MINUTE)):  # noqa: ASYNC110 - the engine does not tell
            await trio.sleep(0.05)


async def test_hosts_see_what_one_learned_of_the_limit(engine: Engine) -> None:
    assert (await look(engine)).state == b""
    await engine.teach(SCOPE, b"\x81slower")
    assert (await look(engine, B)).state == b"\x81slower"


@pytest.mark.usefixtures("settled")
async def test_the_newest_requests_are_kept(engine: Engine) -> None:
    widest = window(1000, 10 * MINUTE)
    await engine.recall(SCOPE, {f"{A}/{n}/0": 1000 + n for n in range(engines.MAX_REQUESTS)})
    assert await take(engine, f"{B}/1/0", widest) == 0
    await engine.answered(SCOPE, f"{B}/1/0", 0)
    names = {name for name, _ in (await look(engine, A, "", widest)).requests}
    assert len(names) == engines.MAX_REQUESTS
    assert f"{B}/1/0" in names
    assert f"{A}/{engines.MAX_REQUESTS - 1}/0" not in names


async def test_a_scope_without_hosts_is_forgotten_in_time(redis_server: RedisServer) -> None:
    engine = RedisEngine(EngineAddress(path=str(redis_server.socket)))
    await engine.recall(SCOPE, {f"{A}/1/0": 0})
    await engine.teach(SCOPE, b"state")
    await look(engine)
    keys = redis_server.command("KEYS", "*").split()
    assert len(keys) == 4
    assert all(int(redis_server.command("PTTL", key)) > 86_400_000 for key in keys)
    await engine.aclose()


async def test_the_documented_user_may_take_every_step(redis_server: RedisServer) -> None:
    page = (Path(__file__).parents[2] / "docs/how-to/hosts.md").read_text()
    rules = next(line for line in page.splitlines() if line.startswith("user tocsin "))
    redis_server.command("ACL", "SETUSER", *rules.split()[1:])
    address = EngineAddress(path=str(redis_server.socket), user="tocsin", password=Secret("PASSWORD"))
    engine = RedisEngine(address)
    epoch = (await engine.tend("t", A, token="", wants=False)).epoch
    await engine.account("t", A, Account(epoch, "before", [B], "token", ["1"]))
    await engine.account("t", B, Account(epoch))
    token = (await engine.tend("t", A, token=f"{A}:0", wants=True)).token
    await engine.offer("t", A, [Item(f"{A}/1", 2, b"body", "")])
    ((_, stored),) = (await engine.look("t", A, {}, 10)).items
    assert await engine.begin("t", token, [stored.id], [stored.id], "r") == []
    end = Settled([Done(stored.id, A, b"sent")], request="r", state={"limit x": b"1", "story x": b"2"})
    await engine.settle("t", token, end)
    await engine.settle("t", token, Settled(request="r2", unsent=True, state={"story x": b""}))
    assert (await engine.look("t", A, None, 10)).news
    await engine.forget("t", A, [stored.id])
    await engine.report("t", {"r3": 1})
    assert (await engine.learned("t")).state
    await engine.quarantine("t", 2, stored)
    await engine.release("t", token)
    await engine.recall(SCOPE, {f"{A}/1/0": None, f"{A}/2/0": 5})
    await engine.recall(SCOPE, {f"{A}/1/0": 5})
    await engine.teach(SCOPE, b"state")
    for expedited in (True, False):
        await take(engine, f"{A}/3/0", expedited=expedited)
        await engine.answered(SCOPE, f"{A}/3/0", 0)
        await engine.answered(SCOPE, f"{A}/3/0", None)
    assert await engine.complaints() == []
    await engine.aclose()


async def test_a_host_that_is_alone_does_not_wait_for_the_reports_of_others(
    engine: Engine, times: Callable[..., None]
) -> None:
    times(SETTLING_MS=MINUTE)
    epoch = (await look(engine)).epoch
    asked = Question(A, f"{A}/1/0", (window(3, MINUTE),), epoch, takes=True, alone=True)
    assert (await engine.ask(SCOPE, asked)).wait == 0
    await look(engine, B)
    assert (await engine.ask(SCOPE, msgspec.structs.replace(asked, request=f"{A}/2/0"))).wait > 0
