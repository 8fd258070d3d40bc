"""The calls of the code that asked for this project, with nothing but its import changed, against a real daemon and the fake Discord."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trio
from tests.compat.conftest import arrived
from tests.harness import DaemonProcess, FakeProcess
from tests.outboxes import bodies, files, held

from tocsin import compat
from tocsin.compat import send as compat_send
from tocsin.signals import PRIORITIES

AFTER = """
from tocsin.compat import NotificationPriority, UserTier, send_signal_async, send_signal_to_discord
from tocsin.compat import on_strategy_start
"""
STRATEGY = """
class MAUnifiedStrategy:
    def __init__(self):
        self.running = on_strategy_start()  # Called in strategy __init__

    async def notify(self, signal_entity, context):
        # Non-blocking signal notification
        success = await send_signal_async(
            signal=signal_entity,
            priority=NotificationPriority.HIGH,
            user_tier=UserTier.PREMIUM,
            additional_context=context
        )
        return success

    async def notify_with_fallback(self, signal):
        try:
            # Try async notification
            success = await send_signal_async(signal)
        except Exception:
            # Automatic fallback to legacy notification
            success = await send_signal_to_discord(signal)
        return success
"""


@dataclass
class SignalEntity:
    """What a strategy of that time raised."""

    symbol: str = "BTCUSDT"
    signal_type: str = "BUY"
    entry_price: float = 64000.5
    confidence: float = 0.85
    stop_loss: float = 63000.0
    take_profit: float = 66000.0
    timestamp: str = "2026-11-24T16:00:00Z"
    metadata: dict[str, Any] = field(default_factory=lambda: {"rsi": 33})


def strategy() -> Any:
    """The strategy of the seeds, with its import changed."""
    names: dict[str, Any] = {}
    exec(AFTER + STRATEGY, names)
    return names["MAUnifiedStrategy"]()


def in_asyncio(call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    return asyncio.run(call())


def in_trio(call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    return trio.run(call)


def in_a_thread(call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(asyncio.run(call())))
    thread.start()
    thread.join()
    return answers[0]


LOOPS = pytest.mark.parametrize("run", [in_asyncio, in_trio, in_a_thread])


@LOOPS
def test_strategy_of_the_seeds_reaches_its_tier(
    daemon: DaemonProcess, channels: FakeProcess, run: Callable[..., Any]
) -> None:
    ours, symbol = strategy(), run.__name__.upper()
    assert ours.running is True
    assert run(lambda: ours.notify(SignalEntity(symbol=symbol), {"timeframe": "1h"})) is True
    [embed] = arrived(channels, 0, f"BUY {symbol}")
    told = {each["name"].lower(): each["value"] for each in embed["fields"]}
    assert (told["timeframe"], told["rsi"]) == ("1h", "33")
    assert embed["timestamp"].startswith("2026-11-24T16:00:00")
    assert embed["footer"]["text"].startswith("high")


@LOOPS
def test_send_signal_async_in_ten_tasks_delivers_all(
    daemon: DaemonProcess, channels: FakeProcess, run: Callable[..., Any]
) -> None:
    ours, symbols = strategy(), [f"{run.__name__}{n}" for n in range(25)]

    async def all_in_asyncio() -> list[bool]:
        return list(await asyncio.gather(*(ours.notify_with_fallback(SignalEntity(symbol=each)) for each in symbols)))

    async def all_in_trio() -> list[bool]:
        answers: list[bool] = []

        async def one(symbol: str) -> None:
            answers.append(await ours.notify_with_fallback(SignalEntity(symbol=symbol)))

        async with trio.open_nursery() as nursery:
            for symbol in symbols:
                nursery.start_soon(one, symbol)
        return answers

    assert run(all_in_trio if run is in_trio else all_in_asyncio) == [True] * len(symbols)
    arrived(channels, 1, *(f"BUY {symbol}" for symbol in symbols))


def test_send_signal_sync_works_in_any_thread(daemon: DaemonProcess, channels: FakeProcess) -> None:
    answers: list[bool] = []
    symbols = [f"T{n}" for n in range(12)]

    def send(symbol: str) -> None:
        answers.append(compat.send_signal_sync(SignalEntity(symbol=symbol)))

    threads = [threading.Thread(target=send, args=(symbol,)) for symbol in symbols]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [True] * 12
    arrived(channels, 1, *(f"BUY {symbol}" for symbol in symbols))


@pytest.mark.parametrize(
    ("confidence", "priority"), [(0.95, "urgent"), (0.9, "high"), (0.85, "high"), (0.8, "normal"), (None, "normal")]
)
def test_priority_depends_on_the_confidence_by_default(
    daemon: DaemonProcess, channels: FakeProcess, confidence: float | None, priority: str
) -> None:
    assert compat.send_signal_sync({"symbol": f"C{confidence}", "confidence": confidence}) is True
    [embed] = arrived(channels, 1, f"C{confidence}")
    [label, *_] = embed["footer"]["text"].split(" · ")
    assert label == priority or (priority == "normal" and label not in PRIORITIES)


def test_send_signal_to_discord_spools_and_returns_true(daemon: DaemonProcess, channels: FakeProcess) -> None:
    daemon.kill()
    assert asyncio.run(compat.send_signal_async(SignalEntity(symbol="SPOOLED1"))) is True
    assert compat.send_signal_sync(SignalEntity(symbol="SPOOLED2")) is True
    assert [signal["symbol"] for signal in held(daemon.spool)] == ["SPOOLED1", "SPOOLED2"]
    daemon.start()
    arrived(channels, 1, "BUY SPOOLED1", "BUY SPOOLED2")


def test_hung_daemon_does_not_block_the_loop(
    daemon: DaemonProcess, channels: FakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compat_send._client, "timeout", 0.25)
    symbols = [f"HUNG{n}" for n in range(12)]

    async def trade() -> tuple[list[bool], int]:
        sending = asyncio.gather(*(compat.send_signal_async(SignalEntity(symbol=symbol)) for symbol in symbols))
        ticks = 0
        while not sending.done():
            await asyncio.sleep(0)
            ticks += 1
        return await sending, ticks

    daemon.process.send_signal(signal.SIGSTOP)
    os.waitpid(daemon.process.pid, os.WUNTRACED)  # until it has stopped
    try:
        answers, ticks = asyncio.run(trade())
    finally:
        records = sum(len(bodies(file)) for file in files(daemon.spool))
        daemon.process.send_signal(signal.SIGCONT)
    assert answers == [True] * 12
    assert ticks > 20  # of thousands: a loop that were held up would have had a few
    assert records <= 3
    arrived(channels, 1, *(f"BUY {symbol}" for symbol in symbols))


def test_dropped_signal_returns_false_and_is_logged(
    no_daemon: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (no_daemon / "file").touch()
    monkeypatch.setenv("TOCSIN_SPOOL", str(no_daemon / "file" / "spool"))
    assert compat.send_signal_sync(SignalEntity()) is False
    assert asyncio.run(compat.send_signal_async(SignalEntity())) is False
    assert asyncio.run(compat.send_signal_to_discord(None)) is False
    assert {record.name for record in caplog.records} == {"tocsin"}
    assert "no daemon at" in caplog.messages[0]
    assert "signal: is None" in caplog.messages[-1]
