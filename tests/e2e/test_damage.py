"""A start on a damaged journal: it sets the files aside, delivers what can be read, and reports this in log, status and an alarm."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest
from tests.e2e.assertions import arrived
from tests.harness import PATIENCE, DaemonProcess, FakeProcess, discord, route, until

from tocsind.journal import commit_mark

ALARM = "Stored signals were damaged"
OLD, NEW = [f"old {number}" for number in range(20)], [f"new {number}" for number in range(20)]


def is_marked(state: Path) -> bool:
    """Whether the mark knows the journal's last commit. A kill between the two leaves a commit that has answered no client: its loss is no
    damage to report.
    """
    with tempfile.TemporaryDirectory() as folder:
        for path in state.glob("journal.db*"):
            shutil.copy(path, folder)
        with closing(sqlite3.connect(Path(folder) / "journal.db")) as connection:
            (commits,) = connection.execute("SELECT n FROM commits").fetchone()
    mark = commit_mark.read(state)
    return mark is not None and mark.commits == commits


def sql(state: Path, *statements: str) -> None:
    """Change the journal with SQL."""
    with closing(sqlite3.connect(state / "journal.db", isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def flip(path: Path, share: float) -> None:
    """Flip one bit at this share of the file's length."""
    content = bytearray(path.read_bytes())
    content[int(len(content) * share)] ^= 1
    path.write_bytes(content)


def cut(path: Path, share: float) -> None:
    with path.open("r+b") as file:
        file.truncate(int(path.stat().st_size * share))


def scribble(state: Path, table: str) -> None:
    """Overwrite the first leaf page of a table."""
    with closing(sqlite3.connect(state / "journal.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with (state / "journal.db").open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xa5" * size)


def delete_all(state: Path) -> None:
    for each in state.glob("journal.*"):
        each.unlink()


# the damage to the state folder of a killed daemon, and the queued signals that must be delivered
DAMAGES: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "log: bit flipped early": (lambda state: flip(state / "journal.db-wal", 0.02), OLD),
    "log: bit flipped in the middle": (lambda state: flip(state / "journal.db-wal", 0.5), OLD),
    "log: header's bit flipped": (lambda state: flip(state / "journal.db-wal", 0.0), [*OLD, *NEW]),
    "log deleted": (lambda state: (state / "journal.db-wal").unlink(), OLD),
    "log cut": (lambda state: cut(state / "journal.db-wal", 0.5), OLD),
    "log emptied": (lambda state: cut(state / "journal.db-wal", 0.0), OLD),
    "journal deleted": (lambda state: (state / "journal.db").unlink(), []),
    "journal emptied": (lambda state: cut(state / "journal.db", 0.0), []),
    "both deleted": (delete_all, []),
    "journal overwritten": (lambda state: (state / "journal.db").write_text("no database " * 1000), []),
    "journal cut": (lambda state: cut(state / "journal.db", 0.5), []),
    "index page overwritten": (lambda state: scribble(state, "waiting"), [*OLD, *NEW]),
    "table page overwritten": (lambda state: scribble(state, "attempts"), [*OLD, *NEW]),
    "table dropped": (lambda state: sql(state, "DROP TABLE attempts"), [*OLD, *NEW]),
    "deliveries dropped": (lambda state: sql(state, "DROP TABLE deliveries"), [*OLD, *NEW]),
    "trigger dropped": (lambda state: sql(state, "DROP TRIGGER count_new"), [*OLD, *NEW]),
    "a body that cannot be read": (
        lambda state: sql(state, "UPDATE signals SET body = x'00c1' WHERE number = 1"),
        [*OLD[1:], *NEW],
    ),
    "a state that is none": (
        lambda state: sql(state, "UPDATE deliveries SET state = 'lost' WHERE number = 1"),
        [*OLD, *NEW],
    ),
}


@pytest.mark.parametrize(("damage", "certain"), DAMAGES.values(), ids=DAMAGES)
def test_start_recovers_from_damage_and_reports_it(
    tmp_path: Path, fake: FakeProcess, damage: Callable[[Path], object], certain: list[str]
) -> None:
    outage = discord("d", "http://127.0.0.1:1/api/webhooks/1/x") + route("d")
    config = discord("d", fake.webhooks[0]["url"]) + route("d")
    with DaemonProcess(tmp_path, outage) as daemon:
        daemon.start()
        daemon.client.send_many([{"title": title} for title in OLD])
        assert daemon.stop() == 0
        daemon.start()
        for title in NEW:
            daemon.client.send(title)
        daemon.status()  # replied after the commits
        daemon.kill()
        while not is_marked(daemon.state):
            daemon.start()
            daemon.kill()
        damage(daemon.state)
        found = {path.name: path.read_bytes() for path in daemon.state.glob("journal.db*")}
        daemon.configure(config)
        daemon.start()

        def titles() -> list[str]:
            return [copy.title for copy in arrived(fake)]

        expected = {ALARM, *certain}
        with suppress(AssertionError):  # the assertion below shows what is missing
            until(lambda: expected <= set(titles()), patience=3 * PATIENCE)
        assert expected - set(titles()) == set(), daemon.log.read_text()
        until(lambda: daemon.status()["counters"]["queue_depth"] == 0)
        seen = titles()
        assert len(seen) == len(set(seen))
        (aside,) = daemon.state.glob("damaged-*")
        assert {name: (aside / name).read_bytes() for name in found if found[name]} == {
            name: content for name, content in found.items() if content
        }
        status = daemon.status()
        assert status["health"] == "degraded"
        assert any(str(aside) in problem for problem in status["problems"])
        assert "error journal-recovered" in daemon.log.read_text()
        assert "Traceback" not in daemon.log.read_text()
        assert daemon.settled(daemon.client.send("after").id) == ["delivered"]
        assert daemon.stop() == 0
        aside.rename(daemon.state / "seen")
        daemon.start()
        assert daemon.settled(daemon.client.send("and after that").id) == ["delivered"]
        assert daemon.status()["health"] == "ok"
        assert titles().count(ALARM) == 1
