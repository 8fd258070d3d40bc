"""One fault after the other on the same three hosts: nothing is lost, second copies are marked, no request is refused."""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from tests.harness import DaemonProcess, until
from tests.shared.fleet import BATCH, LONG, Fleet, freeze, fresh_fleet, lane

from tocsind.shared.engine import LEASE_MS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def module_fleet() -> Iterator[Fleet]:
    with fresh_fleet() as found:
        yield found


@pytest.fixture
def fleet(module_fleet: Fleet) -> Fleet:
    module_fleet.heal()
    return module_fleet


class Look(NamedTuple):
    """The engine at one moment of its own time (ms): the lease's token and rest, and when each host was last there."""

    now: int
    token: str
    rest: int
    seen: dict[str, float]


LOOK = """
local t = redis.call('TIME')
local hosts, seen = redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES'), {}
for n = 1, #hosts, 2 do seen[hosts[n]] = tonumber(hosts[n + 1]) end
return cjson.encode({t[1] * 1000 + math.floor(t[2] / 1000), redis.call('GET', KEYS[1]) or '', redis.call('PTTL', KEYS[1]), seen})
"""


def look(fleet: Fleet) -> Look:
    return Look(*json.loads(fleet.engine.command("EVAL", LOOK, "2", fleet.key("lease"), fleet.key("hosts"))))


def test_the_first_host_that_asks_after_the_end_of_a_dead_ones_lease_gets_it(fleet: Fleet) -> None:
    titles = fleet.handed_over(20)
    holder = fleet.holder()
    holder.kill()
    died = look(fleet)
    end = died.now + died.rest
    assert died.rest <= LEASE_MS
    fleet.fake.release()
    while not (found := look(fleet)).token or found.token == died.token:
        late = [host for host, at in found.seen.items() if at > end]
        assert late == [], "it asked when the lease was free, and did not get it"
    fleet.await_arrived(titles, len(titles) - BATCH)  # what was in flight and not handed over waits for its host
    holder.start()
    assert fleet.check(titles) <= BATCH


def test_the_death_of_each_host_in_turn_loses_nothing(fleet: Fleet) -> None:
    titles: list[str] = []
    for host in fleet.hosts:
        titles += fleet.send_all(10)
        fleet.await_arrived(titles, len(titles) - 20)
        host.kill()
        for other in fleet.others(host):
            titles += fleet.send(other, 10)
        fleet.await_arrived(titles, len(titles) - 20)
        host.start()
    assert fleet.check(titles) <= 3 * BATCH


def test_the_death_of_the_engine_and_of_the_holder_at_once_loses_nothing(fleet: Fleet) -> None:
    titles = fleet.handed_over(20)
    holder = fleet.holder()
    holder.kill()
    fleet.engine.kill()
    fleet.fake.release()
    titles += [title for host in fleet.others(holder) for title in fleet.send(host, 5, "low")]
    fleet.engine.start()
    fleet.await_settled([title for title in titles if title.startswith("low")])
    holder.start()
    fleet.check(titles)


def test_a_host_that_only_accepts_may_stand_still(fleet: Fleet) -> None:
    titles = fleet.handed_over(10)
    host = fleet.others(fleet.holder())[0]
    freeze(host.process)
    fleet.fake.release()
    fleet.await_arrived(titles)
    host.process.send_signal(signal.SIGCONT)
    assert fleet.check(titles) <= BATCH


@pytest.mark.parametrize("priority", ["urgent", "low"])
def test_an_engine_that_stands_still_loses_nothing(fleet: Fleet, priority: str) -> None:
    titles = fleet.handed_over(5)
    freeze(fleet.engine.process)
    fleet.fake.release()
    late = fleet.send_all(3, priority)
    until(lambda: all(reason(host) for host in fleet.hosts), LONG)
    if priority == "urgent":
        fleet.await_arrived(late)
    fleet.engine.process.send_signal(signal.SIGCONT)
    fleet.check(titles + late)


def test_a_holder_that_is_cut_off_without_notice_is_succeeded_and_sends_nothing_of_others(fleet: Fleet) -> None:
    titles = fleet.handed_over(20)
    holder = fleet.holder()
    fleet.way_of(holder).drops = True
    fleet.fake.release()
    rest = fleet.others(holder)
    fleet.holder(rest)
    fleet.await_arrived(titles, len(titles) - BATCH)
    cut_off = fleet.send(holder, 5, "low")
    until(lambda: bool(reason(holder)), LONG)
    assert not lane(holder)["here"]
    fleet.way_of(holder).mend()
    fleet.check(titles + cut_off)


def test_hand_over_without_an_answer_is_not_sent_by_both_hosts(fleet: Fleet) -> None:
    host = fleet.others(fleet.holder())[0]
    fleet.check(fleet.send(host, 1, "urgent"))  # so that the engine has all scripts
    fleet.way_of(host).deaf_at = b"urgent"
    first = fleet.send(host, 1, "urgent")
    fleet.await_arrived(first)
    until(lambda: bool(reason(host)), LONG)
    second = fleet.send(host, 1, "urgent")
    fleet.await_arrived(second)  # it sends alone
    fleet.way_of(host).mend()
    fleet.check(first + second)


def test_an_engine_that_is_slow_at_random_loses_nothing(fleet: Fleet) -> None:
    titles = fleet.send_all(10)
    slow = random.Random(7)
    for way in fleet.ways:
        way.delay = lambda: slow.choice((0, 0, 0.2, 2, 3.2))  # a step's deadline is 3 s
    titles += fleet.send_all(10, "high")
    until(lambda: all(reason(host) for host in fleet.hosts), LONG)
    for way in fleet.ways:
        way.delay = lambda: slow.choice((0, 0, 0.02, 0.2))
    titles += fleet.send_all(10, "urgent")
    fleet.await_arrived(titles, len(titles) // 2)
    for way in fleet.ways:
        way.mend()
    fleet.check(titles)


def test_an_engine_without_memory_to_spare_loses_nothing_and_says_why(fleet: Fleet) -> None:
    titles = fleet.handed_over(5)
    fleet.engine.command("CONFIG", "SET", "maxmemory", "1")
    fleet.fake.release()
    until(lambda: all("maxmemory" in reason(host) for host in fleet.hosts), LONG)
    titles += fleet.send_all(5)
    fleet.engine.command("CONFIG", "SET", "maxmemory", "0")
    fleet.check(titles)


def reason(host: DaemonProcess) -> str:
    return str(host.status()["shared"]["reason"] or "")
