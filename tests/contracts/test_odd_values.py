"""Odd values through send, socket, compat and trading: the signal arrives, readable, and its receipt says how each value was read."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contracts.raw_peer import Peer, framed
from tests.harness import PATIENCE, DaemonProcess, file, route
from tests.trading.odd_values import Hostile, Nameless, anything

import tocsin
from tocsin import Client
from tocsin.compat.foreign_signals import signal_of
from tocsin.ids import new_id
from tocsin.signals import FIELD_NAMES
from tocsin.trading import TradingSignal


class Side(Enum):
    BUY = 1


class Level(IntEnum):
    CRITICAL = 50


class Array:
    """As numpy's arrays of one element behave."""

    dtype, shape, size = "float64", (), 1

    def __init__(self, held: Any) -> None:
        self._held = held

    def item(self) -> Any:
        return self._held

    def __float__(self) -> float:
        return float(self._held)


class NAType:
    """As pandas.NA behaves: not even its comparisons say yes or no."""

    def __ne__(self, other: object) -> Any:
        return self

    __eq__ = __ne__
    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        raise TypeError("boolean value of NA is ambiguous")


def broken_generator() -> Iterator[str]:
    yield "btc"
    raise ValueError


RECURSIVE: list[Any] = [1]
RECURSIVE.append(RECURSIVE)

Case = tuple[
    str, Any, dict[str, Any]
]  # field, value, and what the stored signal holds; None for a field that is absent
JSON_VALUES: dict[str, Case] = {
    "price as text": ("price", "64000.50", {"price": 64000.5}),
    "price with thousands": ("price", "64,000.50", {"price": 64000.5}),
    "price in words": ("price", "a lot", {"price": None, "fields": {"price": "a lot"}}),
    "price true": ("price", True, {"price": None, "fields": {"price": "True"}}),
    "price NaN": ("price", math.nan, {"price": None}),
    "price infinite": ("price", math.inf, {"price": None}),
    "price list": ("price", [1, 2], {"fields": {"price": "1, 2"}}),
    "fields NaN": ("fields", {"rsi": math.nan, "adx": 20}, {"fields": {"adx": 20}}),
    "fields nested": ("fields", {"a": {"b": [1]}}, {"fields": {"a": "b: [1]"}}),
    "fields text": ("fields", "rsi 33", {"fields": {"fields": "rsi 33"}}),
    "fields huge whole number": ("fields", {"wei": 100 * 10**18}, {"fields": {"wei": "100000000000000000000"}}),
    "fields half a surrogate pair": ("fields", {"name": "a\ud800"}, {"fields": {"name": "a?"}}),
    "key number": ("key", 4711, {"key": "4711"}),
    "confidence percent": ("confidence", 95, {"confidence": 0.95}),
    "confidence percent text": ("confidence", "95%", {"confidence": 0.95}),
    "confidence in words": ("confidence", "high", {"confidence": None, "fields": {"confidence": "high"}}),
    "priority CRITICAL": ("priority", "CRITICAL", {"priority": "urgent"}),
    "priority WARNING": ("priority", "WARNING", {"priority": "normal"}),
    "priority p1": ("priority", "p1", {"priority": "urgent"}),
    "priority level": ("priority", 40, {"priority": "high"}),
    "priority unknown": ("priority", "urgnt", {"priority": None, "fields": {"priority": "urgnt"}}),
    "one tag": ("tags", "btc", {"tags": ["btc"]}),
    "tags of numbers": ("tags", [1, None, "x"], {"tags": ["1", "x"]}),
    "expires zero": ("expires", 0, {"expires": None}),
    "expires in words": ("expires", "soon", {"fields": {"expires": "soon"}}),
    "timestamp in words": ("timestamp", "yesterday", {"timestamp_text": "yesterday"}),
    "id of a row": ("id", 17, {}),
    "NUL in the body": ("body", "a\0b", {"body": "a\0b"}),
    "body list": ("body", ["a", "b"], {}),
    "body too long": ("body", "x" * 50_000, {}),
    "unknown field": ("colour", "red", {"fields": {"colour": "red"}}),
}
PYTHON_VALUES: dict[str, Case] = {
    "price Decimal": ("price", Decimal("64000.50"), {"price": 64000.5}),
    "price Decimal NaN": ("price", Decimal("NaN"), {"price": None}),
    "price Fraction": ("price", Fraction(1, 2), {"price": 0.5}),
    "price array": ("price", Array(64000.5), {"price": 64000.5}),
    "price NA": ("price", NAType(), {"price": None}),
    "price too large": ("price", 10**400, {"price": None}),
    "price recursive": ("price", RECURSIVE, {"price": None}),
    "price hostile": ("price", Hostile(), {"price": None, "fields": {"price": "Hostile"}}),
    "price without a class": ("price", Nameless(), {}),
    "symbol Enum": ("symbol", Side.BUY, {"symbol": "BUY"}),
    "symbol bytes": ("symbol", b"BTC", {"symbol": "BTC"}),
    "symbol value object": ("symbol", SimpleNamespace(value="BTC"), {"symbol": "BTC"}),
    "priority IntEnum": ("priority", Level.CRITICAL, {"priority": "urgent"}),
    "priority of logging": ("priority", logging.WARNING, {"priority": "normal"}),
    "confidence Decimal": ("confidence", Decimal("0.93"), {"confidence": 0.93}),
    "key UUID": ("key", UUID(int=7), {"key": "00000000-0000-0000-0000-000000000007"}),
    "key float of a table": ("key", 4711.0, {"key": "4711"}),
    "key huge": ("key", 10**5000, {}),
    "tags set": ("tags", {"b", "a"}, {}),
    "tags generator that breaks": ("tags", broken_generator, {}),
    "expires timedelta": ("expires", timedelta(hours=2), {"expires": 7200.0}),
    "timestamp date": ("timestamp", date(2024, 1, 31), {"timestamp": 1706659200.0}),
    "timestamp datetime": ("timestamp", datetime(2024, 1, 31, tzinfo=UTC), {"timestamp": 1706659200.0}),
    "link path": ("link", Path("/var/log/x"), {"link": "/var/log/x"}),
    "fields of datetimes": ("fields", {"at": datetime(2024, 1, 31, tzinfo=UTC)}, {"fields": {"at": "2024-01-31 00:00:00+00:00"}}),
    "fields hostile": ("fields", Hostile(), {"fields": {"fields": "Hostile"}}),
    "fields with hostile values": ("fields", {"a": Hostile(), Hostile(): 1}, {"fields": {"a": "Hostile", "Hostile": 1}}),
    "body exception": ("body", KeyError("rsi"), {"body": "KeyError: 'rsi'"}),
}  # fmt: skip
ALL = JSON_VALUES | PYTHON_VALUES
OTHERWISE = {  # trading and compat convert these values themselves, and not worse
    "compat": {"id of a row", "body list", "NUL in the body", "symbol Enum"},
    "trading": {"id of a row"},
}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    with DaemonProcess(tmp_path_factory.mktemp("odd"), file() + route("local-file")).start() as running:
        yield running
        assert running.stop() == 0


