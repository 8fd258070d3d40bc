"""B12 with real processes: three daemons and a real engine, beside one daemon alone, at the same time and with the same signals.

Each group has a fake Discord of its own, with both limits; `--quick` has windows of a twentieth of the real ones (30 messages in 3 s). The
signals of the group fall on its hosts in turn; every tenth is URGENT.

    429s              requests that were refused
    p50 s, p99 s      from the hand-off to the instant at which the server counted the message
    p50 x, p99 x      the same against one host
    URGENT p99 s      the same for URGENT alone
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from tests.harness import DaemonProcess, FakeProcess, discord, route, until
from tests.shared.conftest import PROGRAM, RedisServer
from tests.shared.test_hosts import LIMITS, hosts

from tocsind.testing.reader import alerts_in

from .command import Size, main
from .handoff import PATIENCE
from .table import Row, Table, percentile

HOSTS = 3
URGENT = 10  # one in so many


class Load(NamedTuple):
    """So many signals for each group, one `every` so many seconds; the server's windows, and the limits that the daemons know."""

    signals: int
    every: float
    windows: str
    limits: Mapping[str, str]


LOADS: Final = {
    Size.TINY: Load(20, 0.04, "0.05", LIMITS),
    Size.QUICK: Load(400, 0.04, "0.05", LIMITS),
    Size.FULL: Load(80, 0.75, "real", {"channel-limit": '"30/60s"', "webhook-limit": '"5/2s"'}),
}


def measure(size: Size) -> Table:
    """The table of B12 with real daemons."""
    load = LOADS[size]
    fakes = FakeProcess("--limits", load.windows), FakeProcess("--limits", load.windows)
    with TemporaryDirectory() as name, fakes[0] as alone, fakes[1] as common:
        folder = Path(name)
        engine = RedisServer(folder).start()
        try:
            with (
                _one_host(folder / "one", alone, load.limits) as one,
                hosts(folder, common, engine, HOSTS, limits=load.limits) as several,
            ):
                groups: Mapping[str, tuple[Sequence[DaemonProcess], FakeProcess]] = {
                    "one host": (one, alone),
                    f"{HOSTS} hosts": (several, common),
                }
                sent = _send(load, [daemons for daemons, _ in groups.values()])
                for _, fake in groups.values():
                    until(lambda fake=fake: set(fake.titles()) == set(sent), 3 * PATIENCE)  # type: ignore[misc]
        finally:
            engine.kill()
        waits = {name: _waits(fake, sent) for name, (_, fake) in groups.items()}
        refused = {name: sum(fake.counts()["limited"].values()) for name, (_, fake) in groups.items()}
    first = waits["one host"]
    return Table(
        bench="b12r",
        title=f"{HOSTS} real daemons that share a webhook through {PROGRAM}, beside one alone",
        rows=[Row(name, {"429s": refused[name], **_figures(found, first)}) for name, found in waits.items()],
        counts={"sent": 2 * load.signals, "arrived": sum(map(len, waits.values()))},
        notes=[f"{load.signals} signals for each group in {load.signals * load.every:g} s, one in {URGENT} URGENT"],
    )


@contextmanager
def _one_host(folder: Path, fake: FakeProcess, limits: Mapping[str, str]) -> Iterator[list[DaemonProcess]]:
    config = discord("d", fake.webhooks[0]["url"], **limits) + route("d")
    with DaemonProcess(folder, config).start() as daemon:
        yield [daemon]


def _send(load: Load, groups: Sequence[Sequence[DaemonProcess]]) -> dict[str, float]:
    """Hand each signal to a host of each group. Returns when, by title."""
    sent, began = {}, time.monotonic()
    for n in range(load.signals):
        time.sleep(max(0.0, began + n * load.every - time.monotonic()))
        priority = "urgent" if n % URGENT == 0 else "normal"
        title = f"{priority} {n}"
        sent[title] = time.time()
        for daemons in groups:
            daemons[n % len(daemons)].client.send(title, priority=priority)
    return sent


def _waits(fake: FakeProcess, sent: Mapping[str, float]) -> dict[str, float]:
    """Seconds by title, to the first arrival."""
    found: dict[str, float] = {}
    for message in fake.messages():
        for title in (alert.title for alert in alerts_in(message["payload"])):
            found.setdefault(title, message["at"] - sent[title])
    return found


def _figures(waits: Mapping[str, float], first: Mapping[str, float]) -> dict[str, float]:
    own, other = list(waits.values()), list(first.values())
    urgent = [wait for title, wait in waits.items() if title.startswith("urgent")]
    return {
        "p50 s": percentile(own, 50),
        "p99 s": percentile(own, 99),
        "p50 x": percentile(own, 50) / percentile(other, 50),
        "p99 x": percentile(own, 99) / percentile(other, 99),
        "URGENT p99 s": percentile(urgent, 99),
    }


if __name__ == "__main__":
    main({"b12r": measure})
