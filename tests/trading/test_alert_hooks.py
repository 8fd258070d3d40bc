"""Subclasses of old aggregators: what they override and call, and the code of the seeds as it stands there."""

from __future__ import annotations

import asyncio
import copy
import logging
import os
import pickle
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import trio
from tests.harness import PATIENCE, DaemonProcess, until

from tocsin import Client
from tocsin.trading import MultiStrategyGenerator, SignalAggregator, TradingSignal
from tocsin.trading.alert_executor import AlertExecutor

ON = {"discord_alerts": True}


class OfTheSeeds(SignalAggregator):
    """The methods of the seeds, unchanged but for line breaks."""

    def __init__(self, strategy_weights: Any, aggregation_config: Any, **more: Any) -> None:
        super().__init__(strategy_weights, aggregation_config, **more)
        # Initialize thread pool executor for Discord alerts
        self._discord_executor = ThreadPoolExecutor(max_workers=2, thread_name_prefix="DiscordAlerts")

    def aggregate_signals(self, strategy_signals: Any) -> Any:  # type: ignore[override]
        # Process signals normally
        aggregated_signals = self._process_signals(strategy_signals)

        # Send Discord alerts without blocking
        if self.discord_manager and aggregated_signals:
            self._schedule_discord_alerts(aggregated_signals)

        return aggregated_signals

    def _schedule_discord_alerts(self, signals: Sequence[Any]) -> None:
        try:
            # Check if we're in an async context
            try:
                loop = asyncio.get_running_loop()
                # We're in an async context, create task
                loop.create_task(self._send_discord_alerts(signals))  # noqa: RUF006 - as it stands there
            except RuntimeError:
                # We're in a sync context, use thread-safe approach
                if self._discord_executor:
                    self._discord_executor.submit(self._send_discord_alerts_sync, signals)
                else:
                    # Fallback to direct async execution
                    self._schedule_discord_alerts_fallback(signals)
        except Exception as e:  # noqa: BLE001 - as above
            self.logger.error(f"Failed to schedule Discord alerts: {e}")  # noqa: G004, TRY400 - as above

    def _send_discord_alerts_sync(self, signals: Sequence[Any]) -> None:
        try:
            # Create new event loop for this thread
            loop = asyncio.new_event_loop()
            asyncio.set_event_loop(loop)

            try:
                loop.run_until_complete(self._send_discord_alerts(signals))
            finally:
                loop.close()

        except Exception as e:  # noqa: BLE001 - as above
            self.logger.error(f"Failed to send Discord alerts in thread: {e}")  # noqa: G004, TRY400 - as above

    def cleanup(self) -> None:
        """Clean up resources, especially the thread pool executor."""
        if self._discord_executor:
            try:
                self._discord_executor.shutdown(wait=True)
                self.logger.info("Discord alert thread pool executor shut down")
            except Exception as e:  # noqa: BLE001 - as above
                self.logger.error(f"Error shutting down Discord executor: {e}")  # noqa: G004, TRY400 - as above

    def __del__(self) -> None:
        """Destructor to ensure thread pool is cleaned up."""
        self.cleanup()


class WithoutExecutor(OfTheSeeds):
    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.cleanup()
        self._discord_executor = None


def signals(*symbols: str, confidence: float = 0.5) -> dict[str, list[TradingSignal]]:
    return {"ma": [TradingSignal(symbol, "BUY", 1.0, confidence) for symbol in symbols]}


def arrived(daemon: DaemonProcess, count: int) -> list[str]:
    """The titles that were delivered, once there are so many, and no more."""
    until(lambda: bool(daemon.status()["counters"]["notifications_sent"] >= count))
    rows = daemon.client.request("queue", state="sent", limit=1000)["deliveries"]
    return sorted(daemon.client.why(row["id"])["signal"]["title"] for row in rows)


def in_sync(work: Callable[[], Any]) -> None:
    work()


def in_asyncio(work: Callable[[], Any]) -> None:
    async def main() -> None:
        work()

    asyncio.run(main())


def in_trio(work: Callable[[], Any]) -> None:
    async def main() -> None:
        work()

    trio.run(main)


def in_threads(work: Callable[[], Any]) -> None:
    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("run", [in_sync, in_asyncio, in_trio, in_threads])
@pytest.mark.parametrize("kind", [SignalAggregator, OfTheSeeds, WithoutExecutor])
def test_aggregator_of_the_seeds_alerts_in_every_context(
    daemon: DaemonProcess, client: Client, run: Callable[..., None], kind: type[SignalAggregator]
) -> None:
    aggregator = kind({"ma": 1}, ON, client=client)
    run(lambda: aggregator.aggregate_signals(signals("BTC", "ETH")))
    aggregator.cleanup()
    runs = 3 if run is in_threads else 1
    assert arrived(daemon, 2 * runs) == ["BUY BTC"] * runs + ["BUY ETH"] * runs


