"""The scenario: one trio program that runs the fake, and starts and ends the daemon and the producers as processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import trio

import tocsin
from tocsind.errors import EXIT_INTERNAL
from tocsind.testing import FakeDiscord, Settings, Status, serve_fake

from .progress_line import ProgressLine
from .verdict import Verdict, judge

PRODUCERS = (("ma_unified", "BTCUSDT"), ("breakout", "ETHUSDT"), ("mean_reversion", "SOLUSDT"))
SIGNALS = 100  # per producer
PATIENCE = 90.0  # seconds; the demo takes about ten
STATUS_INTERVAL = 0.1  # seconds
OUTAGE_AT, OUTAGE_SECONDS = 60, 1.0  # Discord answers 503 once so many signals have arrived
KILL_AT = 180  # the daemon is killed once so many have arrived
SCALE = 0.05  # the fake's limits are Discord's own, twenty times as fast: 30 a channel in 3 s, 5 a webhook in 0.1 s

_CONFIG = """\
[destinations.signals-premium]
kind = "discord"
webhook = "{premium}"
limit = "1000/s"
channel-limit = "30/3s"
webhook-limit = "5/100ms"
fallback = ["local-file"]
retry = {{ first = "200ms", most = "1s" }}
breaker = {{ failures = 3, rest = "500ms", most = "2s" }}

[destinations.signals-free]
kind = "discord"
webhook = "{free}"
limit = "1000/s"
channel-limit = "30/3s"
webhook-limit = "5/100ms"
fallback = ["local-file"]

[destinations.local-file]
kind = "file"
path = "alerts.jsonl"

[[routes]]
when = {{ tier = "premium" }}
to = ["signals-premium"]

