"""Hosts of which some do not get through to Discord: another one sends; a delivery that waits too long uses its own host's fallback."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.e2e.assertions import ALARM
from tests.harness import DaemonProcess, FakeProcess, discord, file, route, until
from tests.shared.conftest import RedisServer
from tests.shared.test_hosts import holder_of, knows_all, lane

PATIENT = '{ urgent = "1m", high = "1m", normal = "1m" }'
HASTY = '{ urgent = "1s", high = "1m", normal = "1m" }'


@contextmanager
def cuttable(
    folder: Path,
    fake: FakeProcess,
    engine: RedisServer,
    n: int = 2,
    *,
    patience: str = PATIENT,
    extra: str = "",
    **more: str,
) -> Iterator[list[DaemonProcess]]:
    """Hosts whose way to Discord can be cut; each has a file as the fallback. `more` keys of the destination are TOML."""
    destination = discord(
        "d",
        fake.webhooks[0]["url"],
        fallback='["local-file"]',
        patience=patience,
        retry='{ first = "100ms", most = "200ms" }',
        breaker='{ failures = 3, rest = "200ms", most = "500ms" }',
        **more,
    )
    config = f'[shared]\nurl = "{engine.url}"\n{extra}\n{destination}{file()}{route("d")}'
    command = (sys.executable, "-m", "tests.shared.cut_off")
    with ExitStack() as stack:
        found = []
        for number in range(n):
            place = folder / f"h{number}"
            environment = {"CUT": str(place / "cut")}
            host = DaemonProcess(place, config, environment, command=command)
            found.append(stack.enter_context(host.start()))
        until(lambda: all(map(knows_all(n), found)))
        yield found


def cut(host: DaemonProcess, reason: str = "no route to host") -> None:
    (host.folder / "cut").write_text(reason)


def mend(host: DaemonProcess) -> None:
    (host.folder / "cut").unlink()


def told(host: DaemonProcess) -> list[str]:
    """Titles in the file of a host, without alarms."""
    path = host.state / "alerts.jsonl"
    titles = [json.loads(line)["title"] for line in path.read_text().splitlines()] if path.exists() else []
    return [title for title in titles if not ALARM.match(title)]


@pytest.mark.parametrize("reason", ["no route to host", "gone: 404", "banned: 1015"])
def test_a_holder_that_alone_does_not_get_through_lets_another_host_send(
    tmp_path: Path, fake: FakeProcess, redis_server: RedisServer, reason: str
) -> None:
    with cuttable(tmp_path, fake, redis_server) as found:
        holder = holder_of(found)
        (other,) = [host for host in found if host is not holder]
        cut(holder, reason)
        ids = {host: host.client.send(f"from {n}", priority="urgent").id for n, host in enumerate(found)}
        until(lambda: bool(lane(other)["here"]), 60)
        for host, id_ in ids.items():
            assert host.settled(id_) == ["delivered"]
        assert sorted(fake.titles()) == ["from 0", "from 1"]
        assert [told(host) for host in found] == [[], []]
        mend(holder)
        assert other.settled(other.client.send("later").id) == ["delivered"]
        assert lane(other)["here"], "the lease does not go back"


def test_where_no_host_gets_through_each_tells_its_own_fallback_what_it_accepted(
    tmp_path: Path, fake: FakeProcess, redis_server: RedisServer
) -> None:
    with cuttable(tmp_path, fake, redis_server, patience=HASTY) as found:
        for host in found:
            cut(host)
        for n, host in enumerate(found):
            host.client.send(f"urgent {n}", priority="urgent")
            host.client.send(f"low {n}", priority="low")
        until(lambda: [told(host) for host in found] == [["urgent 0"], ["urgent 1"]], 60)
        for host in found:
            mend(host)
        until(lambda: sorted(fake.titles()) == ["low 0", "low 1"], 60)
        until(lambda: all(host.status()["queue"]["depth"] == 0 for host in found))
        assert [told(host) for host in found] == [["urgent 0"], ["urgent 1"]]


def test_where_the_webhook_is_gone_for_all_hosts_each_tells_its_fallback_all_that_it_accepted(
    tmp_path: Path, fake: FakeProcess, redis_server: RedisServer
) -> None:
    with cuttable(tmp_path, fake, redis_server) as found:
        for host in found:
            cut(host, "gone: 404")
        for n, host in enumerate(found):
            host.client.send(f"urgent {n}", priority="urgent")
            host.client.send(f"low {n}", priority="low")
        until(lambda: [sorted(told(host)) for host in found] == [["low 0", "urgent 0"], ["low 1", "urgent 1"]], 60)
        assert fake.titles() == []


@pytest.mark.parametrize("mode", ["hold", "degrade"])
def test_while_the_engine_is_away_what_waits_too_long_takes_the_fallback(
    tmp_path: Path, fake: FakeProcess, redis_server: RedisServer, mode: str
) -> None:
    patience = '{ urgent = "3s", high = "1m", normal = "4s" }'
    with cuttable(tmp_path, fake, redis_server, patience=patience, extra=f'on-outage = "{mode}"') as found:
        redis_server.process.send_signal(signal.SIGSTOP)
        try:
            until(lambda: all(host.status()["shared"]["reason"] for host in found))
            for n, host in enumerate(found):
                host.client.send(f"urgent {n}", priority="urgent")
                host.client.send(f"normal {n}", priority="normal")
                host.client.send(f"low {n}", priority="low")
            waits = ["normal"] if mode == "degrade" else ["urgent", "normal"]
            expected = [[f"{word} {n}" for word in waits] for n in range(2)]
            until(lambda: [told(host) for host in found] == expected, 60)
        finally:
            redis_server.process.send_signal(signal.SIGCONT)
        until(lambda: all(host.status()["queue"]["depth"] == 0 for host in found), 60)
        assert [told(host) for host in found] == expected
        urgent = ["urgent 0", "urgent 1"] if mode == "degrade" else []
        assert sorted(fake.titles()) == ["low 0", "low 1", *urgent]
