"""What people see of several hosts: real daemons, a real engine, a fake Discord."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tests.harness import DaemonProcess, FakeProcess, discord, route, until
from tests.shared.conftest import RedisServer
from tests.shared.test_hosts import holder_of, hosts


def all_hosts(host: DaemonProcess) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(host.tocsin("status", "--all-hosts", "--json").stdout)
    return found


def states(host: DaemonProcess) -> list[str]:
    return sorted(each["state"] for each in all_hosts(host)["hosts"])


def test_status_of_all_hosts_names_the_living_the_dead_and_the_stopped(
    tmp_path: Path, fake: FakeProcess, redis_server: RedisServer
) -> None:
    with hosts(tmp_path, fake, redis_server) as (first, second, third):
        until(lambda: states(first) == ["present"] * 3)
        answer = all_hosts(first)
        assert [each["here"] for each in answer["hosts"]] == [True, False, False]
        until(lambda: sum("d" in each["sends_for"] for each in all_hosts(first)["hosts"]) == 1)
        assert holder_of([first, second, third]).client.send("from a host among several").state == "stored"
        until(lambda: bool(fake.messages()))
        assert os.uname().nodename in json.dumps(fake.messages()[0])
        name = second.status()["shared"]["host"]
        second.kill()
        long_ago = str((int(redis_server.command("TIME").split()[0]) - 15) * 1000)
        redis_server.command("ZADD", "tocsin:{hosts}:seen", long_ago, name)
        assert third.stop() == 0
        until(lambda: states(first) == ["absent", "present", "stopped"], 60)
        assert first.tocsin("status", "--all-hosts", "-q").returncode == 1
        redis_server.kill()
        until(lambda: all_hosts(first)["away_seconds"] is not None)
        shown = first.tocsin("status", "--all-hosts")
        assert shown.returncode == 0
        assert "! the engine" in shown.stdout
        assert states(first) == ["present", "stopped", "unknown"]


def test_status_of_all_hosts_says_that_a_host_alone_shares_nothing(tmp_path: Path, fake: FakeProcess) -> None:
    config = discord("d", fake.webhooks[0]["url"]) + route("d")
    with DaemonProcess(tmp_path / "h", config).start() as host:
        shown = host.tocsin("status", "--all-hosts")
        assert (shown.returncode, shown.stdout) == (78, "")
        assert "no [shared]" in shown.stderr
