"""Invalid input on the socket gets a typed error or a closed connection; the daemon runs on and serves other clients.

One daemon gets all of it; after each test it must be the same process and store a signal of another client.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest
from tests.contracts.raw_peer import HUNG_UP, LIMIT, Peer, framed, request, send, send_of_size
from tests.harness import DaemonProcess, file, route

from tocsin.ids import new_id

DEEP = 100_000
SEND = b"\x82\xa2op\xa4send\xa6signal"  # MessagePack of {"op": "send", "signal": ...


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    folder = tmp_path_factory.mktemp("hostile")
    with DaemonProcess(folder, file() + route("local-file")).start() as daemon:
        yield daemon
        assert daemon.stop() == 0


@pytest.fixture
def daemon(running: DaemonProcess) -> Iterator[DaemonProcess]:
    yield running
    assert running.process.poll() is None, running.log.read_text()[-2000:]
    assert running.client.send("another client's").state == "stored"


@pytest.fixture
def peer(daemon: DaemonProcess) -> Iterator[Peer]:
    with Peer(daemon.socket) as peer:
        yield peer


# --- no frame: one error, and the connection closes ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\xff\xff\xff\xff", id="4 GiB announced"),
        pytest.param((LIMIT + 1).to_bytes(4, "big"), id="one byte over the limit announced"),
        pytest.param(framed(send_of_size(LIMIT + 1)), id="one byte over the limit sent"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", id="HTTP"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", id="TLS"),
        pytest.param(b'{"op": "status"}\n', id="JSON without a length"),
    ],
)
def test_oversized_frame_is_refused_by_its_header_and_closed(peer: Peer, data: bytes) -> None:
    assert peer.write(data).error() == "too-large"
    assert peer.reply() is HUNG_UP


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\xc1\xad\xbe\xef garbage", id="garbage"),
        pytest.param(b"{", id="JSON that ends too soon"),
        pytest.param(b'{"op": "status"} {"op": "status"}', id="two JSON objects in one frame"),
        pytest.param(b"\x81\xa2op\xa6status\x00", id="MessagePack with something behind it"),
        pytest.param(b'{"op": "why", "id": "\xff\xfe"}', id="bad UTF-8 in JSON"),
        pytest.param(b"\x82\xa2op\xa3why\xa2id\xa2\xff\xfe", id="bad UTF-8 in MessagePack"),
        pytest.param(b'{"op": "why", "id": "\\ud800"}', id="half a surrogate pair"),
        pytest.param(b'{"op": "send", "signal": {"title": ' + b"[" * DEEP + b"]" * DEEP + b"}}", id="deep JSON arrays"),
        pytest.param(b'{"a":' * 50_000, id="deep JSON objects"),
        pytest.param(SEND + b"\x81\xa5title" + b"\x91" * DEEP, id="deep MessagePack arrays"),
        pytest.param(SEND + b"\x81\xa5title" + b"\x81\xa1a" * 80_000, id="deep MessagePack maps"),
        pytest.param(SEND + b"\x81\xa5title\xdd\xff\xff\xff\xff", id="an array of four billion, announced"),
        pytest.param(SEND + b"\x81\xa5title\xdb\xff\xff\xff\xff", id="a text of 4 GiB, announced"),
        pytest.param(SEND + b"\x81\xa5title\x81\x80\x01", id="a map as a map's key"),
    ],
)
def test_undecodable_body_is_answered_once_and_closed(peer: Peer, body: bytes) -> None:
    assert peer.write(framed(body)).error() == "broken-frame"
    assert peer.reply() is HUNG_UP


def test_frame_of_exactly_the_limit_is_accepted(peer: Peer) -> None:
    reply = peer.json(send_of_size(LIMIT)).reply()
    assert reply is not None
    assert reply["receipt"]["state"] == "stored"


# --- invalid requests in valid frames: an error, and the connection stays ---------------------------------------------------


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"op": "format-disk", "v": 1}, "unknown-op"),
        ({"op": 5}, "unknown-op"),
        ({"v": 1}, "unknown-op"),
        ({"op": "status", "v": 2}, "protocol"),
        ({"op": "status", "v": 2, "deep": True}, "protocol"),
        ({"op": "something-newer", "v": 2}, "protocol"),
        ({"op": "status", "v": "one"}, "bad-request"),
        ({"op": "status", "colour": "red"}, "bad-request"),
        ({"op": "send", "signal": {"title": "x"}, "uid": 0}, "bad-request"),
        ({"op": "send"}, "bad-request"),
        ({"op": "send", "signal": {"title": "x"}, "ack": "soon"}, "bad-request"),
        ({"op": "send_many", "signals": {"title": "x"}}, "bad-request"),
        ({"op": "queue", "state": "$.op"}, "bad-request"),
        ({"op": "queue", "limit": "many"}, "bad-request"),
        ({"op": "why", "id": 7}, "bad-request"),
        ({"op": "retry"}, "bad-request"),
        ({"op": "retry", "id": "x", "all": True}, "bad-request"),
        ({"op": "wait", "id": "x", "seconds": "long"}, "bad-request"),
        ({"op": "send_many", "signals": [{}] * 60_000}, "bad-request"),
        ({"op": "send", "signal": {}}, "invalid-signal"),
        ({"op": "send", "signal": None}, "invalid-signal"),
        ({"op": "send", "signal": {"priority": "high"}}, "invalid-signal"),
        ({"op": "losses", "refused": -1}, "bad-request"),
        ({"op": "losses", "dropped": 10**9}, "bad-request"),
        ({"op": "send", "signal": {"title": "x", "to": ["nowhere"]}}, "invalid-signal"),
        ({"op": "why", "id": "\0"}, "not-found"),
    ],
    ids=lambda value: str(value)[:60],
)
@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_invalid_request_is_answered_and_connection_stays(
    peer: Peer, body: dict[str, object], kind: str, encoding: str
) -> None:
    getattr(peer, encoding)(body)
    assert peer.error() == kind
    peer.json(request("status"))
    assert (peer.reply() or {})["ok"] is True


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("field", ["price", "confidence", "expires"])
@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_nan_in_a_signal_is_read_as_missing(peer: Peer, field: str, bad: float, encoding: str) -> None:
    reply = getattr(peer, encoding)(send("x", **{field: bad})).reply()
    assert reply is not None
    assert reply["receipt"]["state"] == "stored"
    assert reply["receipt"]["reason"].startswith(f"{field}: ")


def test_wait_for_nan_seconds_is_refused(daemon: DaemonProcess, peer: Peer) -> None:
    id_ = daemon.client.send("x").id
    assert peer.msgpack(request("wait", id=id_, seconds=float("nan"))).error() == "bad-request"


@pytest.mark.parametrize("seconds", [-1.0, float("-inf")])
def test_wait_for_negative_seconds_answers_at_once(daemon: DaemonProcess, peer: Peer, seconds: float) -> None:
    id_ = daemon.client.send("x").id
    reply = peer.msgpack(request("wait", id=id_, seconds=seconds)).reply()
    assert reply is not None
    assert reply["state"] in {"queued", "delivered"}


def test_invalid_signal_among_many_is_refused_and_others_are_stored(peer: Peer) -> None:
    signals = [{"title": "a"}, {"priority": "high"}, {"title": 7, "id": [["x"]]}, "d"]
    reply = peer.msgpack(request("send_many", signals=signals)).reply()
    assert reply is not None
    assert [receipt["state"] for receipt in reply["receipts"]] == ["stored", "refused", "stored", "stored"]
    assert reply["receipts"][1]["reason"].startswith("title")
    assert "id: " in reply["receipts"][2]["reason"]


def test_deeply_nested_id_loses_no_signal(peer: Peer) -> None:
    for depth in range(800, 1000, 20):
        nested = b"[" * depth + b"]" * depth
        peer.json(b'{"op": "send_many", "signals": [{"title": "x", "id": ' + nested + b"}]}")
        reply = peer.reply()
        if reply is None or not reply["ok"]:
            return  # deeper than the decoder goes: a broken frame
        assert reply["receipts"][0]["state"] == "stored"


def test_messagepack_extension_as_title_loses_no_signal(peer: Peer) -> None:
    reply = peer.write(framed(SEND + b"\x81\xa5title\xd4\x05\x01")).reply()
    assert (reply or {})["receipt"]["state"] == "stored"


def test_text_of_refused_requests_is_truncated_before_it_is_stored(daemon: DaemonProcess, peer: Peer) -> None:
    for _ in range(20):
        peer.json(request("send", signal={"title": "x", "to": "w" * 200_000}))
        assert peer.error() == "invalid-signal"
    facts = daemon.client.stream("tail", idle=20)
    assert max(len(str(reply["event"])) for reply in facts) < 2000


# --- order and encodings -----------------------------------------------------------------------------------------------


def test_reply_has_the_encoding_of_its_request(peer: Peer) -> None:
    for body, is_json in ((json.dumps(send("a")).encode(), True), (msgspec.msgpack.encode(send("b")), False)) * 2:
        answer = peer.write(framed(body)).body()
        assert answer is not None
        assert answer.startswith(b"{") is is_json


def test_pipelined_replies_keep_order_and_encoding(peer: Peer) -> None:
    ids = [new_id() for _ in range(60)]
    encode = (lambda message: json.dumps(message).encode(), msgspec.msgpack.encode)
    frames = b"".join(framed(encode[n % 2](send(f"p{n}", id=id_))) for n, id_ in enumerate(ids))
    peer.write(frames[:1000]).write(frames[1000:])
    bodies = [peer.body() or b"" for _ in ids]
    assert [body.startswith(b"{") for body in bodies] == [n % 2 == 0 for n in range(60)]
    replies = [json.loads(body) if body.startswith(b"{") else msgspec.msgpack.decode(body) for body in bodies]
    assert [reply["receipt"]["id"] for reply in replies] == ids


def test_pipelined_refusals_keep_order(peer: Peer) -> None:
    peer.json(send("a")).json({"op": "nonsense"}).json(send("b", to="nowhere")).json(send("c"))
    assert [(peer.reply() or {})["ok"] for _ in range(4)] == [True, False, False, True]


def test_frame_sent_byte_by_byte_is_accepted(peer: Peer) -> None:
    for byte in framed(json.dumps(send("slow"))):
        peer.write(bytes([byte]))
    assert (peer.reply() or {})["receipt"]["state"] == "stored"


def test_send_with_ack_none_gets_no_reply_and_is_stored(daemon: DaemonProcess, peer: Peer) -> None:
    id_ = new_id()
    peer.json(request("send", signal={"title": "x", "id": id_}, ack="none")).json(request("status"))
    assert "status" in (peer.reply() or {})  # the only answer
    daemon.wait_for("accepted", id=id_)


def test_client_that_shut_down_writing_gets_its_reply(daemon: DaemonProcess, peer: Peer) -> None:
    id_ = daemon.client.send("x").id
    peer.json(send("last words")).json(request("wait", id=id_, seconds=20)).finish()
    assert (peer.reply() or {})["receipt"]["state"] == "stored"
    assert (peer.reply() or {})["state"] == "delivered"
    assert peer.reply() is HUNG_UP


# --- identity ------------------------------------------------------------------------------------------------------------


def test_peer_identity_comes_from_socket_credentials(daemon: DaemonProcess, peer: Peer) -> None:
    receipt = (peer.json(send("mine", source="root", fields={"uid": 0, "pid": 1})).reply() or {})["receipt"]
    why = daemon.client.why(receipt["id"])
    assert (why["uid"], why["pid"]) == (os.geteuid(), os.getpid())


def write_for_ever(to: socket.socket, data: bytes) -> None:
    while True:
        to.sendall(data)


# --- slow, silent and numerous peers -----------------------------------------------------------------------------------


def test_incomplete_frame_does_not_delay_other_clients(daemon: DaemonProcess) -> None:
    with ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(Peer(daemon.socket)).write(framed(json.dumps(send("half")))[:20])
        assert daemon.client.send("another signal").state == "stored"


def test_peer_that_disconnects_inside_a_frame_is_forgotten(daemon: DaemonProcess) -> None:
    for cut in (1, 3, 4, 5, 20):
        with Peer(daemon.socket) as peer:
            peer.write(framed(json.dumps(send("cut")))[:cut])


def test_signal_of_peer_that_disconnects_before_its_reply_is_stored(daemon: DaemonProcess) -> None:
    ids = [new_id() for _ in range(20)]
    for id_ in ids:
        with Peer(daemon.socket) as peer:
            peer.json(send("gone", id=id_))
    for id_ in ids:
        daemon.wait_for("accepted", id=id_)


def test_peer_that_resets_its_connection_is_forgotten(daemon: DaemonProcess) -> None:
    with Peer(daemon.socket) as peer:
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.json(request("status"))


def test_peer_that_never_reads_replies_does_not_delay_other_clients(daemon: DaemonProcess, peer: Peer) -> None:
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    peer.socket.settimeout(1.0)  # more than the daemon reads from one client
    asked = framed(json.dumps(request("status"))) * 1000
    with pytest.raises((BlockingIOError, TimeoutError)):  # the daemon stops reading from a client that does not read
        write_for_ever(peer.socket, asked)
    assert daemon.client.send("another signal").state == "stored"


def test_thousand_idle_connections_do_not_block_new_clients(daemon: DaemonProcess) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 1200:
        pytest.skip("this user may not open a thousand files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with ExitStack() as stack:
        idle = [stack.enter_context(Peer(daemon.socket)) for _ in range(1000)]
        assert daemon.client.send("another signal").state == "stored"
        assert daemon.status()["health"] == "ok"
        assert idle[0].reply() is HUNG_UP, "the longest idle made room"
        assert (idle[-1].json(send("the latest")).reply() or {})["ok"] is True


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
def test_connections_of_one_user_do_not_block_another_user(
    daemon: DaemonProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket_file = Path(daemon.socket)
    monkeypatch.chdir(socket_file.parent)  # the other user could not reach the path
    socket_file.chmod(0o666)
    modes = socket_file.parent.stat().st_mode
    socket_file.parent.chmod(0o711)
    with ExitStack() as stack:
        os.seteuid(65534)
        try:
            others = [stack.enter_context(Peer(socket_file.name)) for _ in range(3)]
        finally:
            os.seteuid(0)
            socket_file.parent.chmod(modes)
        mine = [stack.enter_context(Peer(daemon.socket)) for _ in range(400)]
        assert mine[0].reply() is HUNG_UP
        for other in others:
            receipt = (other.json(send("from another user")).reply() or {})["receipt"]
            assert daemon.client.why(receipt["id"])["uid"] == 65534


def test_daemon_logs_repeated_bad_frames_once_and_counts_all(daemon: DaemonProcess) -> None:
    before = daemon.status()["counters"]["connections_refused"]
    for _ in range(50):
        with Peer(daemon.socket) as peer:
            assert peer.write(framed(b"\xc1")).error() == "broken-frame"
    assert daemon.status()["counters"]["connections_refused"] == before + 50
    assert daemon.log.read_text().count("connection-refused uid=") <= 2, "two kinds: broken-frame and too-large"
