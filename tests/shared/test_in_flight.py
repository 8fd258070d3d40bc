"""Status and `why` of deliveries that another host may be sending: real daemons, a real engine, a fake Discord."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.harness import DaemonProcess, FakeProcess, until
from tests.shared.conftest import RedisServer
from tests.shared.test_hosts import all_arrived, holder_of, hosts, lane, settled, way

from tocsind.journal.maintenance import EXPIRED_IN_DOUBT, EXPIRED_REASON
from tocsind.policy.delivery import ANSWERED_LATE

__all__ = ["way"]

SOON = 8.0  # s; a busy machine hands a signal over and sends a request within them
SLOW = {
    "channel-limit": '"30/3s"',
    "webhook-limit": '"5/100ms"',
    "deadline": '"2m"',
}  # the fake answers when the test says so


def one_of(host: DaemonProcess, id_: str) -> dict[str, Any]:
    """The only delivery of a signal."""
    (found,) = host.client.why(id_)["deliveries"]
    return dict(found)


def pair(found: list[DaemonProcess]) -> tuple[DaemonProcess, DaemonProcess]:
    """The host that sends, and another one."""
    holder = holder_of(found)
    return holder, next(host for host in found if host is not holder)


def in_flight(fake: FakeProcess, host: DaemonProcess, title: str, **fields: Any) -> str:
    """The id of a signal of this host with which a request is in flight until `fake.release`. The message is there already."""
    fake.hold(saved=True)
    id_ = host.client.send(title, **fields).id
    fake.await_held()
    return id_


def queued(host: DaemonProcess) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = host.client.request("queue", state="queued")["deliveries"]
    return rows


def handed_over(engine: RedisServer, id_: str) -> bool:
    keys = [key for key in engine.command("KEYS", "tocsin:*:at").split() if "scope" not in key]
    return any(id_ in each for key in keys for each in engine.command("HKEYS", key).split())


def test_signal_that_expires_in_flight_at_another_host_is_reported_as_sent(
    tmp_path: Path, fake: FakeProcess, redis_server: RedisServer
) -> None:
    with hosts(tmp_path, fake, redis_server, 2, limits=SLOW) as found, ThreadPoolExecutor(1) as threads:
        holder, other = pair(found)
        fake.hold(saved=True)
        waiting = threads.submit(other.tocsin, "send", "in flight", "--wait", "--expires", f"{SOON:g}s")
        fake.await_held()
        bystander = other.client.send("bystander", expires=SOON).id  # it expires later
        assert other.settled(bystander) == ["dropped"]
        assert one_of(other, bystander)["reason"].endswith(EXPIRED_REASON)
        (row,) = queued(other)
        assert (row["title"], waiting.done()) == ("in flight", False)
        fake.release()
        assert waiting.result().returncode == 0
        mine = one_of(other, row["id"])
        name = holder.status()["shared"]["host"]
        assert (mine["state"], mine["possible_duplicate"]) == ("sent", False)
        assert mine["reason"] == f"sent by {name}: {ANSWERED_LATE}"
        assert ANSWERED_LATE in " ".join(other.tocsin("why", row["id"]).stdout.split())
        until(lambda: all(map(settled, found)))
        counters = other.status()["counters"]
        assert (counters["notifications_sent"], counters["deliveries_expired"]) == (1, 1)
    assert [title for title in fake.titles() if "flight" in title or "bystander" in title] == ["in flight"]


def test_signal_that_expires_before_another_host_begins_is_never_posted(
    tmp_path: Path, fake: FakeProcess, redis_server: RedisServer
) -> None:
    with hosts(tmp_path, fake, redis_server, 2, limits=SLOW) as found, ThreadPoolExecutor(1) as threads:
        holder, other = pair(found)
        fake.hold()
        plug = holder.client.send("plug").id
        fake.await_held()
        waiting = threads.submit(other.tocsin, "send", "mortal", "--wait", "--expires", f"{SOON:g}s")
        until(lambda: bool(queued(other)))
        mortal = queued(other)[0]["id"]
        until(lambda: handed_over(redis_server, mortal))
        assert waiting.result().returncode == 5
        mine = one_of(other, mortal)
        assert (mine["state"], mine["possible_duplicate"]) == ("expired", False)
        assert mine["reason"].endswith(EXPIRED_REASON), "here, or first at the host that would have sent it"
        until(lambda: not handed_over(redis_server, mortal))
        fake.release()
        assert holder.settled(plug) == ["delivered"]
        for _ in found:  # the holder, and the next one after its death
            last = other.client.send("last").id
            assert other.settled(last) == ["delivered"]
            holder.kill()
        assert lane(other)["here"]
        assert one_of(other, mortal)["state"] == "expired"
    assert Counter(fake.titles()) == Counter(["plug", "last", "last"])


def test_delivery_in_flight_at_another_host_is_neither_dropped_nor_silenced(
    tmp_path: Path, fake: FakeProcess, redis_server: RedisServer
) -> None:
    with hosts(tmp_path, fake, redis_server, 2, limits=SLOW) as found:
        _, other = pair(found)
        moving = in_flight(fake, other, "in flight", symbol="BTC")
        dropped, silenced = (other.client.send(title, symbol=title).id for title in ("dropped", "silenced"))
        until(lambda: handed_over(redis_server, dropped) and handed_over(redis_server, silenced))
        refused = other.client.request("drop", id=moving)
        assert refused["deliveries"] == 0
        assert "a request with it may be in flight" in refused["note"]
        assert other.client.request("drop", id=dropped)["deliveries"] == 1
        for symbol in ("BTC", "silenced"):
            other.client.request("silence", when=[["symbol", symbol]], seconds=3600.0)
        assert other.settled(dropped, silenced) == ["dropped", "silenced"]
        assert one_of(other, moving)["state"] == "queued"
        fake.release()
        assert other.settled(moving) == ["delivered"]
        assert other.settled(other.client.send("last").id) == ["delivered"]
        until(lambda: all(map(settled, found)))
        assert [one_of(other, id_)["state"] for id_ in (moving, dropped, silenced)] == ["sent", "dropped", "silenced"]
    assert Counter(fake.titles()) == Counter(["in flight", "last"])


def test_signal_that_expired_while_the_engine_was_away_is_corrected_when_it_was_sent(
    tmp_path: Path, fake: FakeProcess, redis_server: RedisServer, way: tuple[str, Callable[[int], None]]
) -> None:
    url, relay = way
    with hosts(tmp_path, fake, redis_server, 2, first=url, limits=SLOW) as (cut_off, other):
        if lane(cut_off)["here"]:
            relay(signal.SIGSTOP)
            until(lambda: bool(lane(other)["here"]))
            relay(signal.SIGCONT)
        until(lambda: not cut_off.status()["shared"]["reason"] and bool(lane(cut_off)["holder"]))
        id_ = in_flight(fake, cut_off, "in flight", expires=SOON)
        relay(signal.SIGSTOP)
        assert cut_off.settled(id_) == ["dropped"]
        assert one_of(cut_off, id_)["reason"] == EXPIRED_IN_DOUBT
        fake.release()
        until(lambda: settled(other))
        relay(signal.SIGCONT)
        until(lambda: bool(one_of(cut_off, id_)["state"] == "sent"))
        mine = one_of(cut_off, id_)
        assert mine["reason"].endswith(f"it had ended here before: {EXPIRED_IN_DOUBT}")
        assert mine["possible_duplicate"] is False
        assert cut_off.settled(id_) == ["delivered"]
        until(all_arrived(fake, ["in flight"]))
    assert Counter(fake.titles())["in flight"] == 1