class Filtering(SignalAggregator):
    """Changes the result of one step, and calls the next one's original."""

    def _process_signals(self, strategy_signals: Any) -> list[Any]:
        return [each for each in super()._process_signals(strategy_signals) if each.symbol != "DOGE"]

    def _schedule_discord_alerts(self, signals: Sequence[Any]) -> None:
        super()._schedule_discord_alerts([*signals[:1], {"symbol": "ADDED", "action": "SELL", "confidence": "95%"}])


def test_overrides_filter_and_add_alerts(daemon: DaemonProcess, client: Client) -> None:
    with Filtering({}, {**ON, "tier": "premium"}, client=client) as aggregator:
        found = aggregator.aggregate_signals(signals("DOGE", "BTC", "ETH"))
        assert [each.symbol for each in found] == ["BTC", "ETH"]
        assert aggregator.flush(PATIENCE)
        assert [receipt.state for receipt in aggregator.report.receipts] == ["stored"] * 2
    assert arrived(daemon, 2) == ["BUY BTC", "SELL ADDED"]


class SendsItself(SignalAggregator):
    """Overrides the coroutine that sends."""

    raises = False

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.sent: list[str] = []

    async def _send_discord_alerts(self, signals: Sequence[Any]) -> None:
        await asyncio.sleep(0)
        if self.raises:
            raise ConnectionError
        self.sent += [each.symbol for each in signals]


@pytest.mark.parametrize("run", [in_sync, in_trio, in_threads])
def test_own_sender_runs_in_a_thread(client: Client, run: Callable[..., None]) -> None:
    aggregator = SendsItself({}, ON, client=client)
    run(lambda: aggregator.aggregate_signals(signals("BTC")))
    aggregator.cleanup()
    assert set(aggregator.sent) == {"BTC"}


def test_own_sender_runs_as_a_task_of_the_running_loop(client: Client) -> None:
    aggregator = SendsItself({}, ON, client=client)

    async def main() -> None:
        aggregator.aggregate_signals(signals("BTC"))
        assert aggregator.sent == []
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert aggregator.sent == ["BTC"]

    asyncio.run(main())


