"""Signals that a client could not hand over: logged once a kind, and reported to the daemon that answers next."""

from __future__ import annotations

import logging
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.client.servers import Serve, answering, refusing, silent, stored

import tocsin
from tocsin import Client, losses, notices
from tocsin.losses import Losses


def no_daemon(folder: Path) -> Client:
    """A client without daemon and spool."""
    (folder / "file").touch()
    return Client(folder / "s", spool=folder / "file")


def test_client_logs_each_kind_of_loss_once_a_minute(
    folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("tocsin.notices.monotonic", lambda: now[0])
    client = no_daemon(folder)
    for n in range(100):
        client.send(f"disk {n} full")
    client.send(priority="high")
    assert [(record.name, record.levelname) for record in caplog.records] == [("tocsin", "WARNING")] * 2
    assert caplog.messages[0].startswith("alert 'disk 0 full' was dropped: no daemon at")
    assert caplog.messages[1].startswith("alert '' was refused: title: is required")
    now[0] += notices.WINDOW
    client.send("disk 100 full")
    assert caplog.messages[2].endswith("(and 99 more like it before)")


def test_strict_client_raises_and_logs_nothing(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(tocsin.InvalidSignal):
        Client(folder / "s", strict=True).send()
    assert caplog.records == []


def script(*lines: str) -> subprocess.CompletedProcess[str]:
    """The stderr of a program that sends without a daemon."""
    start = ["import logging, sys, tocsin", "client = tocsin.Client('/nowhere/s', spool='/dev/null/x')"]
    return subprocess.run(
        [sys.executable, "-c", "\n".join([*start, *lines])], capture_output=True, text=True, timeout=30, check=True
    )


@pytest.mark.parametrize(
    "setting",
    [
        pytest.param("", id="no logging set up"),
        pytest.param("logging.getLogger().addHandler(tocsin.Handler(socket='/nowhere/s', spool=False))", id="ours at the root"),
        pytest.param("logging.getLogger('tocsin').addHandler(tocsin.Handler(socket='/nowhere/s', spool=False))", id="ours at ours"),
    ],
)  # fmt: skip
def test_lost_signal_is_written_to_stderr(setting: str) -> None:
    said = script(setting, "client.send('disk full')").stderr
    assert said.count("alert 'disk full' was dropped: no daemon at /nowhere/s") == 1


def test_held_back_notices_are_written_at_exit() -> None:
    said = script("for n in range(5): client.send(f'disk {n} full')").stderr.splitlines()
    assert len(said) == 2
    assert said[1].startswith("4 more like it; the last: alert 'disk 4 full' was dropped")


def test_lost_signal_is_logged_where_logging_is_configured(tmp_path: Path) -> None:
    log = tmp_path / "log"
    said = script(f"logging.basicConfig(filename={str(log)!r})", "client.send('disk full')").stderr
    assert said == ""
    assert "alert 'disk full' was dropped" in log.read_text()


def test_handler_that_loses_records_writes_to_stderr() -> None:
    said = script(
        "handler = tocsin.Handler(socket='/nowhere/s', spool=False)",
        "logging.getLogger().addHandler(handler)",
        "logging.getLogger('shop').error('disk full')",
        "handler.flush()",
    ).stderr
    assert "was dropped: no daemon at /nowhere/s" in said
    assert len(said.splitlines()) <= 3


def reports(requests: list[dict[str, Any]]) -> list[tuple[int, int]]:
    return [(each["refused"], each["dropped"]) for each in requests if each["op"] == "losses"]


def test_losses_are_reported_after_the_next_hand_off(serve: Serve, folder: Path) -> None:
    server = serve()
    link = folder / "link"
    with Client(link, spool="/dev/null/x") as client:
        client.send("a")
        client.send_many([{"title": "b"}, {"title": "c"}])
        assert client.losses
        link.symlink_to(server.path)
        client.send("d")
        client.send("e")
    assert reports(server.requests) == [(0, 3)]


def test_losses_report_a_refusal_of_the_client_at_once(serve: Serve) -> None:
    server = serve()
    with Client(server.path) as client:
        client.send(priority="high")
        client.send_many([{}, {"title": "a"}, {}])
    assert reports(server.requests) == [(1, 0), (2, 0)]
    answer = refusing("invalid-signal", field="to")
    with Client(serve(answering(answer)).path) as client:
        client.send("BUY", to="nowhere")
        assert not client.losses


def test_losses_retry_a_failed_report_later(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "RETRY", 0.0)
    client = Client(serve(silent).path, timeout=0.1)
    client.send(priority="high")
    assert client.losses
    server = serve()
    client.socket = server.path
    client.close()
    client = Client(server.path)
    client.losses.add("refused")
    client.close()
    assert reports(server.requests)[-1] == (1, 0)


def test_losses_are_discarded_with_an_old_daemon(serve: Serve) -> None:
    def old(request: dict[str, Any]) -> dict[str, Any] | None:
        return stored(request) if request["op"] != "losses" else refusing("unknown-op")(request)

    with Client(serve(answering(old)).path) as client:
        client.send(priority="high")
        assert not client.losses


def test_losses_stay_with_their_process_and_their_client(folder: Path) -> None:
    client = no_daemon(folder)
    client.send("a")
    assert client.losses
    assert not pickle.loads(pickle.dumps(client.losses))
    pid = os.fork()
    if pid == 0:
        client.losses.add("dropped")
        os._exit(len(client.losses._states))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1


def test_losses_are_bounded() -> None:
    counted = Losses()
    for _ in range(losses._MOST + 10):
        counted.add("dropped")
    assert len(counted._states) == losses._MOST


def test_notices_do_not_raise_when_nothing_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "write", lambda _: 1 / 0)
    monkeypatch.setattr(sys, "stderr", None)
    notices.rate_limited("kind", "text")
    logging.getLogger("tocsin")
