"""Thousands of random bytes and invalid requests for one daemon: it does not exit, does not hang, and keeps serving."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contracts.raw_peer import HUNG_UP, Peer, framed, request
from tests.harness import DaemonProcess, FakeProcess, discord, file, route

from tocsin.signals import FIELD_NAMES
from tocsin.wire import ERROR_KINDS

OPS = ("send", "send_many", "status", "why", "queue", "retry", "drop", "enable", "reload", "tail", "wait")
FIELDS = ("signal", "signals", "ack", "id", "state", "destination", "limit", "all", "follow", "v", "uid")
BATCH = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,  # the same bytes on every machine, so that a failure is reproducible
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    with FakeProcess("--limits", "none") as fake:
        # to a file and to Discord: a signal that breaks a renderer must be refused at the socket
        config = file() + discord("d", fake.webhooks[0]["url"]) + route("local-file", "d")
        with DaemonProcess(tmp_path_factory.mktemp("fuzz"), config).start() as running:
            yield running
            assert running.stop() == 0


def must_be_well(daemon: DaemonProcess) -> None:
    """The daemon runs, and stores a signal of another client."""
    assert daemon.process.poll() is None, daemon.log.read_text()[-2000:]
    assert daemon.client.send("another client's").state == "stored"


def must_answer(daemon: DaemonProcess, *bodies: bytes) -> None:
    """Every frame gets a protocol reply, or the connection ends."""
    with Peer(daemon.socket) as peer:
        for body in bodies:
            peer.write(framed(body))
        peer.finish()
        while (reply := peer.reply()) is not HUNG_UP:
            assert reply["ok"] is True or reply["error"]["kind"] in ERROR_KINDS


leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["\0", "\U0010ffff", "a" * 5000, "urgent", "1970", "2h30m", "local-file", "dead"])
)
values = st.recursive(
    leaves | st.binary(max_size=10),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(max_size=8), below, max_size=4),
    max_leaves=12,
)
signals = st.dictionaries(st.sampled_from(FIELD_NAMES) | st.text(max_size=8), values, max_size=6)
requests = st.fixed_dictionaries(
    {"op": st.sampled_from(OPS)},
    optional={
        **dict.fromkeys(FIELDS, values),
        "signal": signals | values,
        "signals": st.lists(signals, max_size=4) | values,
    },
)


def as_json(message: Any) -> bytes:
    return json.dumps(message, default=repr).encode()


@BATCH
@given(st.lists(st.binary(max_size=300), min_size=1, max_size=20))
def test_daemon_survives_random_bytes_as_frames(daemon: DaemonProcess, bodies: list[bytes]) -> None:
    for body in bodies:
        must_answer(daemon, body)
    must_be_well(daemon)


@BATCH
@given(st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=20))
def test_daemon_survives_random_bytes_as_stream(daemon: DaemonProcess, streams: list[bytes]) -> None:
    for stream in streams:
        with Peer(daemon.socket) as peer:
            peer.write(stream).finish()
            while peer.reply() is not HUNG_UP:
                pass
    must_be_well(daemon)


@BATCH
@given(st.lists(requests, min_size=1, max_size=20))
def test_requests_with_random_fields_get_protocol_replies(
    daemon: DaemonProcess, messages: list[dict[str, Any]]
) -> None:
    for message in messages:
        must_answer(daemon, as_json(message))
        must_answer(daemon, msgspec.msgpack.encode(message))
    must_be_well(daemon)


@BATCH
@given(st.lists(signals, min_size=1, max_size=30))
def test_signals_with_random_fields_get_receipts(daemon: DaemonProcess, given_signals: list[dict[str, Any]]) -> None:
    with Peer(daemon.socket) as peer:
        reply = peer.msgpack(request("send_many", signals=given_signals)).reply()
    assert reply is not None
    assert len(reply["receipts"]) == len(given_signals)
    assert {receipt["state"] for receipt in reply["receipts"]} <= {"stored", "duplicate", "refused"}
    must_be_well(daemon)


@BATCH
@given(requests, st.data())
def test_daemon_survives_corrupted_frames(daemon: DaemonProcess, message: dict[str, Any], data: st.DataObject) -> None:
    for whole in (as_json(message), msgspec.msgpack.encode(message)):
        for _ in range(5):
            body = bytearray(whole)
            for _ in range(data.draw(st.integers(1, 4))):
                body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
            must_answer(daemon, bytes(body))
        must_answer(daemon, whole[: data.draw(st.integers(1, len(whole)))])
    must_be_well(daemon)


def test_queue_is_empty_after_fuzzing(daemon: DaemonProcess) -> None:
    receipt = daemon.client.send("the last", priority="low")
    assert daemon.settled(receipt.id) == ["delivered"]
    assert [each["id"] for each in daemon.client.request("queue", state="queued")["deliveries"]] == []
