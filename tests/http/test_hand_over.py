"""Messages that are on disk when their 204 comes, and enter the journal later."""

from __future__ import annotations

import http.client
import json
import os
import socket
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.harness import STRANGER, DaemonProcess, FakeProcess, as_stranger, file, public_folder, route, until
from tests.http_client import TOKEN, WEBHOOK, address, arrived, ask, contents, daemon_with, post

from tocsin.signals import Signal
from tocsind.discord_api.bodies import Body
from tocsind.http import webhooks
from tocsind.http_server import Request

FILE = f"/api/webhooks/local-file/{TOKEN}"


def imported(daemon: DaemonProcess) -> int:
    """Signals that came by the spool. The status waits until what is there is imported."""
    return int(daemon.status()["counters"]["spool_signals_taken"])


def test_message_without_an_id_enters_by_the_spool_and_others_by_the_journal(
    running: DaemonProcess, discord_fake: FakeProcess
) -> None:
    before = imported(running)
    assert post(running, {"content": "by the spool"}).status == 204
    assert imported(running) == before + 1
    assert post(running, {"content": "with an id"}, "?wait=true").status == 200
    assert ask(running, "POST", f"/send?token={TOKEN}", {"title": "with a receipt"}).status == 200
    assert imported(running) == before + 1
    arrived(discord_fake, "by the spool")


def test_messages_arrive_in_order_whichever_way_they_enter(tmp_path: Path, fake: FakeProcess) -> None:
    with daemon_with(tmp_path, fake).start() as daemon:
        where = address(daemon)
        fake.hold()
        for number in range(40):
            ask(where, "POST", WEBHOOK + ("?wait=true" if number % 3 == 2 else ""), {"content": f"{number}"})
        fake.release()
        until(lambda: len(contents(fake)) == 40)
        assert contents(fake) == [f"{number}" for number in range(40)]


def test_message_of_a_204_survives_a_kill_at_once(tmp_path: Path, fake: FakeProcess) -> None:
    daemon = daemon_with(tmp_path, fake)
    for number in range(5):
        with daemon.start():
            assert post(daemon, {"content": f"before kill {number}"}).status == 204
            daemon.kill()
    with daemon.start():
        for number in range(5):
            arrived(fake, f"before kill {number}")


def test_message_is_stored_while_the_spool_cannot_be_used(tmp_path: Path, fake: FakeProcess) -> None:
    daemon = daemon_with(tmp_path, fake)
    daemon.state.mkdir(mode=0o700)
    daemon.spool.mkdir()
    daemon.spool.chmod(0o777)
    with daemon.start():
        assert post(daemon, {"content": "not by the spool"}).status == 204
        arrived(fake, "not by the spool")
        assert imported(daemon) == 0


def test_message_that_is_nested_deep_arrives(running: DaemonProcess, discord_fake: FakeProcess) -> None:
    for depth in (100, 400, 800):
        deep = "[" * depth + "]" * depth
        body = f'{{"content": "depth {depth}", "embeds": [{{"title": "t", "unknown": {deep}}}]}}'
        assert ask(running, "POST", WEBHOOK, body.encode()).status == 204
        arrived(discord_fake, f"depth {depth}")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_message_of_another_user_is_stored_under_their_uid() -> None:
    with public_folder() as folder:
        place = folder / "http.sock"
        config = f'[http]\nlisten = "{place}"\ntoken = "{TOKEN}"\n' + file() + route("local-file")
        with DaemonProcess(folder, config).start() as daemon:
            daemon.wait_for("http-opened")
            place.chmod(0o666)
            assert as_stranger(lambda: _posted(place)) == 204
            assert daemon.wait_for("accepted")["uid"] == STRANGER


def _posted(place: Path) -> int:
    """The status of a message that is posted over a Unix socket."""
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(place))
    connection.request("POST", FILE, b'{"content": "x"}', {"Content-Type": "application/json"})
    return connection.getresponse().status


_leaf = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=8)
_json = st.recursive(_leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner))
_message = st.fixed_dictionaries(
    {"content": st.text(max_size=20) | st.integers(-(2**70), 2**70)},
    optional={
        "embeds": st.lists(st.dictionaries(st.sampled_from(["title", "fields", "other"]), _json), max_size=2),
        "flags": st.integers(-(2**66), 2**66),
        "applied_tags": _json,
        "username": _json,
    },
)


@given(message=_message)
def test_any_message_without_a_fault_makes_the_same_signal_at_the_importer(message: object) -> None:
    request = Request("POST", WEBHOOK, {}, {}, b"")
    body = Body(msgspec.json.decode(json.dumps(message)))
    if webhooks._fault(body, request, ()) is None:
        values = {"payload": webhooks._payload(body, request), "to": ["alerts"], "id": Signal("x").id}
        read = Signal.from_dict(msgspec.json.decode(msgspec.json.encode(values)))
        assert read == Signal(**values)
