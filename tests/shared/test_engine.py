"""The contract of the engine, for the one in memory and for Redis."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from itertools import pairwise

import pytest
import trio
from tests.shared.conftest import RedisServer
from tests.shared.looks import news, read

from tocsind.config.shared import EngineAddress
from tocsind.policy.delivery import Priority
from tocsind.shared import engine as engines
from tocsind.shared import redis_engine
from tocsind.shared.engine import Account, Done, Engine, EngineAway, Item, Settled
from tocsind.shared.redis_engine import RedisEngine

T, A, B = "target", "host-a", "host-b"


async def holder(engine: Engine, host: str = A) -> str:
    """The token of a host that has got the lease: as one that held it before, so that a new engine gives it at once."""
    while (found := await engine.tend(T, host, token=f"{host}:0", wants=True)).holder != host:  # noqa: ASYNC110 - the engine does not tell
        await trio.sleep(0.1)
    return found.token


async def epoch_of(engine: Engine) -> str:
    """Its epoch; a new engine begins one."""
    return (await engine.tend(T, A, token="", wants=False)).epoch


def item(n: int, priority: int = Priority.NORMAL, epoch: str = "") -> Item:
    return Item(f"{A}/{n}", priority, b"body %d" % n, epoch)


async def test_one_host_holds_a_lease_and_another_waits(engine: Engine) -> None:
    token = await holder(engine)
    other = await engine.tend(T, B, token="", wants=True)
    assert (other.holder, other.hosts) == (A, 2)
    assert (await engine.tend(T, A, token=token, wants=True)).token == token


async def test_a_new_engine_waits_for_the_host_that_held_the_lease_before(engine: Engine) -> None:
    assert not (await engine.tend(T, B, token="", wants=True)).token
    assert (await engine.tend(T, A, token=f"{A}:7.1", wants=True)).holder == A


async def test_a_new_engine_gives_a_host_without_any_past_the_lease_at_once(engine: Engine) -> None:
    await epoch_of(engine)
    found = await engine.tend(T, A, token="", wants=True, alone=True)
    assert (found.holder, found.hosts, found.young) == (A, 1, True)


async def test_a_new_engine_does_not_take_a_host_for_alone_that_is_not(engine: Engine) -> None:
    await engine.tend(T, B, token="", wants=False)
    assert not (await engine.tend(T, A, token="", wants=True, alone=True)).token


async def test_a_host_that_was_killed_goes_on_with_its_own_lease_under_a_new_fence(engine: Engine) -> None:
    old = await holder(engine)
    assert (await engine.tend(T, B, token="", wants=True)).token == old
    new = (await engine.tend(T, A, token="", wants=True)).token
    assert new.startswith(f"{A}:")
    assert new != old
    assert await engine.begin(T, old, [], [], "r") is None
    assert (await engine.tend(T, A, token=old, wants=True)).token == new, (
        "a copy of the state folder does not take it back"
    )


async def test_troubles_of_hosts_are_shown_until_they_end(engine: Engine) -> None:
    await engine.tend(T, A, token="", wants=False, trouble=b"shut out")
    assert (await engine.tend(T, B, token="", wants=False)).troubles == {A: b"shut out"}
    assert (await engine.tend(T, A, token="", wants=False)).troubles == {}


async def test_a_lease_that_is_not_renewed_goes_to_another_host_with_a_new_fence(engine: Engine) -> None:
    old = await holder(engine)
    with trio.fail_after(30):
        new = await holder(engine, B)
    assert new != old
    assert await engine.begin(T, old, [f"{A}/1"], [], "r") is None
    assert await engine.begin(T, new, [f"{A}/1"], [], "r") == []


async def test_a_lease_that_is_given_back_is_free_at_once(engine: Engine) -> None:
    token = await holder(engine)
    await engine.release(T, "another token")
    assert (await engine.tend(T, B, token="before", wants=True)).holder == A
    await engine.release(T, token)
    assert (await engine.tend(T, B, token="before", wants=True)).holder == B


async def test_items_are_stored_once_and_read_in_order_by_priority(engine: Engine) -> None:
    await epoch_of(engine)
    await engine.offer(T, A, [item(1), item(2, priority=Priority.URGENT), item(3)])
    await engine.offer(T, A, [item(3), item(4)])
    found = await read(engine)
    assert [each.id for each in found] == [f"{A}/1", f"{A}/3", f"{A}/4"]
    assert [each.body for each in await read(engine, Priority.URGENT)] == [b"body 2"]
    assert [each.id for each in await read(engine, after=found[0].place, most=2)] == [f"{A}/3"]
    assert all(a.place != b.place for a, b in pairwise(found))


async def test_a_look_finds_urgent_items_first_and_says_whether_it_found_all(engine: Engine) -> None:
    await epoch_of(engine)
    items = [item(n, priority) for n, priority in enumerate((3, 2, 0, 2, 1))]
    await engine.offer(T, A, items)
    some = await engine.look(T, A, {}, 3)
    assert ([priority for priority, _ in some.items], some.is_all) == ([0, 1, 2], False)
    rest = await engine.look(T, A, {priority: stored.place for priority, stored in some.items}, 3)
    assert ([stored.body for _, stored in rest.items], rest.is_all) == ([b"body 3", b"body 0"], True)


async def test_item_that_is_done_is_deleted_reported_and_never_stored_again(engine: Engine) -> None:
    token = await holder(engine)
    await engine.offer(T, A, [item(1), item(2)])
    await engine.settle(T, token, Settled(done=[Done(f"{A}/1", A, b"sent")]))
    await engine.offer(T, A, [item(1)])
    assert [each.id for each in await read(engine)] == [f"{A}/2"]
    assert await news(engine, A) == [Done(f"{A}/1", A, b"sent")]
    assert await news(engine, B) == []
    await engine.forget(T, A, [f"{A}/1"])
    assert await news(engine, A) == []


async def test_an_attempt_is_noted_until_it_is_settled(engine: Engine) -> None:
    token = await holder(engine)
    await engine.offer(T, A, [item(1), item(2)])
    ids = [f"{A}/1", f"{A}/2"]
    assert await engine.begin(T, token, ids, ids, "r") == []
    assert [each.attempted for each in await read(engine)] == [True, True]
    await engine.settle(T, token, Settled(done=[Done(ids[0], A, b"")], waiting=ids[1:], request="r"))
    assert [each.attempted for each in await read(engine)] == [False]


async def test_an_attempt_names_what_another_host_has_ended(engine: Engine) -> None:
    token = await holder(engine)
    await engine.offer(T, A, [item(1), item(2)])
    await engine.settle(T, "", Settled(done=[Done(f"{A}/1", A, b"dropped")]))
    ids = [f"{A}/1", f"{A}/2"]
    assert await engine.begin(T, token, ids, ids, "r") == [f"{A}/1"]
    assert not (await read(engine))[0].attempted


async def test_a_late_holder_may_say_what_arrived_and_nothing_else(engine: Engine) -> None:
    old = await holder(engine)
    await engine.offer(T, A, [item(1), item(2)])
    new = await holder(engine, B)
    await engine.begin(T, new, [f"{A}/2"], [], "r2")
    end = Settled([Done(f"{A}/1", A, b"sent")], [f"{A}/2"], state={"limits": b"old"})
    await engine.settle(T, old, end)
    assert [(each.id, each.attempted) for each in await read(engine)] == [(f"{A}/2", True)]
    assert (await engine.learned(T)).state == {}


async def test_the_next_holder_learns_states_and_requests(engine: Engine) -> None:
    token = await holder(engine)
    for request in ("answered", "unsent", "open"):
        await engine.begin(T, token, [], [], request)
    await engine.settle(T, token, Settled(request="answered", state={"limits": b"1"}))
    await engine.settle(T, token, Settled(request="unsent", unsent=True, state={"limits": b"2", "story": b"x"}))
    await engine.settle(T, token, Settled(state={"story": b""}))
    now = (await engine.tend(T, A, token=token, wants=True)).now
    learned = await engine.learned(T)
    assert learned.state == {"limits": b"2"}
    assert {name for name, _ in learned.requests} == {"answered", "open"}
    assert all(now - 2000 <= at <= now + 2000 for _, at in learned.requests)


async def test_hosts_report_requests_to_an_engine_without_a_past(engine: Engine) -> None:
    await engine.report(T, {"r": 12345})
    await engine.report(T, {})
    assert list((await engine.learned(T)).requests) == [("r", 12345)]


async def lapsed(engine: Engine) -> list[bool]:
    return [each.lapsed for each in await read(engine)]


async def test_after_a_restart_what_was_there_has_lapsed_until_all_hosts_have_said_what_they_sent(
    engine: Engine, restart: Callable[[], Awaitable[None]]
) -> None:
    token = await holder(engine)
    before = (await engine.tend(T, B, token="", wants=False)).epoch
    await engine.offer(T, A, [item(1, epoch=before)])
    await restart()
    tended = await engine.tend(T, A, token=token, wants=True)
    assert (tended.epoch != before, tended.missing) == (True, 2)
    await engine.offer(T, A, [item(2, epoch=tended.epoch), item(3, epoch="?")])
    assert await lapsed(engine) == [True, False, True]
    for host in (A, B):
        await engine.account(T, host, Account(tended.epoch, before, token=token, open=[f"{A}/2"]))
    assert await lapsed(engine) == [False, False, True], "what is from an unknown epoch stays so"
    assert [each.attempted for each in await read(engine)] == [False, True, False]
    await restart()
    assert (await engine.tend(T, A, token=token, wants=True)).missing == 2
    await restart()
    again = await engine.tend(T, A, token=token, wants=True)
    for host in (A, B):
        await engine.account(T, host, Account(again.epoch))
    assert await lapsed(engine) == [True, True, True], "nothing is known of an epoch of which accounts were missing"


async def test_a_lease_in_a_new_epoch_waits_for_the_accounts_or_for_so_long_as_a_lease_lasts(
    engine: Engine, restart: Callable[[], Awaitable[None]]
) -> None:
    token = await holder(engine)
    await engine.tend(T, B, token="", wants=False)
    await engine.release(T, token)
    await restart()
    first = await engine.tend(T, A, token=token, wants=True)
    await engine.account(T, A, Account(first.epoch))
    early = await engine.tend(T, A, token=token, wants=True)
    assert not early.token or early.now - first.now >= engines.SETTLING_MS
    await engine.account(T, B, Account(first.epoch))
    assert (await engine.tend(T, A, token=token, wants=True)).holder == A


async def test_an_engine_without_its_memory_learns_from_the_hosts_who_sent(engine: Engine) -> None:
    epoch = await epoch_of(engine)
    await engine.account(T, A, Account(epoch, before="lost", senders=[A, B]))
    await engine.offer(T, A, [item(1, epoch="lost")])
    assert (await engine.tend(T, A, token="", wants=False)).missing == 1
    assert await lapsed(engine) == [True]
    await engine.account(T, B, Account(epoch))
    assert await lapsed(engine) == [False]


async def test_item_that_no_host_can_read_is_put_aside(engine: Engine) -> None:
    await epoch_of(engine)
    await engine.offer(T, A, [item(1)])
    (stored,) = await read(engine)
    await engine.quarantine(T, 2, stored)
    assert await read(engine) == []


async def test_a_waiting_host_is_woken_by_new_items_and_by_news(engine: Engine) -> None:
    token, woken = await holder(engine), trio.Semaphore(0)

    async def wait() -> None:
        while True:
            assert list(await engine.wait([T], A)) == [T]
            woken.release()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        with trio.fail_after(30):
            n = 0
            while woken.value == 0:  # until it is subscribed
                n += 1
                await engine.offer(T, A, [item(n)])
                await trio.sleep(0.02)
            before = woken.value
            await engine.settle(T, token, Settled(done=[Done(f"{A}/1", A, b"sent")]))
            while woken.value == before:  # noqa: ASYNC110 - as above
                await trio.sleep(0.02)
        nursery.cancel_scope.cancel()


async def test_an_engine_without_its_memory_has_another_epoch(redis_server: RedisServer) -> None:
    engine = RedisEngine(EngineAddress(path=str(redis_server.socket)))
    before = (await engine.tend(T, A, token="", wants=False)).epoch
    assert (await engine.tend(T, A, token="", wants=False)).epoch == before
    redis_server.command("FLUSHALL")
    assert (await engine.tend(T, A, token="", wants=False)).epoch != before
    await engine.aclose()


async def test_an_engine_that_was_killed_is_away_and_comes_back_with_what_it_held(redis_server: RedisServer) -> None:
    engine = RedisEngine(EngineAddress(path=str(redis_server.socket)))
    await epoch_of(engine)
    await engine.offer(T, A, [item(1)])
    await trio.to_thread.run_sync(lambda: redis_server.command("BGREWRITEAOF"))
    redis_server.command("CONFIG", "SET", "appendfsync", "always")
    await engine.offer(T, A, [item(2)])
    redis_server.kill()
    for _ in range(2):
        with pytest.raises(EngineAway):
            await read(engine)
    redis_server.start()
    assert len(await read(engine)) == 2
    await engine.aclose()


async def test_a_cancelled_command_leaves_no_answer_for_the_next_one(redis_server: RedisServer) -> None:
    engine = RedisEngine(EngineAddress(path=str(redis_server.socket)))
    await engine.offer(T, A, [item(1)])
    for _ in range(50):
        with trio.move_on_after(0):
            await read(engine)
        assert (await engine.tend(T, A, token="", wants=False)).holder == ""
    assert int(redis_server.command("INFO", "clients").partition("connected_clients:")[2].split()[0]) <= 3
    await engine.aclose()


async def test_a_server_that_speaks_otherwise_is_away(tmp_path: object) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]
        with pytest.raises(EngineAway, match="no engine"):
            await RedisEngine(EngineAddress("127.0.0.1", port)).look(T, A, None, 1)
        nursery.cancel_scope.cancel()


async def test_an_engine_that_may_lose_what_waits_is_complained_about(redis_server: RedisServer) -> None:
    engine = RedisEngine(EngineAddress(path=str(redis_server.socket)))
    assert await engine.complaints() == []
    redis_server.command("CONFIG", "SET", "appendonly", "no")
    redis_server.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    assert [word in " ".join(await engine.complaints()) for word in ("append-only", "noeviction")] == [True, True]
    await engine.aclose()


async def test_a_wrong_password_is_named_and_not_shown(redis_server: RedisServer) -> None:
    from tocsind.secret import Secret

    redis_server.command("CONFIG", "SET", "requirepass", "right-one")
    address = EngineAddress(path=str(redis_server.socket), password=Secret("wrong-one"))
    with pytest.raises(EngineAway, match="refuses the password") as refused:
        await RedisEngine(address).complaints()
    assert "wrong-one" not in str(refused.value)


async def test_hosts_say_what_they_do_and_others_read_it(engine: Engine) -> None:
    assert await engine.note(A, b"first") == []
    assert await engine.note(B, b"b") == []
    assert await engine.note(A, b"second") == []
    found = {each.host: each for each in await engine.hosts()}
    assert {host: each.note for host, each in found.items()} == {A: b"second", B: b"b"}
    assert all(0 <= each.ago < 5000 for each in found.values())
    assert found[A].at >= found[B].at


async def test_only_the_first_host_that_asks_tells_people(engine: Engine) -> None:
    assert await engine.claim("the same", A, 60)
    assert not await engine.claim("the same", B, 60)
    assert await engine.claim("the same", A, 60)
    assert await engine.claim("another", B, 60)


async def test_claim_is_free_after_its_time(engine: Engine) -> None:
    assert await engine.claim("it", A, 0.05)
    with trio.fail_after(30):
        while not await engine.claim("it", B, 60):  # noqa: ASYNC110 - the engine does not tell
            await trio.sleep(0.02)


async def test_a_host_that_says_nothing_is_missing_and_forgotten_after_a_day(redis_server: RedisServer) -> None:
    engine = RedisEngine(EngineAddress(path=str(redis_server.socket)))
    seconds, micro = redis_server.command("TIME").split()
    now = int(seconds) * 1000 + int(micro) // 1000
    for host, ago in {"new": 0, "gone": 90_000, "longer": 100_000, "day": 90_000_000}.items():
        redis_server.command("ZADD", "tocsin:{hosts}:seen", str(now - ago), host)
        redis_server.command("HSET", "tocsin:{hosts}:notes", host, f"note of {host}")
    missing = await engine.note(A, b"here")
    assert isinstance(missing, list)
    assert [(each.host, each.note) for each in missing] == [("gone", b"note of gone"), ("longer", b"note of longer")]
    assert all(90_000 <= each.ago < 160_000 for each in missing)
    assert {each.host for each in await engine.hosts()} == {A, "new", "gone", "longer"}
    assert redis_server.command("HEXISTS", "tocsin:{hosts}:notes", "day") == "0"
    assert int(redis_server.command("TTL", "tocsin:{hosts}:seen")) > 86_000
    assert int(redis_server.command("TTL", "tocsin:{hosts}:notes")) > 86_000
    await engine.aclose()


async def test_notes_of_the_latest_hosts_are_kept(redis_server: RedisServer) -> None:
    engine = RedisEngine(EngineAddress(path=str(redis_server.socket)))
    for number in range(engines.MAX_HOSTS + 2):
        await engine.note(f"h{number}", b"")
    known = {each.host for each in await engine.hosts()}
    assert known == {f"h{number}" for number in range(2, engines.MAX_HOSTS + 2)}
    await engine.aclose()


@pytest.mark.parametrize(
    ("info", "is_old"),
    [
        ({"redis_version": "7.0.15"}, False),
        ({"redis_version": "8.2.1"}, False),
        ({"redis_version": "6.2.14"}, True),
        ({"redis_version": "7.2.4", "valkey_version": "8.1.0"}, False),
        ({"redis_version": "7.2.4", "valkey_version": "7.0.0"}, True),
        ({}, True),
    ],
)
def test_an_engine_that_is_too_old_is_known_by_its_version(info: dict[str, str], is_old: bool) -> None:
    assert redis_engine.is_too_old(info) is is_old


async def test_item_can_be_withdrawn_unless_an_attempt_is_open(engine: Engine) -> None:
    token = await holder(engine)
    await engine.offer(T, A, [item(1), item(2), item(3, priority=Priority.URGENT)])
    ids = [f"{A}/{n}" for n in (1, 2, 3)]
    await engine.begin(T, token, ids[:1], [], f"{A}/1/0")
    assert await engine.withdraw(T, [*ids, "unknown"]) == dict.fromkeys(ids[1:], False)
    assert [each.id for each in await read(engine)] == ids[:1]
    assert await read(engine, Priority.URGENT) == []
    assert await engine.begin(T, token, ids, ids, f"{A}/2/0") == ids[1:], "who wants to send it learns that it has gone"
    await engine.offer(T, A, [item(2)])
    assert [each.id for each in await read(engine)] == ids[:2], "it may be handed over again"


@pytest.mark.parametrize("host", ["its own", "another"])
async def test_nothing_is_left_at_the_engine_of_what_went_through(redis_server: RedisServer, host: str) -> None:
    engine = RedisEngine(EngineAddress(path=str(redis_server.socket)))
    token = await holder(engine)
    origin = A if host == "its own" else B

    async def sizes_after(first: int, n: int) -> dict[str, str]:
        """The number of members of each key when n more requests have gone through, of ten deliveries and ten live messages each."""
        for request in range(first, first + n):
            ids = [f"{origin}/{request}.{each}" for each in range(10)]
            await engine.offer(T, origin, [Item(id_, each % 4, b"body", "") for each, id_ in enumerate(ids)])
            found = await engine.look(T, A, {}, 10)
            await engine.quarantine(T, found.items[0][0], found.items[0][1])
            foreign = ids[1:] if origin != A else []
            await engine.begin(T, token, ids, foreign, f"r{request}")
            done = [Done(id_, origin, b"sent") for id_ in ids]
            state = {f"story {id_}": b"1" for id_ in ids}
            await engine.settle(T, token, Settled(done, request=f"r{request}", state=state))
            await engine.forget(T, origin, ids)
            await engine.tend(T, A, token=token, wants=True)
        return sizes(redis_server)

    full = await sizes_after(0, max(engines.MAX_REQUESTS, engines.MAX_STORIES // 10, engines.MAX_BAD))
    assert await sizes_after(10**6, 50) == full
    assert {name: full[name] for name in ("asked", "stories", "state", "bad")} == {
        "asked": str(engines.MAX_REQUESTS),
        "stories": str(engines.MAX_STORIES),
        "state": str(engines.MAX_STORIES),
        "bad": str(engines.MAX_BAD),
    }
    assert int(redis_server.command("PTTL", f"tocsin:{{{T}}}:bad")) > 0
    await engine.aclose()


async def test_hosts_that_are_gone_leave_the_accounts_unless_theirs_is_missing(redis_server: RedisServer) -> None:
    engine = RedisEngine(EngineAddress(path=str(redis_server.socket)))
    epoch = await epoch_of(engine)
    redis_server.command("ZADD", f"tocsin:{{{T}}}:hosts", "1", "gone", "1", "owes")
    redis_server.command("HSET", f"tocsin:{{{T}}}:witnesses", "gone", epoch, "owes", "")
    assert (await engine.tend(T, A, token="", wants=False)).missing == 1
    assert redis_server.command("HKEYS", f"tocsin:{{{T}}}:witnesses") == "owes"
    await engine.aclose()


def sizes(server: RedisServer) -> dict[str, str]:
    """The number of members of each key of the target; of a string "1"."""
    counts = {"hash": "HLEN", "zset": "ZCARD", "stream": "XLEN"}
    found = {}
    for key in server.command("KEYS", "*").split():
        kind = server.command("TYPE", key)
        found[key.rpartition(":")[2]] = server.command(counts[kind], key) if kind in counts else "1"
    return found


async def test_an_end_without_arrival_does_not_replace_the_news_of_an_arrival(engine: Engine) -> None:
    token = await holder(engine)
    expired, sent = (Done(f"{A}/1", A, result, result == b"sent") for result in (b"expired", b"sent"))
    for ends in ([sent, expired], [expired, sent]):
        for end in ends:
            await engine.settle(T, token, Settled(done=[end]))
        assert [each.result for each in await news(engine)] == [b"sent"]
        await engine.forget(T, A, [f"{A}/1"])


async def test_an_attempt_that_leaves_no_copy_keeps_its_item_and_marks_nothing(engine: Engine) -> None:
    token = await holder(engine)
    await engine.offer(T, A, [item(1), item(2)])
    ids = [f"{A}/1", f"{A}/2"]
    await engine.begin(T, token, ids, ids, "r", copies=False)
    assert [each.attempted for each in await read(engine)] == [False, False]
    assert await engine.withdraw(T, ids) == {}
    await engine.settle(T, token, Settled(waiting=ids[:1], request="r"))
    assert await engine.withdraw(T, ids) == {ids[0]: False}


async def test_an_attempt_that_may_have_arrived_is_told_to_the_next_holder_and_to_its_host(engine: Engine) -> None:
    token = await holder(engine)
    await engine.offer(T, A, [item(1)])
    ids = [f"{A}/1"]
    await engine.begin(T, token, ids, ids, "r")
    await engine.settle(T, token, Settled(waiting=ids, doubtful=ids, request="r"))
    assert [each.attempted for each in await read(engine)] == [True]
    await engine.begin(T, token, ids, ids, "r2", copies=False)
    assert [each.attempted for each in await read(engine)] == [True], "the edit does not take the doubt away"
    assert await engine.withdraw(T, ids) == {}
    await engine.settle(T, token, Settled(waiting=ids, doubtful=ids, request="r2"))
    assert await engine.withdraw(T, ids) == {ids[0]: True}
    await engine.offer(T, A, [item(1)])
    assert [each.attempted for each in await read(engine)] == [False], "its host hands it over with its own mark"


async def test_an_account_says_what_is_in_flight_and_what_may_have_arrived(engine: Engine) -> None:
    token = await holder(engine)
    await engine.offer(T, A, [item(1), item(2)])
    ids = [f"{A}/1", f"{A}/2"]
    await engine.account(T, A, Account(await epoch_of(engine), token=token, open=ids[:1], doubtful=ids))
    assert [each.attempted for each in await read(engine)] == [True, True]
    assert await engine.withdraw(T, ids) == {ids[1]: True}
