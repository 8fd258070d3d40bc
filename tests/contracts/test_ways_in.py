"""Every odd value through every way in: one alert each arrives at the fake Discord, readable."""

from __future__ import annotations

import json
import logging
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.contracts.raw_peer import Peer, framed
from tests.harness import PATIENCE, DaemonProcess, FakeProcess, discord, route, until
from tests.odd_values import JSON, ODD, PACKED, WORDS

import tocsin
from tocsin import Client, Receipt
from tocsin.cli import main
from tocsin.compat import send as compat
from tocsin.trading import SignalAggregator, TradingSignal

_MARK = re.compile(r"way[a-z]+\d+x")


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeProcess]:
    with FakeProcess("--limits", "none") as running:
        yield running


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, fake: FakeProcess) -> Iterator[DaemonProcess]:
    config = discord("ops", fake.webhooks[0]["url"]) + route("ops")
    with DaemonProcess(tmp_path_factory.mktemp("ways"), config) as process:
        process.env["TOCSIN_SPOOL"] = str(process.spool)
        yield process.start()
        assert process.stop() == 0


@pytest.fixture(autouse=True)
def places(daemon: DaemonProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process finds the daemon as a program does."""
    monkeypatch.setenv("TOCSIN_SOCKET", daemon.socket)
    monkeypatch.setenv("TOCSIN_SPOOL", str(daemon.spool))


def marks(way: str, values: Sequence[str] | dict[str, Any]) -> list[str]:
    """A word for each value that no other message has, and that markup leaves as it is."""
    return [f"way{way}{number}x" for number in range(len(values))]


def arrive(fake: FakeProcess, expected: Sequence[str], *, formatted: bool = False) -> None:
    """Wait for an alert with each mark, and check that a person can read all of them. `formatted`: by the program itself."""
    found: dict[str, str] = {}

    def all_there() -> bool:
        for message in fake.messages():
            text = "\n".join(_texts({name: message["payload"].get(name) for name in ("content", "embeds")}))
            found.update(dict.fromkeys(_MARK.findall(text), text))
        return found.keys() >= set(expected)

    until(all_there)
    for mark in expected:
        assert not [letter for letter in found[mark] if letter != "\n" and unicodedata.category(letter) in {"Cc", "Cs"}]
        assert formatted or " at 0x" not in found[mark]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


def everywhere(mark: str, make: Callable[[], Any]) -> dict[str, Any]:
    """A signal with the value in nearly every field; its title is the mark."""
    values = {name: make() for name in ("body", "price", "confidence", "priority", "timestamp", "tags", "tier", "link")}
    return {**values, "title": mark, "fields": {"value": make(), "other": 1}, "colour": make(), "key": make()}


def _as_it_is(value: Any) -> Any:
    return value


def accepted(receipts: Sequence[Receipt]) -> bool:
    return {receipt.state for receipt in receipts} <= {"stored"}


def test_every_odd_value_arrives_by_send(fake: FakeProcess) -> None:
    expected = marks("send", ODD)
    assert accepted([tocsin.send(**everywhere(mark, make)) for mark, make in zip(expected, ODD.values(), strict=True)])
    tocsin.client._process_wide.close()
    arrive(fake, expected)


def test_every_odd_value_as_title_arrives(daemon: DaemonProcess, fake: FakeProcess) -> None:
    expected = marks("title", ODD)
    with Client(timeout=PATIENCE) as client:
        found = [
            client.send(make(), None, source=mark, fields={"n": 1})
            for mark, make in zip(expected, ODD.values(), strict=True)
        ]
    assert accepted(found)
    arrive(fake, expected)


def test_every_odd_value_arrives_by_send_many(fake: FakeProcess) -> None:
    expected = marks("many", ODD)
    with Client(timeout=PATIENCE) as client:
        together = client.send_many(everywhere(mark, make) for mark, make in zip(expected, ODD.values(), strict=True))
    assert accepted(together)
    arrive(fake, expected)


def test_every_odd_value_arrives_by_logging(fake: FakeProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = marks("log", ODD)
    handler = tocsin.Handler(timeout=PATIENCE)
    log = logging.getLogger("tests.ways")
    monkeypatch.setattr(log, "handlers", [handler])
    monkeypatch.setattr(log, "propagate", False)
    for mark, make in zip(expected, ODD.values(), strict=True):
        try:
            raise LookupError(make())  # noqa: TRY301 - an exception with a traceback
        except LookupError:
            log.exception("%s %s", mark, make(), extra={"value": make()})
    handler.flush()
    handler.close()
    arrive(fake, expected, formatted=True)


def test_every_odd_value_as_log_message_arrives(fake: FakeProcess) -> None:
    expected = marks("message", ODD)
    for mark, make in zip(expected, ODD.values(), strict=True):
        handler = tocsin.Handler(timeout=PATIENCE, strategy=mark, tags=make())
        handler.handle(logging.LogRecord("shop", logging.ERROR, __file__, 1, make(), None, None))
        handler.flush()
        handler.close()
    arrive(fake, expected, formatted=True)


def test_every_odd_value_arrives_by_compat(fake: FakeProcess) -> None:
    expected = marks("compat", ODD)
    for number, (mark, make) in enumerate(zip(expected, ODD.values(), strict=True)):
        names = {"title": mark, "entry_price": make(), "confidence": make(), "timestamp": make(), "stop_loss": make()}
        given = names if number % 2 else SimpleNamespace(**names)
        assert compat.send_signal_sync(given, user_tier=make(), additional_context={"value": make()}) is True
    compat._client.close()
    arrive(fake, expected)


def test_every_odd_value_arrives_by_trading(fake: FakeProcess) -> None:
    expected = marks("trading", ODD)
    with SignalAggregator({}, {"discord_alerts": True}) as aggregator:
        raised = [
            TradingSignal(mark, make(), make(), make(), make(), stop=make(), metadata={"value": make()})
            for mark, make in zip(expected, ODD.values(), strict=True)
        ]
        assert len(aggregator.aggregate_signals({"ma": raised})) == len(ODD)
        assert aggregator.flush(PATIENCE)
        assert accepted(aggregator.report.receipts)
    arrive(fake, expected)


def test_every_odd_value_arrives_from_a_spool_written_without_a_daemon(
    daemon: DaemonProcess, fake: FakeProcess
) -> None:
    expected = marks("spool", ODD)
    daemon.stop()
    try:
        with Client(timeout=PATIENCE) as client:
            states = [client.send(**everywhere(*each)).state for each in zip(expected, ODD.values(), strict=True)]
    finally:
        daemon.start()
    assert set(states) == {"spooled"}
    arrive(fake, expected)


def test_every_odd_value_arrives_by_a_json_frame(daemon: DaemonProcess, fake: FakeProcess) -> None:
    expected = marks("json", JSON)
    with Peer(daemon.socket) as peer:
        for mark, text in zip(expected, JSON.values(), strict=True):
            fields = ", ".join(f'"{name}": {text}' for name in ("body", "price", "confidence", "key", "timestamp"))
            signal = f'{{"title": "{mark}", {fields}, "fields": {{"value": {text}}}, "colour": {text}}}'
            peer.json(f'{{"op": "send", "signal": {signal}}}')
            assert (peer.reply() or {})["receipt"]["state"] == "stored"
    arrive(fake, expected)


def test_every_odd_value_arrives_by_a_message_pack_frame(daemon: DaemonProcess, fake: FakeProcess) -> None:
    expected = marks("packed", PACKED)
    with Peer(daemon.socket) as peer:
        for mark, value in zip(expected, PACKED.values(), strict=True):
            peer.msgpack({"op": "send", "signal": everywhere(mark, partial(_as_it_is, value))})
            assert (peer.reply() or {})["receipt"]["state"] == "stored"
    arrive(fake, expected)


def test_every_odd_value_arrives_by_json_lines(daemon: DaemonProcess, fake: FakeProcess, tmp_path: Path) -> None:
    expected = marks("lines", JSON)
    lines = tmp_path / "lines"
    lines.write_text(
        "".join(
            f'{{"title": "{mark}", "price": {text}, "tags": {text}, "fields": {{"value": {text}}}}}\n'
            for mark, text in zip(expected, JSON.values(), strict=True)
        )
    )
    done = daemon.tocsin("send", "--json-lines", str(lines), "--timeout", f"{PATIENCE}")
    assert done.returncode == 0, done.stderr
    arrive(fake, expected)


def test_every_odd_word_arrives_by_the_command(fake: FakeProcess, capsys: pytest.CaptureFixture[str]) -> None:
    expected = marks("command", WORDS)
    for mark, word in zip(expected, WORDS.values(), strict=True):
        options = [f"--{name}={word}" for name in ("body", "price", "confidence", "priority", "expires", "key", "link")]
        assert main(["send", mark, *options, f"--timestamp={word}", f"--field=value={word}", f"--tag={word}"]) == 0
    assert "cannot be read as a number; shown as text" in capsys.readouterr().err
    arrive(fake, expected)


def test_receipt_and_why_name_what_was_not_understood(daemon: DaemonProcess) -> None:
    with Client(timeout=PATIENCE) as client, Peer(daemon.socket) as peer:
        receipt = client.send("T", price="a lot", fields={"map": {"a": 1}})  # type: ignore[arg-type]
        assert receipt.reason == "price: cannot be read as a number; shown as text; fields.map: a dict, shown as text"
        notes = client.why(receipt.id)["signal"]["input_notes"]
        assert "; ".join(notes) == receipt.reason
        reply = peer.write(framed(json.dumps({"op": "send", "signal": {"title": "T", "price": "a lot"}}))).reply() or {}
        assert reply["receipt"]["reason"] == "price: cannot be read as a number; shown as text"
