"""A client, a handler and what holds them travel: copied, pickled, sent to another process. Connections and threads stay at home."""

from __future__ import annotations

import copy
import logging
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.client.servers import Serve

import tocsin
from tocsin.trading import MultiStrategyGenerator, SignalAggregator


def pickled(thing: Any) -> Any:
    return pickle.loads(pickle.dumps(thing))


WAYS = [copy.copy, copy.deepcopy, pickled]


class Strategy:
    """As users write them: a client among the attributes."""

    def __init__(self, client: tocsin.Client) -> None:
        self.settings = {"alerts": client}
        self.send = client.send


@pytest.mark.parametrize("way", WAYS)
def test_used_client_is_pickled_without_its_connection(way: Callable[[Any], Any], serve: Serve) -> None:
    server = serve()
    with tocsin.Client(server.path, timeout=7, ack="received", spool=False, strict=True) as client:
        client.send("one")
        other = way(client)
        assert repr(other) == repr(client)
        assert [other.send("two").state, client.send("three").state] == ["stored", "stored"]
        other.close()
        client.send("four")
    assert server.visits == 2
    assert [request["signal"]["title"] for request in server.requests] == ["one", "two", "three", "four"]


@pytest.mark.parametrize("way", [copy.deepcopy, pickled])
def test_object_with_a_used_client_is_pickled(way: Callable[[Any], Any], serve: Serve) -> None:
    with tocsin.Client(serve().path) as client:
        strategy = Strategy(client)
        client.send("one")
        other = way(strategy)
        assert other.send("two").state == "stored"
        other.settings["alerts"].close()


@pytest.mark.parametrize("way", WAYS)
def test_module_functions_are_pickled(way: Callable[[Any], Any]) -> None:
    tocsin.send("one")
    assert way(tocsin.send)("two").state == "spooled"


@pytest.mark.parametrize("way", WAYS)
def test_used_handler_is_pickled_with_its_settings(way: Callable[[Any], Any], serve: Serve) -> None:
    server = serve()
    handler = tocsin.Handler(logging.ERROR, socket=server.path, window=0, tier="ops")
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    record = logging.makeLogRecord({"name": "app", "msg": "late", "levelno": logging.ERROR, "levelname": "ERROR"})
    handler.handle(record)
    handler.flush()
    other = way(handler)
    assert (repr(other), other.level) == (repr(handler), logging.ERROR)
    other.handle(record)
    other.close()
    handler.close()
    assert [signal["tier"] + signal["title"] for request in server.requests for signal in request["signals"]] == [
        "opsERROR late",
        "opsERROR late",
    ]


@pytest.mark.parametrize("way", WAYS)
def test_used_aggregator_and_generator_are_pickled(way: Callable[[Any], Any], serve: Serve) -> None:
    aggregator = SignalAggregator({"a": 1.0}, {"discord_alerts": True}, client=tocsin.Client(serve().path))
    signal = {"action": "BUY", "symbol": "BTCUSDT", "price": 1.0, "confidence": 0.9, "strategy": "a"}
    aggregator.aggregate_signals({"a": [signal]})
    assert aggregator.flush(10)
    other = way(aggregator)
    other.aggregate_signals({"a": [signal]})
    other.cleanup()
    aggregator.cleanup()
    assert [receipt.state for receipt in other.report.receipts] == ["stored"]
    generator = MultiStrategyGenerator({}, {}, client=aggregator._client)
    assert isinstance(way(generator), MultiStrategyGenerator)


_PROGRAM = """
import multiprocessing, sys, tocsin

class Strategy:
    def __init__(self):
        self.client = tocsin.Client(sys.argv[1], timeout=20)

    def run(self, number):
        print(self.client.send(f"child {number}").state)

if __name__ == "__main__":
    strategy = Strategy()
    strategy.client.send("parent")
    with multiprocessing.get_context(sys.argv[2]).Pool(2) as pool:
        pool.map(strategy.run, range(4))
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_used_client_works_in_a_multiprocessing_pool(method: str, serve: Serve, folder: Path) -> None:
    server = serve()
    (folder / "program.py").write_text(_PROGRAM)
    done = subprocess.run(
        [sys.executable, folder / "program.py", server.path, method],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(request["signal"]["title"] for request in server.requests) == [
        *(f"child {number}" for number in range(4)),
        "parent",
    ]
