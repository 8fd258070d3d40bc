"""Faults of the daemon, the connection and the spool: `send` raises nothing, ends in time, and returns a true receipt."""

from __future__ import annotations

import resource
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from statistics import median
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.e2e.assertions import Copy, by_id, written
from tests.e2e.chaos_proxy import FAULTS, ChaosProxy
from tests.harness import DaemonProcess, file, route, until

from tocsin import Client, Receipt, Signal
from tocsin.wire import ACKS

TIMEOUT = 0.1
DAEMON = ("well", "stopped", "killed", "frozen")
SPOOL = ("well", "missing", "disk full", "open to others")
NUMBERS = count()


class Step(NamedTuple):
    """The faults, and the signals that are sent during them, one by one or together."""

    connection: str
    daemon: str
    spool: str
    ack: str
    signals: int
    together: bool


steps = st.builds(
    Step,
    st.sampled_from(FAULTS),
    st.sampled_from(DAEMON),
    st.sampled_from(SPOOL),
    st.sampled_from(ACKS),
    st.integers(1, 3),
    st.booleans(),
)


@contextmanager
def full_disk() -> Iterator[None]:
    """Let no file of this process grow, which has the effect of a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def missing(spool: Path) -> Iterator[None]:
    """Remove the spool if it holds no signal."""
    if spool.exists() and {path.name for path in spool.iterdir()} <= {"quarantine"}:
        (spool / "quarantine").rmdir() if (spool / "quarantine").exists() else None
        spool.rmdir()
    yield


@contextmanager
def open_to_others(spool: Path) -> Iterator[None]:
    spool.mkdir(mode=0o700, parents=True, exist_ok=True)
    spool.chmod(0o777)
    try:
        yield
    finally:
        spool.chmod(0o700)


class World:
    """A daemon, a proxy before its socket, and the receipts of all signals."""

    def __init__(self, folder: Path) -> None:
        self.daemon = DaemonProcess(folder, file() + route("local-file"))
        self.proxy = ChaosProxy(folder / "proxy", self.daemon.socket)
        self.receipts: list[Receipt] = []
        self.seconds: dict[str, list[float]] = defaultdict(list)  # of each send, by the fault of its connection
        self._connection = ""

    def run(self, step: Step) -> None:
        self._connection = step.connection
        self.proxy.inject(step.connection)
        self._inject(step.daemon)
        spool = {
            "well": missing,  # the client makes it again
            "missing": missing,
            "disk full": lambda _: full_disk(),
            "open to others": open_to_others,
        }[step.spool]
        with Client(self.proxy.path, TIMEOUT, step.ack, self.daemon.spool) as client, spool(self.daemon.spool):
            signals = [Signal(f"{next(NUMBERS)}") for _ in range(step.signals)]
            if step.together:
                self._timed(lambda: client.send_many(signals), signals)
            else:
                for each in signals:
                    self._timed(lambda each=each: [client.send(each)], [each])  # type: ignore[misc]
        self._recover()

    def _inject(self, fault: str) -> None:
        if fault == "stopped":
            assert self.daemon.stop() == 0
        elif fault == "killed":
            self.daemon.kill()
        elif fault == "frozen":
            self.daemon.process.send_signal(signal.SIGSTOP)

    def _recover(self) -> None:
        if self.daemon.process.poll() is None:
            self.daemon.process.send_signal(signal.SIGCONT)
        else:
            self.daemon.start()

    def _timed(self, send: Callable[[], list[Receipt]], signals: list[Signal]) -> None:
        started = time.monotonic()
        receipts = send()
        self.seconds[self._connection].append(time.monotonic() - started)
        assert [receipt.id for receipt in receipts] == [each.id for each in signals]
        assert all(receipt.reason for receipt in receipts if receipt.state != "stored")
        self.receipts += receipts

    def settle(self) -> dict[str, list[Copy]]:
        """Wait until the spool and the queue are empty; returns all that arrived, by id."""
        self.proxy.inject("absent")
        until(self._is_quiet)
        path = self.daemon.state / "alerts.jsonl"
        return by_id(written(path)) if path.exists() else {}

    def _is_quiet(self) -> bool:
        status = self.daemon.status()
        return (status["spool"]["files"], status["queue"]["depth"]) == (0, 0)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_receipt_is_true_under_injected_faults(tmp_path: Path) -> None:
    world = World(tmp_path)
    with world.daemon.start(), world.proxy:

        @given(st.lists(steps, min_size=1, max_size=4))
        @settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
        def run(story: list[Step]) -> None:
            world.receipts.clear()
            for step in story:
                world.run(step)
            arrived = world.settle()
            for receipt in world.receipts:
                copies = arrived.get(receipt.id, [])
                assert receipt.state in ("stored", "duplicate", "spooled", "dropped"), receipt
                assert len(copies) >= receipt.durable, receipt
                assert all(copy.marked for copy in copies[1:]), copies  # only requests in flight at a kill are repeated

        run()
        most = 2 * TIMEOUT + 5 * median(
            world.seconds["absent"]
        )  # there a send is a write to the spool, without an exchange
        assert {fault: took for fault, each in world.seconds.items() if (took := median(each)) >= most} == {}
        everything = Counter(copy.marked for copies in world.settle().values() for copy in copies)
        assert everything[False] > 0
        assert world.daemon.status()["spool"]["quarantined"] == 0
