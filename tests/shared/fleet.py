"""Three daemons with a way of their own each to a common engine, for tests that spoil one thing after the other."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.harness import DaemonProcess, FakeProcess, discord, need, route, until
from tests.shared.conftest import PROGRAM, RedisServer
from tests.shared.ways import Way

from tocsin.signals import Signal

LIMITS = {"channel-limit": '"30/3s"', "webhook-limit": '"5/100ms"'}  # of a fake with `--limits 0.05`
BATCH = 10  # alerts in one request
LONG = 90.0  # s for what takes several seconds on a machine without other work


class Fleet:
    """The daemons, their ways, the engine, the fake Discord. `heal` makes all of it work again."""

    def __init__(self, folder: Path, fake: FakeProcess, engine: RedisServer, ways: list[Way]) -> None:
        self.folder = folder
        self.fake = fake
        self.engine = engine
        self.ways = ways
        self.hosts: list[DaemonProcess] = []
        self.limited: Any = {}
        self._made = 0

    def heal(self) -> None:
        """All runs, and no delivery waits. Counts of refused requests start here."""
        if self.engine.process.poll() is not None:
            self.engine.start()
        self.engine.command("REPLICAOF", "NO", "ONE")
        for way in self.ways:
            way.mend()
        for host in self.hosts:
            host.process.send_signal(signal.SIGCONT)
            if host.process.poll() is not None:
                host.start()
        until(lambda: all(lane(host)["holder"] and settled(host) for host in self.hosts), LONG)
        self.limited = self.fake.counts()["limited"]

    def send(self, host: DaemonProcess, n: int, priority: str = "normal") -> list[str]:
        """Titles of n signals that this host accepts. No other has the same."""
        titles = [f"{priority} {self._made + number}" for number in range(n)]
        self._made += n
        host.client.send_many([Signal(title, priority=priority) for title in titles])
        return titles

    def send_all(self, n: int, priority: str = "normal") -> list[str]:
        """Titles of n signals for each host."""
        return [title for host in self.hosts for title in self.send(host, n, priority)]

    def handed_over(self, n: int) -> list[str]:
        """Titles of n signals of each host, the holder's first. Until `fake.release` the engine has them, and one request."""
        holder = self.holder()
        self.fake.hold()
        titles = self.send(holder, n)
        self.fake.await_held()
        titles += [title for host in self.others(holder) for title in self.send(host, n)]
        self.await_known(self.engine, titles)
        return titles

    def await_known(self, engine: RedisServer, titles: list[str]) -> None:
        """Wait until this engine has them, except one request's."""
        key = self.key("at")
        until(lambda: int(engine.command("HLEN", key)) >= len(titles) - BATCH)

    def holder(self, among: list[DaemonProcess] | None = None) -> DaemonProcess:
        """The daemon that sends."""
        holding: list[DaemonProcess] = []

        def one() -> bool:
            holding[:] = [host for host in among or self.hosts if lane(host)["here"]]
            return len(holding) == 1

        until(one, LONG)
        return holding[0]

    def running(self) -> list[DaemonProcess]:
        return [host for host in self.hosts if host.process.poll() is None]

    def others(self, than: DaemonProcess) -> list[DaemonProcess]:
        return [host for host in self.hosts if host is not than]

    def way_of(self, host: DaemonProcess) -> Way:
        return self.ways[self.hosts.index(host)]

    def await_arrived(self, titles: list[str], most: int | None = None) -> None:
        """Wait until all of them have arrived; or as many as `most`."""
        until(lambda: len(set(titles) & set(self.fake.titles())) >= (len(titles) if most is None else most), LONG)

    def await_settled(self, titles: list[str]) -> None:
        """Wait until all of them have arrived, and the daemons that run know it."""
        self.await_arrived(titles)
        until(lambda: all(map(settled, self.running())), LONG)

    def check(self, titles: list[str], *, limited: bool = False) -> int:
        """Nothing is lost, and what came twice is marked. Without `limited` no request was refused. Returns how many came twice."""
        self.await_settled(titles)
        alerts = [alert for alert in self.fake.alerts() if alert.title in set(titles)]
        unmarked = Counter(alert.title for alert in alerts if not alert.doubt)
        assert [title for title, n in unmarked.items() if n > 1] == []
        if not limited:
            assert self.fake.counts()["limited"] == self.limited
        return len(alerts) - len(set(titles))

    def fail_over(self, replica: RedisServer) -> None:
        """The engine dies, and what this replica has is the engine from now on. It refuses to write at first."""
        self.engine.kill()
        for way in self.ways:
            way.lead_to(replica.socket)
        self.engine = replica
        until(lambda: any("read only" in (host.status()["shared"]["reason"] or "") for host in self.running()))
        replica.command("REPLICAOF", "NO", "ONE")

    def marks(self, titles: list[str]) -> int:
        """How many of them arrived with a mark."""
        return sum(alert.doubt for alert in self.fake.alerts() if alert.title in set(titles))

    def key(self, name: str) -> str:
        """The engine's key of this name, of the only target."""
        (found,) = [key.rpartition(":")[0] for key in self.engine.command("KEYS", "*:epoch").split()]
        return f"{found}:{name}"


@contextmanager
def fleet(folder: Path, engine: RedisServer, *, n: int = 3, extra: str = "") -> Iterator[Fleet]:
    """A fleet of n daemons on this engine, for the length of the block."""
    with ExitStack() as stack:
        fake = stack.enter_context(FakeProcess("--limits", "0.05"))
        ways = [stack.enter_context(Way(folder / f"way{number}", engine.socket)) for number in range(n)]
        found = Fleet(folder, fake, engine, ways)
        rest = f"{extra}\n" + discord("d", fake.webhooks[0]["url"], **LIMITS) + route("d")
        for number, way in enumerate(ways):
            config = f'[shared]\nurl = "{way.url}"\n{rest}'
            found.hosts.append(stack.enter_context(DaemonProcess(folder / f"h{number}", config)))
        for host in found.hosts:
            host.start()
        yield found


def lane(host: DaemonProcess) -> dict[str, Any]:
    found: dict[str, Any] = host.status()["shared"]["lanes"][0]
    return found


def settled(host: DaemonProcess) -> bool:
    return bool(host.status()["queue"]["depth"] == 0)


def freeze(process: Any) -> None:
    """Stop a process, and wait until it stands still."""
    os.kill(process.pid, signal.SIGSTOP)
    until(lambda: Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")


@contextmanager
def fresh_fleet() -> Iterator[Fleet]:
    """A fleet with an engine of its own."""
    folder = Path(tempfile.mkdtemp(prefix="tocsin-fleet-"))
    need(PROGRAM)
    engine = RedisServer(folder).start()
    try:
        with fleet(folder, engine) as found:
            try:
                yield found
            finally:
                found.engine.kill()
    finally:
        engine.kill()
        shutil.rmtree(folder, ignore_errors=True)
