"""Three daemons, a real engine, and a fake Discord with both limits: windows are a twentieth of the real ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.assertions import history
from tests.harness import DaemonProcess, FakeProcess, discord, need, route, until
from tests.shared.conftest import RedisServer

from tocsin.signals import Signal

LIMITS = {"channel-limit": '"30/3s"', "webhook-limit": '"5/100ms"'}


@pytest.fixture
def limited() -> Iterator[FakeProcess]:
    """A fake Discord with both limits."""
    with FakeProcess("--limits", "0.05") as running:
        yield running


@contextmanager
def hosts(
    folder: Path,
    fake: FakeProcess,
    engine: RedisServer,
    n: int = 3,
    *,
    extra: str = "",
    first: str | None = None,
    limits: Mapping[str, str] = LIMITS,
) -> Iterator[list[DaemonProcess]]:
    """Daemons that share one webhook, with a lane that has a holder. `first`: the first one's way to the engine."""
    rest = f"{extra}\n" + discord("d", fake.webhooks[0]["url"], **limits) + route("d")
    urls = [first or engine.url, *[engine.url] * (n - 1)]
    with ExitStack() as stack:
        found = [
            stack.enter_context(DaemonProcess(folder / f"h{number}", f'[shared]\nurl = "{url}"\n{rest}').start())
            for number, url in enumerate(urls)
        ]
        until(lambda: all(map(knows_all(n), found)))
        yield found


@pytest.fixture
def way(redis_server: RedisServer, tmp_path: Path) -> Iterator[tuple[str, Callable[[int], None]]]:
    """A relay to the engine: its address, and a call that sends a signal to its processes: stopped, it drops nothing and says nothing."""
    path = tmp_path / "way.sock"
    relay = [need("socat"), f"UNIX-LISTEN:{path},fork", f"UNIX-CONNECT:{redis_server.socket}"]
    process = subprocess.Popen(relay, start_new_session=True)
    try:
        until(path.exists)
        yield f"unix://{path}", lambda number: os.killpg(process.pid, number)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def lane(host: DaemonProcess) -> dict[str, Any]:
    found: dict[str, Any] = host.status()["shared"]["lanes"][0]
    return found


def knows_all(n: int) -> Callable[[DaemonProcess], bool]:
    """Whether a host knows which one sends, and that there are n."""

    def knows(host: DaemonProcess) -> bool:
        view = lane(host)
        return bool(view["holder"]) and view["hosts"] == n

    return knows


def holder_of(found: list[DaemonProcess]) -> DaemonProcess:
    """The daemon that sends."""
    holding: list[DaemonProcess] = []

    def one() -> bool:
        holding[:] = [host for host in found if lane(host)["here"]]
        return len(holding) == 1

    until(one)
    return holding[0]


def send(host: DaemonProcess, name: str, n: int, priority: str = "normal") -> list[str]:
    """Titles of n signals that this host accepts."""
    titles = [f"{name} {number}" for number in range(n)]
    host.client.send_many([Signal(title, priority=priority) for title in titles])
    return titles


def all_arrived(fake: FakeProcess, titles: list[str]) -> Callable[[], bool]:
    return lambda: set(titles) <= set(fake.titles())


def has_handed_over(host: DaemonProcess) -> bool:
    """Whether the engine has all that waits here, so that the host may die."""
    view = lane(host)
    return bool(view["waiting"] == view["handed_over"])


def settled(host: DaemonProcess) -> bool:
    return bool(host.status()["queue"]["depth"] == 0)


def test_three_hosts_share_a_channel_without_429_and_each_arrives_once(
    tmp_path: Path, limited: FakeProcess, redis_server: RedisServer
) -> None:
    with hosts(tmp_path, limited, redis_server) as found:
        titles = [title for n, host in enumerate(found) for title in send(host, f"h{n}", 60)]
        until(all_arrived(limited, titles))
        until(lambda: all(map(settled, found)))
        arrived = Counter(limited.titles())
        assert arrived == Counter(titles)
        assert limited.counts()["limited"] == {}
        other = next(host for host in found if not lane(host)["here"])
        ids = [other.client.send("one more").id]
        assert other.settled(*ids) == ["delivered"]
        assert "sent by" in other.tocsin("why", ids[0]).stdout