def value_of(case: Case) -> Any:
    return case[1]() if case[1] is broken_generator else case[1]


def by_send(daemon: DaemonProcess, name: str, value: Any) -> str:
    receipt = daemon.client.send("T", **{name: value})
    assert (receipt.state, receipt.reason is None or bool(receipt.reason)) == ("stored", True)
    return receipt.id


def by_send_many(daemon: DaemonProcess, name: str, value: Any) -> str:
    first, receipt = daemon.client.send_many([{"title": "before"}, {"title": "T", name: value}])
    assert (first.state, receipt.state) == ("stored", "stored")
    return receipt.id


def by_compat(daemon: DaemonProcess, name: str, value: Any) -> str:
    receipt = daemon.client.send(signal_of({"title": "T", name: value}))
    assert receipt.state == "stored"
    return receipt.id


def by_trading(daemon: DaemonProcess, name: str, value: Any) -> str:
    receipt = daemon.client.send(TradingSignal(**{"title": "T", name: value}).to_signal())
    assert receipt.state == "stored"
    return receipt.id


def by_handler(daemon: DaemonProcess, name: str, value: Any) -> str:
    id_ = new_id()
    handler = tocsin.Handler(socket=daemon.socket, timeout=5, **{"id": id_, name: value})
    handler.emit(logging.LogRecord("shop", logging.ERROR, __file__, 1, "T", None, None))
    handler.close()
    return id_


def by_socket(daemon: DaemonProcess, name: str, value: Any) -> str:
    with Peer(daemon.socket) as peer:
        peer.write(framed(json.dumps({"op": "send", "signal": {"title": "T", name: value}})))
        reply = peer.reply() or {}
    assert reply["receipt"]["state"] == "stored"
    id_: str = reply["receipt"]["id"]
    return id_


def by_json_lines(daemon: DaemonProcess, name: str, value: Any) -> str:
    done = daemon.tocsin("send", "--json-lines", "-", "--json", stdin=json.dumps({"title": "T", name: value}) + "\n")
    assert done.returncode == 0, done.stderr
    id_: str = json.loads(done.stdout)["id"]
    return id_


WAYS: dict[str, Callable[[DaemonProcess, str, Any], str]] = {
    "send": by_send,
    "send_many": by_send_many,
    "compat": by_compat,
    "trading": by_trading,
    "handler": by_handler,
    "socket": by_socket,
    "json-lines": by_json_lines,
}
CASES = [
    (way, name)
    for way in WAYS
    for name in (JSON_VALUES if way in {"socket", "json-lines"} else ALL)
    if not (way == "handler" and ALL[name][0] in {"fields", "body", "id"})  # these belong to the log record
]


