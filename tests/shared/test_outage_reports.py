"""Status, log and alarm name the reason for which the engine cannot be used, from the first failed step on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.harness import DaemonProcess, FakeProcess, until
from tests.shared.conftest import RedisServer
from tests.shared.test_hosts import hosts
from tests.shared.test_trial import USER

from tocsind.shared.engine import Cause, EngineAway
from tocsind.shared.view import EngineState, _problems

THEN = "the rest waits"


def shared(host: DaemonProcess) -> dict[str, Any]:
    found: dict[str, Any] = host.status()["shared"]
    return found


def await_cause(host: DaemonProcess, cause: Cause) -> str:
    """The reason of the status, once it has this cause."""
    until(lambda: shared(host)["cause"] == cause.word)
    return str(shared(host)["reason"])


def await_found(host: DaemonProcess) -> None:
    until(lambda: shared(host)["away_seconds"] is None)


def state(cause: Cause) -> EngineState:
    return EngineState("redis://e:1", EngineAway("so it said", cause), THEN)


def test_an_outage_is_a_problem_from_the_first_step_that_failed_on() -> None:
    (early,) = _problems(state(Cause.FULL), is_away=False)
    assert early == "the engine is full: so it said; if that lasts for 2 s, the rest waits"
    assert _problems(state(Cause.FULL), is_away=True) == ["the engine is full: so it said; the rest waits"]


def test_an_engine_that_was_not_asked_yet_is_no_problem_before_it_takes_long() -> None:
    assert _problems(state(Cause.UNASKED), is_away=False) == []
    assert len(_problems(state(Cause.UNASKED), is_away=True)) == 1


def test_full_engine_is_called_full_everywhere(tmp_path: Path, fake: FakeProcess, redis_server: RedisServer) -> None:
    with hosts(tmp_path, fake, redis_server, 1) as (host,):
        redis_server.command("CONFIG", "SET", "maxmemory", "1mb")
        reason = await_cause(host, Cause.FULL)
        assert reason.startswith("command not allowed when used memory > 'maxmemory'")
        lost = host.wait_for("engine-lost")
        assert (lost["cause"], lost["reason"], lost["engine"]) == (
            "full",
            f"the engine is full: {reason}",
            redis_server.url,
        )
        until(lambda: any(THEN in problem for problem in host.status()["problems"]))
        shown = " ".join(host.tocsin("status").stdout.split())
        assert f"the engine {redis_server.url} is full (for " in shown
        assert "! the engine is full: " in shown
        assert "away" not in shown
        assert "is degraded" in shown
        assert 'tocsin_engine_trouble{cause="full"} 1' in host.tocsin("status", "--prometheus").stdout
        everywhere = json.loads(host.tocsin("status", "--all-hosts", "--json").stdout)
        assert (everywhere["cause"], everywhere["engine_state"]) == ("full", "is full")
        normal, urgent = host.client.send("normal").id, host.client.send("urgent", priority="urgent").id
        assert host.settled(urgent) == ["delivered"], "this host sends it alone"
        assert host.client.why(normal)["state"] == "queued"
        redis_server.command("CONFIG", "SET", "maxmemory", "0")
        assert host.settled(normal) == ["delivered"]
        await_found(host)
        assert host.tocsin("status", "-q").returncode == 0


def test_cause_that_changes_while_the_engine_cannot_be_used_is_named_again(
    tmp_path: Path, fake: FakeProcess, redis_server: RedisServer
) -> None:
    with hosts(tmp_path, fake, redis_server, 1) as (host,):
        redis_server.command("CONFIG", "SET", "maxmemory", "1mb")
        await_cause(host, Cause.FULL)
        redis_server.command("CONFIG", "SET", "requirepass", "another-one")
        redis_server.command("-a", "another-one", "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        assert "another-one" not in await_cause(host, Cause.PASSWORD)
        assert host.wait_for("engine-still-lost", cause="password")["engine"] == redis_server.url


def test_one_permission_that_is_taken_away_is_an_outage_until_it_is_back(
    tmp_path: Path, fake: FakeProcess, redis_server: RedisServer
) -> None:
    assert redis_server.command("ACL", "SETUSER", "tocsin", *USER.split()) == "OK"
    url = redis_server.url.replace("unix://", "unix://tocsin:PASSWORD@")
    with hosts(tmp_path, fake, redis_server, 1, first=url) as (host,):
        redis_server.command("ACL", "SETUSER", "tocsin", "-xadd")  # the lease needs none
        fake.hold()  # what is delivered at once is not handed over
        host.client.send("one")
        until(lambda: "its user may not run xadd" in str(shared(host)["reason"]))
        until(
            lambda: "the engine denies a permission: its user may not run xadd" in " ".join(host.status()["problems"])
        )
        assert "PASSWORD" not in host.tocsin("status").stdout
        fake.release()
        redis_server.command("ACL", "SETUSER", "tocsin", "+xadd")
        await_found(host)


def test_wakeups_that_the_engine_refuses_are_a_problem_and_no_outage(
    tmp_path: Path, fake: FakeProcess, redis_server: RedisServer
) -> None:
    assert redis_server.command("ACL", "SETUSER", "tocsin", *USER.split(), "-subscribe") == "OK"
    url = redis_server.url.replace("unix://", "unix://tocsin:PASSWORD@")
    with hosts(tmp_path, fake, redis_server, 1, first=url) as (host,):
        refused = host.wait_for("wakeups-refused")
        assert "subscribe" in refused["reason"]
        await_found(host)
        until(lambda: "so this host asks for news every second" in " ".join(host.status()["problems"]))