def test_urgent_of_any_host_goes_before_what_waits_on_every_host(
    tmp_path: Path, limited: FakeProcess, redis_server: RedisServer
) -> None:
    with hosts(tmp_path, limited, redis_server) as found:
        low = [title for n, host in enumerate(found) for title in send(host, f"low{n}", 400, "low")]
        for n, host in enumerate(found):
            until(lambda: bool(limited.titles()))
            host.client.send(f"urgent {n}", priority="urgent")
        urgent = [f"urgent {n}" for n in range(3)]
        until(all_arrived(limited, urgent))
        assert len(set(limited.titles())) < len(low), "they did not wait for the rest"
        assert limited.counts()["limited"] == {}


def test_death_of_the_holder_loses_nothing_and_another_host_goes_on(
    tmp_path: Path, limited: FakeProcess, redis_server: RedisServer
) -> None:
    with hosts(tmp_path, limited, redis_server) as found:
        holder = holder_of(found)
        others = [host for host in found if host is not holder]
        limited.hold()
        titles = [title for n, host in enumerate(found) for title in send(host, f"h{n}", 100)]
        limited.await_held()
        until(lambda: all(map(has_handed_over, found)))
        holder.kill()
        limited.release()
        until(all_arrived(limited, titles), 60)
        until(lambda: all(map(settled, others)))
        holder.start()
        until(lambda: settled(holder))
        copies = Counter(limited.titles())
        again = {title for title, n in copies.items() if n > 1}
        marked = {alert.title for alert in limited.alerts() if alert.doubt}
        assert set(copies) == set(titles)
        assert again <= marked
        assert len(again) <= 10, "one batch was in flight"
        assert limited.counts()["limited"] == {}


def test_death_of_the_engine_loses_nothing(tmp_path: Path, limited: FakeProcess, redis_server: RedisServer) -> None:
    with hosts(tmp_path, limited, redis_server, extra='on-outage = "hold"') as found:
        titles = [title for n, host in enumerate(found) for title in send(host, f"h{n}", 60)]
        until(lambda: len(limited.titles()) > 10)
        redis_server.kill()
        titles += [title for n, host in enumerate(found) for title in send(host, f"later{n}", 20)]
        until(lambda: all(host.status()["shared"]["reason"] for host in found))
        redis_server.start()
        until(all_arrived(limited, titles), 60)
        until(lambda: all(map(settled, found)))
        copies = Counter(limited.titles())
        again = {title for title, n in copies.items() if n > 1}
        assert set(copies) == set(titles)
        assert again <= {alert.title for alert in limited.alerts() if alert.doubt}
        assert limited.counts()["limited"] == {}


def test_an_engine_that_forgets_everything_loses_nothing(
    tmp_path: Path, limited: FakeProcess, redis_server: RedisServer
) -> None:
    with hosts(tmp_path, limited, redis_server) as found:
        titles = [title for n, host in enumerate(found) for title in send(host, f"h{n}", 60)]
        until(lambda: len(limited.titles()) > 10)
        redis_server.command("FLUSHALL")
        until(all_arrived(limited, titles), 60)
        until(lambda: all(map(settled, found)))
        copies = Counter(limited.titles())
        again = {title for title, n in copies.items() if n > 1}
        assert set(copies) == set(titles)
        assert again <= {alert.title for alert in limited.alerts() if alert.doubt}
        assert limited.counts()["limited"] == {}


def test_a_holder_that_wakes_up_late_does_not_send(
    tmp_path: Path, limited: FakeProcess, redis_server: RedisServer
) -> None:
    with hosts(tmp_path, limited, redis_server) as found:
        holder = holder_of(found)
        others = [host for host in found if host is not holder]
        titles = [title for n, host in enumerate(others) for title in send(host, f"h{n}", 100)]
        until(lambda: len(limited.titles()) > 20)
        holder.process.send_signal(signal.SIGSTOP)
        new = holder_of(others)
        before = len(limited.messages())
        until(lambda: len(limited.messages()) > before)
        holder.process.send_signal(signal.SIGCONT)
        until(all_arrived(limited, titles), 60)
        until(lambda: all(map(settled, found)))
        assert lane(new)["here"]
        assert not lane(holder)["here"]
        copies = Counter(limited.titles())
        again = {title for title, n in copies.items() if n > 1}
        assert set(copies) == set(titles)
        assert again <= {alert.title for alert in limited.alerts() if alert.doubt}
        assert limited.counts()["limited"] == {}


