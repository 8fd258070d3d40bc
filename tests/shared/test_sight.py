"""What people see of several hosts: real daemons, a real engine, a fake Discord."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from tests.harness import DaemonProcess, FakeProcess, discord, route, until
from tests.shared.conftest import RedisServer
from tests.shared.test_hosts import holder_of, hosts, lane


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
        holder = holder_of([first, second, third])
        until(lambda: lane(holder)["hosts"] == 3)
        assert holder.client.send("from a host among several").state == "stored"
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
        assert all_hosts(first)["is_current"] is False, "whether or not another step has failed by now"
        shown = first.tocsin("status", "--all-hosts")
        assert shown.returncode == 0
        assert re.match(r"! as of \d\d:\d\d:\d\d, not of now: the engine\s+unix://", shown.stdout)
        assert first.tocsin("status", "--all-hosts", "-q").returncode == 1
        assert states(first) == ["present", "stopped", "unknown"]


def test_status_of_all_hosts_says_that_a_host_alone_shares_nothing(tmp_path: Path, fake: FakeProcess) -> None:
    config = discord("d", fake.webhooks[0]["url"]) + route("d")
    with DaemonProcess(tmp_path / "h", config).start() as host:
        shown = host.tocsin("status", "--all-hosts")
        assert (shown.returncode, shown.stdout) == (78, "")
        assert "no [shared]" in shown.stderr


def counts(host: DaemonProcess) -> list[int]:
    """What arrived of this host, what it sent for others, and what others sent for it."""
    names = ("notifications_sent", "deliveries_for_others", "deliveries_by_others")
    return [host.status()["counters"][name] for name in names]


def story(host: DaemonProcess, id_: str) -> str:
    return " ".join(host.tocsin("why", id_).stdout.split())


def test_why_on_the_accepting_host_says_who_sent_and_what_was_tried(
    tmp_path: Path, fake: FakeProcess, redis_server: RedisServer
) -> None:
    with hosts(tmp_path, fake, redis_server, 2) as found:
        holder = holder_of(found)
        (other,) = (host for host in found if host is not holder)
        name, of_other = (host.status()["shared"]["host"] for host in (holder, other))
        id_ = other.client.send("one").id
        assert other.settled(id_) == ["delivered"]
        told = story(other, id_)
        assert "handed over to the hosts that share this destination" in told
        assert f"attempt 1 by {name}: delivered after" in told
        assert f"sent by {name}, message" in told
        assert f"message {json.loads(other.tocsin('why', id_, '--json').stdout)['deliveries'][0]['message']}" in told
        assert f"came from {of_other}, which accepted it" in story(holder, id_)
        assert holder.settled(holder.client.send("two").id) == ["delivered"]
        until(lambda: counts(holder) == [1, 1, 0])
        assert counts(other) == [1, 0, 1], "all hosts together have sent two"
        assert [host.destination("d")["last_success_seconds"] is None for host in found] == [False, False]


def test_why_on_the_accepting_host_tells_a_death_and_a_doubt(
    tmp_path: Path, fake: FakeProcess, redis_server: RedisServer
) -> None:
    with hosts(tmp_path, fake, redis_server, 3) as found:
        holder = holder_of(found)
        accepting, _ = (host for host in found if host is not holder)
        name = holder.status()["shared"]["host"]
        fake.hold(saved=True)
        id_ = accepting.client.send("one").id
        fake.await_held()
        waiting = story(accepting, id_)
        assert f"{name} sends" in waiting
        holder.kill()
        fake.release()
        assert accepting.settled(id_) == ["delivered"]
        told = story(accepting, id_)
        assert f"{name} began an attempt and did not say how it ended" in told
        assert "it may have arrived twice, and is marked" in told


def test_why_says_that_the_engine_was_away(tmp_path: Path, fake: FakeProcess, redis_server: RedisServer) -> None:
    with hosts(tmp_path, fake, redis_server, 1) as (host,):
        redis_server.kill()
        host.wait_for("engine-lost")
        until(lambda: "the engine cannot be reached" in " ".join(host.status()["problems"]))
        until(lambda: not lane(host)["here"])  # the lease has run out
        told = story(host, host.client.send("normal").id)
        assert "the engine cannot be reached: " in told
        assert "the rest waits" in told
        assert "handed over to the hosts" not in told
        urgent = host.client.send("urgent", priority="urgent").id
        assert host.settled(urgent) == ["delivered"]
        assert "may have arrived twice" not in story(host, urgent), "the engine never had it"


def test_settings_of_the_engine_that_may_lose_what_waits_are_told_by_one_host(
    tmp_path: Path, fake: FakeProcess, redis_server: RedisServer
) -> None:
    redis_server.command("CONFIG", "SET", "appendonly", "no")
    with hosts(tmp_path, fake, redis_server, 2) as found:
        told = [host.wait_for("engine-unsafe") for host in found]
        assert all("append-only" in each["reason"] for each in told)
        assert sorted(each["reports"] for each in told) == [False, True]
        until(lambda: any("needs other settings" in title for title in fake.titles()))
        assert all("append-only" in " ".join(host.status()["problems"]) for host in found)
