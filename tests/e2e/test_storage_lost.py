"""The journal is deleted, moved or replaced under a running daemon: no receipts, an alarm, and an exit with the reason."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.e2e.assertions import arrived
from tests.harness import PATIENCE, DaemonProcess, FakeProcess, discord, route, until

import tocsin


def replace(path: Path) -> None:
    copy = path.with_suffix(".copy")
    shutil.copyfile(path, copy)
    copy.replace(path)


def delete(state: Path) -> None:
    """Delete in one step: the daemon may be about to make a file in it."""
    gone = state.with_name("gone")
    state.rename(gone)
    shutil.rmtree(gone)


LOSSES: dict[str, Callable[[Path], object]] = {
    "state folder deleted": delete,
    "state folder moved": lambda state: state.rename(state.with_name("moved")),
    "journal deleted": lambda state: (state / "journal.db").unlink(),
    "journal replaced": lambda state: replace(state / "journal.db"),
    "log deleted": lambda state: (state / "journal.db-wal").unlink(),
    "log replaced": lambda state: replace(state / "journal.db-wal"),
}


@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES)
def test_lost_storage_refuses_signals_raises_alarm_and_exits_with_reason(
    tmp_path: Path, fake: FakeProcess, lose: Callable[[Path], object]
) -> None:
    config = discord("d", fake.webhooks[0]["url"]) + route("d")
    with DaemonProcess(tmp_path, config).start() as daemon:
        assert daemon.settled(daemon.client.send("before").id) == ["delivered"]
        lose(daemon.state)
        with pytest.raises(tocsin.TocsinError):
            daemon.client.send("into nothing", to="d")
        assert daemon.process.wait(PATIENCE) == 73
        last = daemon.log.read_text().splitlines()[-1]
        assert last.startswith(("tocsind: the journal is gone: ", "tocsind: the state folder "))
        assert "Traceback" not in daemon.log.read_text()
        assert [copy.title for copy in arrived(fake)] == ["before", "tocsind stops: its journal is lost"]
        assert daemon.tocsin("send", "without a daemon").returncode == 0
        daemon.start()
        until(lambda: "without a daemon" in [copy.title for copy in arrived(fake)])


@pytest.mark.parametrize("lose", [LOSSES[name] for name in LOSSES if name != "journal replaced"])
def test_queue_of_replaced_journal_is_delivered_by_next_start(
    tmp_path: Path, fake: FakeProcess, lose: Callable[[Path], object]
) -> None:
    outage = discord("d", "http://127.0.0.1:1/api/webhooks/1/x") + route("d")
    with DaemonProcess(tmp_path, outage).start() as daemon:
        titles = {f"waiting {number}" for number in range(20)}
        daemon.client.send_many([{"title": title} for title in titles])
        lose(daemon.state)
        assert daemon.process.wait(PATIENCE) == 73
        daemon.configure(discord("d", fake.webhooks[0]["url"]) + route("d"))
        daemon.start()
        until(lambda: titles <= {copy.title for copy in arrived(fake)})
        assert daemon.settled(daemon.client.send("after").id) == ["delivered"]


def test_idle_daemon_notices_lost_storage(tmp_path: Path, fake: FakeProcess) -> None:
    config = discord("d", fake.webhooks[0]["url"]) + route("d")
    with DaemonProcess(tmp_path, config).start() as daemon:
        delete(daemon.state)
        assert daemon.process.wait(PATIENCE) == 73
        assert [copy.title for copy in arrived(fake)] == ["tocsind stops: its journal is lost"]