def test_while_the_engine_is_away_each_host_sends_urgent_signals(
    tmp_path: Path, limited: FakeProcess, redis_server: RedisServer
) -> None:
    with hosts(tmp_path, limited, redis_server) as found:
        redis_server.kill()
        until(lambda: all(host.status()["shared"]["reason"] for host in found))
        urgent = [title for n, host in enumerate(found) for title in send(host, f"urgent{n}", 3, "urgent")]
        low = [title for n, host in enumerate(found) for title in send(host, f"low{n}", 3, "low")]
        until(all_arrived(limited, urgent))
        assert not set(low) & set(limited.titles())
        assert any("engine" in problem for problem in found[0].status()["problems"])
        redis_server.start()
        until(all_arrived(limited, low))
        until(lambda: all(map(settled, found)))
        assert Counter(limited.titles()) == Counter([*urgent, *low])


def test_a_host_that_is_cut_off_stops_sending_for_others_and_loses_nothing(
    tmp_path: Path, limited: FakeProcess, redis_server: RedisServer, way: tuple[str, Callable[[int], None]]
) -> None:
    url, relay = way
    with hosts(tmp_path, limited, redis_server, extra='on-outage = "hold"', first=url) as found:
        titles = [title for n, host in enumerate(found) for title in send(host, f"h{n}", 60)]
        until(lambda: len(limited.titles()) > 10)
        relay(signal.SIGSTOP)
        titles += send(found[0], "cut off", 10)
        until(lambda: lane(found[1])["here"] or lane(found[2])["here"])
        until(lambda: bool(found[0].status()["shared"]["reason"]))
        assert not lane(found[0])["here"]
        until(all_arrived(limited, [title for title in titles if not title.startswith(("cut", "h0"))]), 60)
        relay(signal.SIGCONT)
        until(all_arrived(limited, titles), 60)
        until(lambda: all(map(settled, found)))
        copies = Counter(limited.titles())
        again = {title for title, n in copies.items() if n > 1}
        assert set(copies) == set(titles)
        assert again <= {alert.title for alert in limited.alerts() if alert.doubt}
        assert limited.counts()["limited"] == {}


def test_a_host_alone_loads_nothing_of_it() -> None:
    code = "import sys, tocsind.daemon; print([name for name in sys.modules if name.startswith('tocsind.shared')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_key_on_two_hosts_is_one_story_and_goes_on_after_the_death_of_its_host(
    tmp_path: Path, fake: FakeProcess, redis_server: RedisServer
) -> None:
    with hosts(tmp_path, fake, redis_server) as found:
        holder = holder_of(found)
        others = [host for host in found if host is not holder]
        for n, host in enumerate([holder, others[0]]):
            host.settled(host.client.send(f"state {n}", key="trade").id)
        assert len(fake.messages()) == 1
        holder.kill()
        others[1].settled(others[1].client.send("state 2", key="trade").id)
        (message,) = fake.messages()
        assert message["payload"]["embeds"][0]["title"].startswith("state 2")
        assert len(history(message)) == 2


def test_entry_that_is_no_delivery_is_put_aside_and_the_rest_arrives(
    tmp_path: Path, fake: FakeProcess, redis_server: RedisServer
) -> None:
    with hosts(tmp_path, fake, redis_server, 2) as found:
        holder = holder_of(found)
        (stream,) = [key.rpartition(":")[0] for key in redis_server.command("KEYS", "*:epoch").split()]
        redis_server.command("XADD", f"{stream}:s2", "*", "i", "evil/1/d", "b", "no delivery")
        redis_server.command("XADD", f"{stream}:s2", "*", "one", "field")
        redis_server.command("XADD", f"{stream}:s2", "*", "i", "host/2/d", "b", "\x9b\x01\xa0\xa0")
        assert holder.wait_for("item-quarantined", nth=3)["destination"]
        other = next(host for host in found if host is not holder)
        assert other.settled(other.client.send("good").id) == ["delivered"]
        until(lambda: any("in the engine" in title for title in fake.titles()))
        assert [title for title in fake.titles() if "in the engine" not in title] == ["good"]
        assert redis_server.command("XLEN", f"{stream}:s2") == "0"


def test_a_host_starts_and_stops_while_the_engine_hangs(
    tmp_path: Path, fake: FakeProcess, redis_server: RedisServer
) -> None:
    redis_server.process.send_signal(signal.SIGSTOP)
    try:
        config = f'[shared]\nurl = "{redis_server.url}"\n' + discord("d", fake.webhooks[0]["url"]) + route("d")
        with DaemonProcess(tmp_path, config).start() as daemon:
            urgent = daemon.client.send("urgent", priority="urgent").id
            assert daemon.settled(urgent) == ["delivered"]
            assert daemon.stop() == 0
    finally:
        redis_server.process.send_signal(signal.SIGCONT)
