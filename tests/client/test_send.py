"""What `send` gives back when all is well, and what it says when the daemon or the signal is not."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from tests.client.servers import Serve, answering, refusing, silent, stored

import tocsin
from tocsin import Client, Receipt, Signal


def test_send_returns_the_daemons_receipt(serve: Serve) -> None:
    server = serve()
    with Client(server.path) as client:
        receipt = client.send("BUY", price=1, fields={"rsi": 33})
    assert receipt == Receipt(receipt.id, "stored")
    [request] = server.requests
    assert request == {
        "op": "send",
        "v": 1,
        "ack": "stored",
        "signal": {"id": receipt.id, "title": "BUY", "price": 1.0, "fields": {"rsi": 33}},
        "spool": True,
    }


def test_send_takes_a_ready_made_signal_unchanged(serve: Serve) -> None:
    signal = Signal("BUY")
    with Client(serve().path) as client:
        assert client.send(signal).id == signal.id


def test_send_merges_fields_beside_a_ready_made_signal(serve: Serve) -> None:
    server = serve()
    signal = Signal("BUY", tier="premium")
    with Client(server.path) as client:
        assert client.send(signal, priority="high").id == signal.id
    assert server.requests[0]["signal"] == {"title": "BUY", "tier": "premium", "priority": "high", "id": signal.id}


def test_sends_share_one_connection(serve: Serve) -> None:
    server = serve()
    with Client(server.path) as client:
        assert {client.send(f"{n}").state for n in range(20)} == {"stored"}
    assert server.visits == 1


def test_closed_client_connects_again(serve: Serve) -> None:
    server = serve()
    with Client(server.path) as client:
        client.send("one")
        client.close()
        client.close()
        assert client.send("two").state == "stored"
    assert server.visits == 2


def test_ack_none_waits_for_no_answer(serve: Serve) -> None:
    with Client(serve(silent).path, ack="none", timeout=5) as client:
        receipt = client.send("BUY")
        [many] = client.send_many([Signal("SELL")])
    assert receipt == Receipt(receipt.id, "stored", "not confirmed: ack=none", durable=False)
    assert many.reason == receipt.reason


def test_receipt_of_a_signal_in_daemon_memory_is_not_durable(serve: Serve) -> None:
    with Client(serve().path, ack="received") as client:
        receipt = client.send("BUY")
        [many] = client.send_many([Signal("SELL")])
    assert (receipt.state, receipt.accepted, receipt.durable, many.durable) == ("stored", True, False, False)
    assert "durable=False" in repr(receipt)
    assert "durable" not in repr(Receipt("1", "stored"))


@pytest.mark.parametrize("kind", ["stopping", "busy", "internal", "protocol", "a-kind-from-the-future"])
def test_client_spools_a_signal_that_the_daemon_cannot_accept_now(serve: Serve, kind: str) -> None:
    with Client(serve(answering(refusing(kind))).path) as client:
        receipt = client.send("BUY")
    assert (receipt.state, receipt.reason) == ("spooled", f"told {kind}")


def test_client_does_not_spool_when_the_disk_is_full(serve: Serve) -> None:
    with Client(serve(answering(refusing("full"))).path) as client:
        receipt = client.send("BUY")
    assert (receipt.state, receipt.reason) == ("dropped", "told full")


@pytest.mark.parametrize("kind", ["invalid-signal", "too-large", "bad-request"])
def test_client_refuses_a_signal_that_the_daemon_never_accepts(serve: Serve, kind: str) -> None:
    with Client(serve(answering(refusing(kind, field="tier"))).path) as client:
        receipt = client.send("BUY")
    assert receipt.state == "refused"
    assert f"told {kind}" in (receipt.reason or "")


def test_refused_receipt_names_the_field_once(serve: Serve) -> None:
    answer = {"ok": False, "error": {"kind": "invalid-signal", "message": "to: no such destination", "field": "to"}}
    with Client(serve(answering(lambda _: answer)).path) as client:
        assert client.send("BUY").reason == "to: no such destination"


class Hostile:
    """An object that fails at whatever is asked of it."""

    def _fail(self, *_: Any) -> Any:
        raise ZeroDivisionError("hostile")

    __str__ = __repr__ = __float__ = __iter__ = __eq__ = __bool__ = __len__ = __getitem__ = _fail
    __hash__ = object.__hash__
    items = property(_fail)


@pytest.mark.parametrize("name", tocsin.signals.FIELD_NAMES)
@pytest.mark.parametrize(
    "value", [Hostile(), object(), [Hostile()], {Hostile(): Hostile()}, b"\xff", float("nan"), -1, 1j]
)
def test_send_raises_nothing_for_nonsense_in_a_field(folder: Path, name: str, value: Any) -> None:
    fields = {"title": "BUY", name: value}
    receipt = Client(folder / "s").send(**fields)
    if name == "title" and isinstance(value, float):  # NaN, and nothing else is said
        assert receipt.state == "refused"
        return
    assert receipt.state == "spooled"
    assert receipt.reason


@pytest.mark.parametrize(
    ("title", "state"), [(None, "refused"), ("", "refused"), ("  ", "refused"), (3, "spooled"), (Hostile(), "spooled")]
)
def test_send_refuses_only_a_title_that_says_nothing(folder: Path, title: Any, state: str) -> None:
    assert Client(folder / "s").send(title).state == state


def test_send_receipt_names_a_mapping_that_cannot_be_read(folder: Path) -> None:
    class Broken:
        def items(self) -> Any:
            raise ValueError

    receipt = Client(folder / "s").send("BUY", fields=Broken())  # type: ignore[arg-type]
    assert receipt.state == "spooled"
    assert "fields: cannot be read as names and values" in (receipt.reason or "")


def test_send_shows_an_unknown_keyword_as_a_field_and_names_it(serve: Serve) -> None:
    server = serve()
    with Client(server.path) as client:
        client.send("BUY", prioritty="high")  # type: ignore[call-arg]
    [request] = server.requests
    assert request["signal"]["fields"] == {"prioritty": "high"}
    assert request["signal"]["input_notes"] == ["prioritty: not a field of a signal; added to the fields"]


def test_send_takes_the_second_positional_argument_as_body(serve: Serve) -> None:
    server = serve()
    with Client(server.path) as client:
        client.send("BUY", "fast MA crossed slow MA")
        client.send("BUY", "one", "two", title="SELL", body="three")
    first, second = (request["signal"] for request in server.requests)
    assert (first["title"], first["body"]) == ("BUY", "fast MA crossed slow MA")
    assert (second["title"], second["body"]) == ("SELL", "three\nBUY\none\ntwo")


def test_send_cuts_a_body_that_is_too_long_and_says_so(folder: Path) -> None:
    receipt = Client(folder / "s").send("BUY", body="x" * 300_000)
    assert receipt.state == "spooled"
    assert "body: cut from 300,000 to 4,096 characters" in (receipt.reason or "")


def test_strict_client_raises_what_the_receipt_would_say(serve: Serve, folder: Path) -> None:
    with pytest.raises(tocsin.InvalidSignal, match=r"title: is required"):
        Client(folder / "s", strict=True).send(priority="high")
    with pytest.raises(tocsin.Unreachable, match="tocsind run"):
        Client(folder / "s", strict=True).send("BUY")
    server = serve(answering(refusing("full")))
    with Client(server.path, strict=True) as client, pytest.raises(tocsin.RequestFailed) as failed:
        client.send("BUY")
    assert failed.value.kind == "full"


def test_reply_of_another_version_is_a_protocol_mismatch(serve: Serve) -> None:
    with (
        Client(serve(answering(refusing("protocol"))).path, strict=True) as client,
        pytest.raises(tocsin.ProtocolMismatch),
    ):
        client.send("BUY")


@pytest.mark.parametrize(
    "reply",
    [
        {},
        [],
        {"ok": 1},
        {"ok": False},
        {"ok": False, "error": "no"},
        {"ok": True},
        {"ok": True, "receipt": 3},
        {"ok": True, "receipt": {"id": "another's", "state": "stored"}},
    ],
)
def test_strange_answer_is_no_receipt(serve: Serve, reply: Any) -> None:
    server = serve(answering(lambda _: reply))
    with Client(server.path) as client:
        assert client.send("BUY", to="a").state == "spooled"
        assert client.send_many([{"title": "BUY", "to": "a"}])[0].state == "spooled"
        client.strict = True
        with pytest.raises(tocsin.ProtocolMismatch):
            client.send("BUY", to="a")
    assert server.visits == 3  # a connection out of step is not used again


@pytest.mark.parametrize("settings", [{"ack": "maybe"}, {"timeout": -1}, {"timeout": float("nan")}])
def test_client_refuses_impossible_arguments(settings: Any) -> None:
    with pytest.raises(ValueError, match="must be"):
        Client(**settings)


def test_module_sends_to_the_socket_of_the_environment(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_SOCKET", serve().path)
    assert tocsin.send("BUY", priority="urgent").state == "stored"
    assert [receipt.state for receipt in tocsin.send_many([Signal("SELL")])] == ["stored"]
    tocsin.client._process_wide.close()


def test_status_and_why_are_the_daemons_own_objects(serve: Serve) -> None:
    answers = {"status": {"ok": True, "status": {"health": "ok"}}, "why": {"ok": True, "why": {"id": "1"}}}
    with Client(serve(answering(lambda request: answers[request["op"]])).path) as client:
        assert client.status() == {"health": "ok"}
        assert client.why("1") == {"id": "1"}


def test_status_raises_without_an_answer(serve: Serve, folder: Path) -> None:
    with pytest.raises(tocsin.Unreachable):
        Client(folder / "s").status()
    with Client(serve(answering(lambda _: {"ok": True})).path) as client, pytest.raises(tocsin.ProtocolMismatch):
        client.status()


def test_request_leaves_out_fields_that_are_none(serve: Serve) -> None:
    with Client(serve(answering(lambda request: {"ok": True, "heard": request})).path) as client:
        assert client.request("queue", state=None, limit=3)["heard"] == {"op": "queue", "v": 1, "limit": 3}


def test_stream_yields_every_reply_until_the_daemon_closes(serve: Serve) -> None:
    def manner(visit: Any) -> None:
        visit.hear()
        for n in range(3):
            visit.tell({"ok": True, "event": {"event": "sent", "n": n}})

    client = Client(serve(manner).path)
    assert [reply["event"]["n"] for reply in client.stream("tail")] == [0, 1, 2]


def test_stream_that_stops_midway_raises_unreachable(serve: Serve) -> None:
    def manner(visit: Any) -> None:
        visit.hear()
        visit.tell({"ok": True})
        visit.connection.sendall(b"\0\0\0\x10half")

    stream = Client(serve(manner).path).stream("tail")
    assert next(stream) == {"ok": True}
    with pytest.raises(tocsin.Unreachable):
        next(stream)


MORE_THAN_A_SOCKET_HOLDS = {"body": "x" * 1_000_000}  # so that the request is still on its way when the listener closes


def test_stream_that_is_refused_raises_the_reason(serve: Serve) -> None:
    def busy(visit: Any) -> None:
        visit.connection.shutdown(socket.SHUT_RD)
        visit.tell(refusing("busy")({}))

    with pytest.raises(tocsin.RequestFailed, match="told busy"):
        list(Client(serve(busy).path, timeout=10).stream("send", signal=MORE_THAN_A_SOCKET_HOLDS))


def test_stream_waits_no_longer_than_idle(serve: Serve) -> None:
    with pytest.raises(tocsin.Unreachable):
        list(Client(serve(silent).path).stream("tail", idle=0.05))


def test_stream_may_be_closed_early(serve: Serve) -> None:
    stream = Client(serve(answering(stored)).path).stream("send", signal={"id": "1"})
    assert next(stream)["ok"]
    stream.close()


def test_client_repr_shows_its_arguments() -> None:
    assert repr(Client("/x", timeout=1)) == "Client(socket='/x', timeout=1, ack='stored', spool=True, strict=False)"