[[routes]]
to = ["signals-free"]
"""


def main() -> int:
    """Run the demo; 0 only when nothing was lost."""
    with tempfile.TemporaryDirectory(prefix="tocsin-demo-") as folder:
        try:
            return trio.run(Scenario(Path(folder)).run)
        except* (ProcessEnded, subprocess.CalledProcessError):
            print("tocsind: the demo's daemon or a producer ended early; its messages are above", file=sys.stderr)  # noqa: T201 - as a command does
    return EXIT_INTERNAL


class ProcessEnded(Exception):  # noqa: N818 - names the event
    """A process of the demo did not start, or ended early."""


class Scenario:
    """A folder, a fake, a daemon, and the printed progress."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = str(folder / "tocsin.sock")
        # not this machine's own spool, and no module of the working folder with the daemon's name
        self._env = {**os.environ, "TOCSIN_SPOOL": str(folder / "spool"), "PYTHONSAFEPATH": "1"}
        self._progress = ProgressLine(len(PRODUCERS) * SIGNALS)
        self._producers: list[dict[str, Any]] = []
        self._trips = 0

    async def run(self) -> int:
        """All steps, then the verdict; the exit code."""
        began = trio.current_time()
        self._progress.print_line(
            f"a daemon, a fake Discord and {len(PRODUCERS)} producers with {SIGNALS} signals each, in {self._folder}"
        )
        async with serve_fake(Settings(webhooks=2, scale=SCALE)) as fake:
            self._write_config(fake)
            with trio.move_on_after(PATIENCE) as patience:
                await self._steps(fake)
            verdict = judge(
                self._producers,
                fake.messages,
                limited=sum(fake.counts.limited.values()),
                seconds=trio.current_time() - began,
            )
        self._print_verdict(verdict, timed_out=patience.cancelled_caught)
        return 0 if verdict.good and not patience.cancelled_caught else 1

    def _write_config(self, fake: FakeDiscord) -> None:
        self._folder.joinpath("alerts.toml").write_text(_CONFIG.format(premium=fake.url(0), free=fake.url(1)))

    async def _steps(self, fake: FakeDiscord) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._outage, fake)
            async with trio.open_nursery() as watching:
                watching.start_soon(self._watch, fake)
                async with trio.open_nursery() as producers:
                    async with self._daemon() as daemon:
                        for strategy, symbol in PRODUCERS:
                            producers.start_soon(self._produce, strategy, symbol)
                        await fake.until(lambda: alerts(fake) >= KILL_AT)
                        self._progress.print_line("the daemon is killed with -9 and started again")
                        daemon.kill()
                    async with self._daemon():
                        await fake.until(partial(self._all_there, fake))
                        await self._drained()
                watching.cancel_scope.cancel()

    @asynccontextmanager
    async def _daemon(self) -> AsyncIterator[trio.Process]:
        """The daemon as a process; ended by SIGTERM if it still runs."""
        command = [sys.executable, "-m", "tocsind", "run", "--config", str(self._folder / "alerts.toml")]
        command += ["--socket", self._socket, "--state", str(self._folder / "state"), "--log", "error"]
        process = await trio.lowlevel.open_process(command, stdin=subprocess.DEVNULL, env=self._env)
        try:
            while await self._status() is None:
                if process.returncode is not None:
                    raise ProcessEnded("the demo's daemon did not start")
                await trio.sleep(STATUS_INTERVAL)
            yield process
        finally:
            process.terminate()
            with trio.CancelScope(shield=True):
                await process.wait()

    async def _produce(self, strategy: str, symbol: str) -> None:
        command = [sys.executable, "-m", "tocsind.demo.producer", self._socket, strategy, symbol, str(SIGNALS)]
        finished = await trio.run_process(command, capture_stdout=True, env=self._env)
        self._producers.append(json.loads(finished.stdout))

    def _all_there(self, fake: FakeDiscord) -> bool:
        """Whether as many signals arrived as the producers send."""
        return alerts(fake) >= len(PRODUCERS) * SIGNALS

    async def _drained(self) -> None:
        """Wait until all producers have ended and nothing is queued: a copy may still be in flight."""
        while len(self._producers) < len(PRODUCERS) or await self._depth() != 0:  # noqa: ASYNC110 - polls other processes
            await trio.sleep(STATUS_INTERVAL)

    async def _depth(self) -> int | None:
        status = await self._status()
        return None if status is None else int(status["queue"]["depth"])

    async def _outage(self, fake: FakeDiscord) -> None:
        await fake.until(lambda: alerts(fake) >= OUTAGE_AT)
        self._progress.print_line(f"Discord answers 503 on one channel for {OUTAGE_SECONDS:g} s")
        fake.script(Status(status=503, webhook=fake.webhook(0).id, count=None))
        await trio.sleep(OUTAGE_SECONDS)
        fake.clear_script()
        self._progress.print_line("Discord is back")

    async def _watch(self, fake: FakeDiscord) -> None:
        while True:
            status = await self._status()
            self._progress.update(alerts(fake), status)
            await trio.sleep(STATUS_INTERVAL)

    async def _status(self) -> dict[str, Any] | None:
        """The daemon's status; None while it is down."""
        try:
            status = await trio.to_thread.run_sync(tocsin.Client(self._socket).status)
        except tocsin.TocsinError:
            return None
        self._trips = max(self._trips, sum(lane["trips"] for lane in status["destinations"]))
        return status

    def _print_verdict(self, verdict: Verdict, *, timed_out: bool) -> None:
        self._progress.print_line("")
        for line in verdict.lines(self._trips):
            self._progress.print_line(line)
        if timed_out:
            self._progress.print_line(f"\nthe demo did not end within {PATIENCE:g} s")
        self._progress.print_line(
            "\nnothing was lost" if verdict.good else "\nsomething was lost or doubled: this is a bug"
        )


def alerts(fake: FakeDiscord) -> int:
    """The number of signals that arrived: a message carries up to ten."""
    return sum(len(message.payload["embeds"]) for message in fake.messages)
