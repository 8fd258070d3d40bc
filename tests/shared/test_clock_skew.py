"""Hosts whose clocks are two days apart: the engine's clock counts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from tests.harness import DaemonProcess, FakeProcess, discord, route, until
from tests.shared.conftest import RedisServer
from tests.shared.fleet import LIMITS, LONG, lane, settled

SHIFT = """
import time
seconds, ns = time.time, time.time_ns
time.time, time.time_ns = lambda: seconds() + {0}, lambda: ns() + {0} * 10**9
"""


def shifted(folder: Path, by: int) -> dict[str, str]:
    """The environment of a Python program whose wall clock is wrong by so many seconds. (libfaketime makes it ten times slower.)"""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SHIFT.format(by))
    return {"PYTHONPATH": str(folder)}


@pytest.mark.slow
def test_hosts_whose_clocks_are_two_days_apart_share_a_channel(tmp_path: Path, redis_server: RedisServer) -> None:
    with FakeProcess("--limits", "0.05") as fake:
        config = (
            f'[shared]\nurl = "{redis_server.url}"\n' + discord("d", fake.webhooks[0]["url"], **LIMITS) + route("d")
        )
        ahead = DaemonProcess(tmp_path / "ahead", config, shifted(tmp_path / "a", 86_400), executed=True)
        behind = DaemonProcess(tmp_path / "behind", config, shifted(tmp_path / "b", -86_400), executed=True)
        with ahead.start(), behind.start():
            until(lambda: all(lane(host)["holder"] for host in (ahead, behind)), LONG)
            holder, other = (ahead, behind) if lane(ahead)["here"] else (behind, ahead)
            first = send(1, holder, other)
            holder.stop()
            until(lambda: bool(lane(other)["here"]), LONG)
            holder.start()
            second = send(2, holder, other)
            until(lambda: all(map(settled, (ahead, behind))), LONG)
            unmarked = Counter(alert.title for alert in fake.alerts() if not alert.doubt)
            assert max(unmarked.values()) == 1
            assert set(first + second) == set(fake.titles())
            assert fake.counts()["limited"] == {}
            logs = ahead.log.read_text(), behind.log.read_text()
            days = [line[:10] for log in logs for line in log.splitlines() if " started " in line]
            assert len(set(days)) > 1, "their clocks are apart"


def send(n: int, *hosts: DaemonProcess) -> list[str]:
    """Titles of signals that each host accepts, and that expire within an hour; all have been delivered."""
    titles = [f"{host.folder.name} {n}" for host in hosts]
    ids = [host.client.send(title, expires="1h").id for host, title in zip(hosts, titles, strict=True)]
    assert [host.settled(id_) for host, id_ in zip(hosts, ids, strict=True)] == [["delivered"]] * len(hosts)
    return titles
