"""The drain after SIGTERM and SIGINT, and the exit at once after a second signal. Neither loses a stored signal."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.contracts.raw_peer import HUNG_UP, Peer, request
from tests.harness import PATIENCE, DaemonProcess, FakeProcess, discord, file, route

BOTH = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)


@pytest.fixture
def daemon(tmp_path: Path, fake: FakeProcess) -> Iterator[DaemonProcess]:
    """A daemon with one Discord destination whose requests may take a minute: an earlier exit has not waited for them."""
    config = discord("d", fake.webhooks[0]["url"], deadline='"60s"') + route("d")
    with DaemonProcess(tmp_path, config).start() as daemon:
        yield daemon


@contextmanager
def slow_reader(daemon: DaemonProcess) -> Iterator[Peer]:
    """A peer that reads none of its receipts, which do not fit into the socket's buffer: the daemon blocks inside one."""
    with Peer(daemon.socket) as peer:
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for number in range(40):
            peer.json(request("send_many", signals=[{"title": f"{number}.{n}"} for n in range(100)]))
        seen: list[int] = []
        while len(seen) < 50 or len(set(seen[-50:])) > 1:  # as many answers to others without a signal accepted
            seen.append(daemon.status()["counters"]["signals_accepted"])
        assert seen[-1] < 40 * 100
        yield peer


def titles(fake: FakeProcess) -> list[str]:
    return fake.titles()


@BOTH
def test_idle_daemon_exits_with_0_and_removes_socket(tmp_path: Path, number: signal.Signals) -> None:
    with DaemonProcess(tmp_path, file() + route("local-file")).start() as daemon, Peer(daemon.socket) as idle:
        daemon.process.send_signal(number)
        assert daemon.process.wait(PATIENCE) == 0
        assert not Path(daemon.socket).exists()
        assert idle.reply() is HUNG_UP
        assert f"stopping reason={number.name}" in daemon.log.read_text()


@BOTH
def test_drain_finishes_requests_in_flight_and_leaves_the_rest_on_disk(
    daemon: DaemonProcess, fake: FakeProcess, number: signal.Signals
) -> None:
    fake.hold()
    receipts = [daemon.client.send("s0")]
    fake.await_held()
    receipts += [daemon.client.send(f"s{n}") for n in (1, 2, 3)]

    daemon.process.send_signal(number)
    daemon.await_silence()
    assert not Path(daemon.socket).exists()
    daemon.reload()  # too late to mean anything
    assert daemon.process.poll() is None, "it waits for what is in flight"
    fake.release()
    assert daemon.process.wait(PATIENCE) == 0
    assert titles(fake) == ["s0"]

    daemon.start()
    assert daemon.settled(*(receipt.id for receipt in receipts)) == ["delivered"] * 4
    assert titles(fake) == ["s0", "s1", "s2", "s3"]
    assert not any("duplicate" in json.dumps(message) for message in fake.messages())


def test_drain_sends_nothing_new_while_receipts_wait_for_slow_reader(daemon: DaemonProcess, fake: FakeProcess) -> None:
    fake.hold()
    daemon.client.send("in flight")
    fake.await_held()
    daemon.client.send("waits")
    with slow_reader(daemon) as peer:
        daemon.process.terminate()
        daemon.await_silence()
        fake.release()
        assert not daemon.ended_within(1.0), "it waits for the reader"
        assert titles(fake) == ["in flight"]
        while peer.reply() is not HUNG_UP:
            pass
        assert daemon.process.wait(PATIENCE) == 0
    assert titles(fake) == ["in flight"]


@pytest.mark.slow
def test_drain_waits_at_most_ten_seconds_for_hung_destination(daemon: DaemonProcess, fake: FakeProcess) -> None:
    fake.hold(saved=True)
    receipt = daemon.client.send("a minute would be too long")
    fake.await_held()
    assert daemon.stop() == 0

    fake.release()
    daemon.start()
    assert daemon.settled(receipt.id) == ["delivered"]
    first, again = fake.alerts()
    assert not first.doubt
    assert again.doubt


@BOTH
def test_second_signal_ends_drain_and_requests_in_flight_are_repeated_marked(
    daemon: DaemonProcess, fake: FakeProcess, number: signal.Signals
) -> None:
    fake.hold(saved=True)  # the message arrived, without a response
    first = daemon.client.send("first")
    fake.await_held()
    second = daemon.client.send("second")

    daemon.process.send_signal(number)
    daemon.await_silence()
    while not daemon.ended_within(0.2):  # an operator who does not wait
        daemon.process.send_signal(number)
    assert daemon.process.returncode == 0
    assert not Path(daemon.socket).exists()
    fake.release()

    daemon.start()
    assert daemon.wait_for("started")["ambiguous"] == 1
    assert daemon.settled(first.id, second.id) == ["delivered"] * 2
    assert titles(fake) == ["first", "first", "second"]
    assert ["possible duplicate" in json.dumps(embed).lower() for embed in fake.embeds()] == [False, True, False]
    (delivery,) = daemon.client.why(first.id)["deliveries"]
    assert delivery["possible_duplicate"] is True
    assert [attempt["outcome"] for attempt in delivery["attempts"]] == ["unknown", "delivered"]
    assert delivery["attempts"][0]["reason"] == "tocsind stopped before the answer came"


def test_repeated_sigterm_changes_neither_exit_code_nor_queue(daemon: DaemonProcess, fake: FakeProcess) -> None:
    fake.hold()
    ids = [daemon.client.send(f"s{n}").id for n in range(3)]
    fake.await_held()
    daemon.process.terminate()
    daemon.await_silence()
    while not daemon.ended_within(0.001):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            daemon.process.send_signal(number)
    assert daemon.process.returncode == 0
    fake.release()
    daemon.start()
    assert daemon.settled(*ids) == ["delivered"] * 3


def test_signal_sent_during_drain_is_refused_and_spooled(daemon: DaemonProcess, fake: FakeProcess) -> None:
    fake.hold()
    with Peer(daemon.socket) as peer:
        assert (peer.json(request("send", signal={"title": "in flight"})).reply() or {})["ok"] is True
        fake.await_held()
        daemon.process.terminate()
        daemon.await_silence()
        answer = peer.json(request("send", signal={"title": "late"})).reply()
        assert answer is HUNG_UP or answer["error"]["kind"] == "stopping"
    fake.release()
    assert daemon.process.wait(PATIENCE) == 0
    assert titles(fake) == ["in flight"]


def test_every_signal_read_before_exit_has_a_receipt(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, file() + route("local-file")).start() as daemon, Peer(daemon.socket) as peer:
        for n in range(200):
            peer.json(request("send", signal={"title": f"s{n}"}))
        daemon.process.terminate()
        stored = []
        while (reply := peer.reply()) is not HUNG_UP:
            if reply["ok"]:
                stored.append(reply["receipt"]["id"])
        assert daemon.process.wait(PATIENCE) == 0
        daemon.start()
        assert daemon.settled(*stored) == ["delivered"] * len(stored)
        written = [json.loads(line)["id"] for line in (daemon.state / "alerts.jsonl").read_text().splitlines()]
        assert set(stored) <= set(written)
        assert len(written) == len(set(written))


def test_exit_ends_tail_of_clients(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, file() + route("local-file")).start() as daemon, Peer(daemon.socket) as follower:
        follower.json(request("tail", follow=True))
        facts = [(follower.reply() or {})["event"]["event"]]
        daemon.process.terminate()
        while (reply := follower.reply()) is not HUNG_UP:
            facts.append(reply["event"]["event"])
        assert facts[0] == "started"
        assert daemon.process.wait(PATIENCE) == 0
