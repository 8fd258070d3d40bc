"""Several hosts, two webhooks of one channel: its limit holds for all of them together, whatever each host knows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.harness import DaemonProcess, FakeProcess, discord, route, until
from tests.shared.conftest import RedisServer
from tests.shared.test_hosts import LIMITS, all_arrived, settled

from tocsin.signals import Signal


@pytest.fixture
def channel() -> Iterator[FakeProcess]:
    """A fake Discord with both limits, and two webhooks in one channel."""
    with FakeProcess("--limits", "0.05", "--webhooks", "2", "--channels", "1") as running:
        yield running


@pytest.fixture
def start(tmp_path: Path, channel: FakeProcess, redis_server: RedisServer) -> Iterator[Callable[..., DaemonProcess]]:
    """Starts a daemon with the webhooks of these numbers; destination dN leads to webhook N."""
    with ExitStack() as stack:

        def start_one(name: str, *webhooks: int) -> DaemonProcess:
            tables = [discord(f"d{n}", channel.webhooks[n]["url"], **LIMITS) for n in webhooks]
            config = f'[shared]\nurl = "{redis_server.url}"\n' + "".join(tables) + route(f"d{webhooks[0]}")
            return stack.enter_context(DaemonProcess(tmp_path / name, config).start())

        yield start_one


def holds(host: DaemonProcess, destination: str) -> bool:
    """Whether this host sends for a destination."""
    lanes = host.status()["shared"]["lanes"]
    return any(lane["here"] for lane in lanes if destination in lane["destinations"])


def send(host: DaemonProcess, destination: str, n: int, priority: str = "normal") -> list[str]:
    """Titles of n signals that share no message, as each has a key of its own."""
    titles = [f"{host.folder.name} {destination} {priority} {number}" for number in range(n)]
    host.client.send_many([Signal(title, key=title, priority=priority, to=destination) for title in titles])
    return titles


def test_hosts_with_different_webhooks_of_one_channel_share_its_limit(
    start: Callable[..., DaemonProcess], channel: FakeProcess
) -> None:
    one = start("one", 1)
    until(lambda: holds(one, "d1"))
    both = [start("both-a", 0, 1), start("both-b", 0, 1)]
    until(lambda: any(holds(host, "d0") for host in both))
    titles = [*send(one, "d1", 25), *send(both[0], "d0", 25), *send(both[1], "d1", 12), *send(both[1], "d0", 12)]
    until(all_arrived(channel, titles), 60)
    until(lambda: all(map(settled, [one, *both])))
    assert Counter(channel.titles()) == Counter(titles)
    assert channel.counts()["limited"] == {}
    assert {message["webhook_id"] for message in channel.messages()} == {each["id"] for each in channel.webhooks}