def test_alerts_of_an_own_sender_that_raises_go_to_the_daemon(
    daemon: DaemonProcess, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    aggregator = SendsItself({}, ON, client=client)
    aggregator.raises = True
    aggregator.aggregate_signals(signals("BTC"))
    aggregator.cleanup()
    assert arrived(daemon, 1) == ["BUY BTC"]
    assert "_send_discord_alerts raised ConnectionError; the daemon gets the alerts" in caplog.messages


class FailsToSchedule(SignalAggregator):
    def _schedule_discord_alerts(self, signals: Sequence[Any]) -> None:
        super()._schedule_discord_alerts(signals[:1])
        raise RuntimeError("no")


def test_override_that_raises_loses_and_repeats_no_alert(daemon: DaemonProcess, client: Client) -> None:
    with FailsToSchedule({}, ON, client=client) as aggregator:
        assert len(aggregator.aggregate_signals(signals("BTC", "ETH"))) == 2
    assert arrived(daemon, 2) == ["BUY BTC", "BUY ETH"]


def test_discord_manager_switches_alerts(daemon: DaemonProcess, client: Client) -> None:
    off, on = SignalAggregator({}, {}, client=client), SignalAggregator({}, ON, client=client)
    assert off.discord_manager is None
    off.discord_manager = object()  # as a subclass that makes its own
    on.discord_manager = None
    for aggregator, symbol in ((off, "ON"), (on, "OFF")):
        aggregator.aggregate_signals(signals(symbol))
        aggregator.cleanup()
    assert arrived(daemon, 1) == ["BUY ON"]
    assert on.report.verdicts[0].reason == "alerts are off"


@pytest.mark.parametrize("run", [asyncio.run, lambda work: trio.run(lambda: work)], ids=["asyncio", "trio"])
def test_discord_manager_sends_signals_texts_and_messages(
    daemon: DaemonProcess, client: Client, run: Callable[[Coroutine[Any, Any, Any]], Any]
) -> None:
    manager = SignalAggregator({}, {**ON, "tier": "premium"}, client=client).discord_manager

    async def main() -> list[bool]:
        found = [
            await manager.send_signal(TradingSignal("BTC", "BUY", 1.0, 0.2), channel="#signals-free"),
            await manager.send_message("a text"),
            await manager.send_message({"content": "a message"}),
            await manager.send_alerts([{"symbol": "A"}, {"symbol": "B"}]),
            await manager.send_alerts([None, {"symbol": "C"}]),
        ]
        await manager.close()
        return found

    assert run(main()) == [True, True, True, True, False]
    assert arrived(daemon, 6) == ["A", "B", "BUY BTC", "C", "a message", "a text"]


def test_alert_below_the_thresholds_is_not_sent_by_a_subclass(daemon: DaemonProcess, client: Client) -> None:
    aggregator = OfTheSeeds({}, {**ON, "min_confidence": "70%"}, client=client)
    assert (
        len(aggregator.aggregate_signals({"ma": [*signals("LOW")["ma"], *signals("HIGH", confidence=0.9)["ma"]]})) == 2
    )
    aggregator.cleanup()
    assert arrived(daemon, 1) == ["BUY HIGH"]


def test_attributes_of_the_seeds_exist(caplog: pytest.LogCaptureFixture) -> None:
    config = {**ON, "discord_config": {"max_retries": 3}}
    aggregator = SignalAggregator({"ma": 0.6}, config)
    assert (aggregator.strategy_weights, aggregator.aggregation_config) == ({"ma": 0.6}, config)
    assert (OfTheSeeds({}, {}).logger.name, aggregator.logger.name) == (__name__, "tocsin.trading.aggregator")
    assert aggregator._discord_executor is not None
    assert aggregator._discord_executor.submit(pow, 2, 3).result(PATIENCE) == 8
    aggregator.logger = logging.getLogger("own")
    assert aggregator.logger.name == "own"
    generator = MultiStrategyGenerator({"ma": lambda _: []}, config)
    assert set(generator.strategy_configs) == {"ma"}
    assert generator.aggregator_config is config
    assert caplog.text.count("max_retries = 3 is ignored: write retry =") == 2


def test_aggregator_knows_a_bounded_number_of_inputs(no_daemon: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tocsin.trading.aggregator._MOST_INPUTS", 5)
    aggregator = Filtering({}, ON, client=no_daemon)
    for _ in range(4):
        aggregator.aggregate_signals(signals("A", "B", "C"))
    assert [len(results) for results in aggregator._results] == [3]
    off = SignalAggregator({}, {}, client=no_daemon)
    off.aggregate_signals(signals("A"))
    assert not off._results


def test_changed_weights_count_in_the_next_run(no_daemon: Client) -> None:
    given = {"a": 1.0, "b": 1.0}
    aggregator = SignalAggregator(given, {}, client=no_daemon)
    raised = {"a": [TradingSignal("X", "BUY", 1, 0.5)], "b": [TradingSignal("X", "SELL", 1, 0.5)]}
    aggregator.aggregate_signals(raised)
    assert {verdict.agreement for verdict in aggregator.report.verdicts} == {0.5}
    given["a"] = 3.0
    aggregator.aggregate_signals(raised)
    assert {verdict.agreement for verdict in aggregator.report.verdicts} == {0.75, 0.25}


def test_generator_runs_a_subclass_of_the_aggregator(daemon: DaemonProcess, client: Client) -> None:
    def broken(days: int) -> list[Any]:
        raise LookupError(days)

    generator = MultiStrategyGenerator({"ma": lambda _: signals("BTC")["ma"], "rsi": broken}, ON)
    generator.aggregator = OfTheSeeds({}, ON, client=client)
    assert [each.symbol for each in generator.generate_aggregated_signals(days=30)] == ["BTC"]
    assert [each.strategy for each in generator.report.failed] == ["rsi"]
    generator.cleanup()
    assert arrived(daemon, 1) == ["BUY BTC"]


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda given: pickle.loads(pickle.dumps(given))])
@pytest.mark.parametrize("kind", [SignalAggregator, OfTheSeeds])
def test_used_aggregator_can_be_copied(
    daemon: DaemonProcess, client: Client, copied: Callable[[Any], Any], kind: type[SignalAggregator]
) -> None:
    original = kind({}, ON, client=client)
    original.aggregate_signals(signals("FIRST"))
    assert original._discord_executor is not None
    original._discord_executor.submit(pow, 2, 3).result(PATIENCE)
    assert original.logger is not None
    other = copied(original)
    other.aggregate_signals(signals("SECOND"))
    for each in (original, other):
        each.cleanup()
        SignalAggregator.cleanup(each)  # which that of the seeds does not call
    assert arrived(daemon, 2) == ["BUY FIRST", "BUY SECOND"]


def test_executor_works_after_shutdown_and_in_a_forked_child() -> None:
    executor = AlertExecutor()
    assert executor.submit(pow, 2, 3).result(PATIENCE) == 8
    pid = os.fork()
    if pid == 0:
        os._exit(executor.submit(pow, 2, 4).result(PATIENCE))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 16
    executor.shutdown()
    assert executor.submit(pow, 2, 5).result(PATIENCE) == 32
    executor._pool().shutdown()  # as the interpreter does at its end
    assert executor.submit(pow, 2, 6).result(PATIENCE) == 64
    with pytest.raises(ZeroDivisionError):
        executor.submit(divmod, 1, 0).result(PATIENCE)
    executor.shutdown()


def test_cleanup_of_an_aggregator_whose_init_failed_raises_nothing() -> None:
    SignalAggregator.__new__(SignalAggregator).cleanup()