@pytest.mark.parametrize(("way", "name"), CASES)
def test_signal_with_odd_value_arrives_with_readable_fields(daemon: DaemonProcess, way: str, name: str) -> None:
    case = ALL[name]
    id_ = WAYS[way](daemon, case[0], value_of(case))
    assert daemon.settled(id_) == ["delivered"]
    signal = daemon.client.why(id_)["signal"]
    assert signal["title"] == "T"
    if name in OTHERWISE.get(way, ()):
        return
    for field, held in case[2].items():
        if isinstance(held, dict):
            assert signal[field].items() >= held.items()
        else:
            assert signal.get(field) == held


@pytest.mark.parametrize("name", JSON_VALUES)
def test_receipt_and_why_name_odd_fields(daemon: DaemonProcess, name: str) -> None:
    field, value, _ = JSON_VALUES[name]
    receipt = daemon.client.send("T", **{field: value})
    notes = daemon.client.why(receipt.id)["signal"].get("input_notes", [])
    if name in {"tags of numbers", "NUL in the body", "fields huge whole number", "fields half a surrogate pair"}:
        assert notes == []  # another form of the same value
        return
    assert notes
    assert all(note in (receipt.reason or "") for note in notes)
    assert notes[0].startswith(field)


ONE_BATCH = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
# A destination that does not exist is refused, by any value of `to`.
names = (st.sampled_from(FIELD_NAMES) | st.text(max_size=8)).filter(lambda name: name != "to")
given_fields = st.dictionaries(names, anything)


@ONE_BATCH
@given(given_fields)
def test_signal_with_any_object_in_any_field_arrives_by_send_and_send_many(
    daemon: DaemonProcess, values: dict[str, Any]
) -> None:
    values.pop("id", None)  # a valid signal sent twice is a duplicate
    values.pop("attach", None)
    title = values.pop("title", "T")
    receipt = daemon.client.send("T", **values)
    assert receipt.state == "stored"
    [many] = daemon.client.send_many([{"body": "B", **values, "title": title}])
    assert many.state == "stored" or (many.state == "refused" and values.get("body", "B") != "B")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(max_size=8), below, max_size=4),
    max_leaves=10,
)


@ONE_BATCH
@given(st.dictionaries(st.sampled_from([n for n in FIELD_NAMES if n not in {"to", "id", "attach"}]), json_values))
def test_signal_with_any_json_in_any_field_arrives_by_socket(daemon: DaemonProcess, values: dict[str, Any]) -> None:
    by_socket(daemon, "colour", values)
    with Peer(daemon.socket) as peer:
        reply = peer.write(framed(json.dumps({"op": "send", "signal": {**values, "title": "T"}}))).reply() or {}
    assert reply["receipt"]["state"] == "stored"


@ONE_BATCH
@given(given_fields)
def test_signal_with_any_object_in_any_field_arrives_by_compat_and_trading(
    daemon: DaemonProcess, values: dict[str, Any]
) -> None:
    values = {name: value for name, value in values.items() if name not in {"id", "attach", "title"}}
    client: Client = daemon.client
    assert client.send(signal_of({"title": "T", **values})).state == "stored"
    assert client.send(TradingSignal(**{"title": "T", **_named(values)}).to_signal()).state == "stored"


def _named(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name != "self"}


def test_empty_signal_is_refused_logged_and_counted(daemon: DaemonProcess, caplog: pytest.LogCaptureFixture) -> None:
    before = daemon.status()["counters"]["signals_refused"]
    with Client(daemon.socket, timeout=PATIENCE) as client:
        assert client.send(priority="high").state == "refused"
        assert daemon.status()["counters"]["signals_refused"] == before + 1
    with Peer(daemon.socket) as peer:
        assert peer.json({"op": "send", "signal": {"priority": "high"}}).error() == "invalid-signal"
    assert daemon.tocsin("send", "", "-p", "high").returncode == 65
    assert daemon.status()["counters"]["signals_refused"] == before + 3
    assert "signals_refused_total" in daemon.tocsin("status", "--prometheus").stdout


def test_dropped_signals_are_counted_by_restarted_daemon(daemon: DaemonProcess, tmp_path: Path) -> None:
    before = daemon.status()["counters"]["signals_dropped"]
    link = tmp_path / "s"
    (tmp_path / "file").touch()
    with Client(link, timeout=PATIENCE, spool=tmp_path / "file") as client:
        assert {client.send(f"{n}").state for n in range(3)} == {"dropped"}
        link.symlink_to(daemon.socket)
        assert client.send("T").state == "stored"
        assert daemon.status()["counters"]["signals_dropped"] == before + 3
        client.send("T")
    assert daemon.status()["counters"]["signals_dropped"] == before + 3
