"""SIGHUP: a new configuration is applied as a whole or not at all, and no queued signal is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.harness import DaemonProcess, FakeProcess, discord, file, route, until

PLAIN = file() + route("local-file")
PARTS = ("[daemon] state", "[shared]")


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[DaemonProcess]:
    with DaemonProcess(tmp_path, PLAIN).start() as daemon:
        yield daemon
        assert daemon.process.poll() is None, daemon.log.read_text()[-2000:]


def apply(daemon: DaemonProcess, config: str) -> None:
    """Reload, and wait until it is done. `tail` follows new events only, so an earlier reload does not count."""
    before = sum(reply["event"]["event"] == "reloaded" for reply in daemon.client.stream("tail"))
    daemon.configure(config)
    daemon.reload()
    daemon.wait_for("reloaded", nth=before + 1)


def arrived(daemon: DaemonProcess, title: str, **fields: str) -> list[str]:
    """Send a signal; returns where it was settled."""
    id_ = daemon.client.send(title, **fields).id  # type: ignore[arg-type] # only texts are used here
    daemon.settled(id_)
    return [each["destination"] for each in daemon.client.why(id_)["deliveries"] if each["state"] == "sent"]


def test_reload_applies_new_route_and_destination(daemon: DaemonProcess, fake: FakeProcess) -> None:
    assert arrived(daemon, "before", tier="premium") == ["local-file"]
    premium = '[[routes]]\nwhen = { tier = "premium" }\nto = ["d"]\n'
    apply(daemon, file() + discord("d", fake.webhooks[0]["url"]) + premium + route("local-file"))
    assert arrived(daemon, "after", tier="premium") == ["d"]
    assert arrived(daemon, "other", tier="free") == ["local-file"]
    assert fake.titles() == ["after"]


def test_reload_detects_deleted_webhook_before_first_signal(daemon: DaemonProcess, fake: FakeProcess) -> None:
    fake.control("POST", "delete", {"webhook": fake.webhooks[0]["id"]})
    apply(daemon, file() + discord("d", fake.webhooks[0]["url"], fallback='["local-file"]') + route("d"))
    assert daemon.wait_for("disabled", destination="d")["reason"] == "404 from Discord: Unknown Webhook"
    assert arrived(daemon, "the first alert") == ["local-file"]
    assert fake.counts()["posts"] == 0


def test_reload_reroutes_queue_of_removed_destination(daemon: DaemonProcess, fake: FakeProcess) -> None:
    there = discord("d", fake.webhooks[0]["url"], retry='{ first = "1h", most = "1h" }') + file()
    apply(daemon, there + route("d"))
    fake.script({"behaviour": "status", "status": 503})
    waiting = daemon.client.send("patience").id
    daemon.wait_for("deferred", id=waiting)

    apply(daemon, PLAIN)
    assert arrived(daemon, "another signal") == ["local-file"]
    assert [each["name"] for each in daemon.status()["destinations"]] == ["local-file"]
    assert daemon.settled(waiting) == ["delivered"]
    assert [
        (each["destination"], each["state"], each["reason"]) for each in daemon.client.why(waiting)["deliveries"]
    ] == [
        ("d", "rerouted", "to local-file: routed again"),
        ("local-file", "sent", None),
    ]
    assert daemon.wait_for("orphans-requeued") | {"at": 0} == {
        "at": 0, "level": "warning", "event": "orphans-requeued", "destination": "d", "deliveries": 1,
    }  # fmt: skip
    assert daemon.status()["problems"] == []


def test_unrouted_queue_of_removed_destination_waits_for_its_return(daemon: DaemonProcess, fake: FakeProcess) -> None:
    there = discord("d", fake.webhooks[0]["url"], retry='{ first = "1h", most = "1h" }') + file()
    apply(daemon, there + route("d"))
    fake.script({"behaviour": "status", "status": 503})
    waiting = daemon.client.send("patience").id
    daemon.wait_for("deferred", id=waiting)

    apply(daemon, file() + '[[routes]]\nwhen = { tier = "premium" }\nto = ["local-file"]\n')
    assert daemon.status()["problems"] == ["1 wait for d, which the configuration no longer names"]
    (row,) = daemon.client.request("queue", destination="d")["deliveries"]
    assert (row["id"], row["state"]) == (waiting, "queued")

    apply(daemon, there + route("d"))
    assert daemon.settled(waiting) == ["delivered"]
    assert daemon.status()["problems"] == []


def test_reload_without_a_delay_releases_what_it_held(daemon: DaemonProcess) -> None:
    delayed = PLAIN + 'delay = "{}"\n'
    apply(daemon, delayed.format("1h"))
    id_ = daemon.client.send("held").id
    apply(daemon, delayed.format("2h"))

    def delivery() -> dict[str, Any]:
        [found] = daemon.client.why(id_)["deliveries"]
        return dict(found)

    until(lambda: delivery()["reason"] == "held for 2h by the delay of its route")
    assert 7199 < delivery()["held_until"] - delivery()["since"] < 7201
    apply(daemon, PLAIN)
    assert daemon.settled(id_) == ["delivered"]


def test_reload_with_wider_limit_releases_waiting_signals(daemon: DaemonProcess, fake: FakeProcess) -> None:
    url = fake.webhooks[0]["url"]
    apply(daemon, discord("d", url, limit='"1/h"') + route("d"))
    first = daemon.client.send("first").id
    assert daemon.settled(first) == ["delivered"]
    second = daemon.client.send("second").id
    assert daemon.client.request("wait", id=second, seconds=0)["state"] == "queued"
    apply(daemon, discord("d", url, limit='"1000/s"') + route("d"))
    assert daemon.settled(second) == ["delivered"]
    assert fake.titles() == ["first", "second"]


def test_reload_of_invalid_configuration_reports_all_problems_and_keeps_the_old_one(daemon: DaemonProcess) -> None:
    daemon.configure(
        file().replace("file", "fiel", 1).replace('"file"', '"fax"') + 'colour = "red"\n' + route("nowhere")
    )
    daemon.reload()
    problems = daemon.wait_for("reload-refused")["problems"]
    assert len(problems) == 3
    assert all(problem.startswith(f"{daemon.config}:") for problem in problems)
    assert arrived(daemon, "as before") == ["local-file"]
    (problem,) = daemon.status()["problems"]
    assert problem == f"the last reload was refused, the configuration before it is in force: {problems[0]}"
    assert daemon.status()["health"] == "degraded"
    log = daemon.log.read_text()
    assert "error reload-refused" in log
    assert "colour" in log
    apply(daemon, PLAIN)
    assert daemon.status()["health"] == "ok"


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"[[[", b"", b"x = " + b"[" * 100_000], ids=["bytes", "syntax", "empty", "deep"]
)
def test_reload_of_unreadable_file_changes_nothing(daemon: DaemonProcess, content: bytes) -> None:
    daemon.config.write_bytes(content)
    daemon.reload()
    daemon.wait_for("reload-refused")
    assert arrived(daemon, "as before") == ["local-file"]


def test_reload_of_missing_file_changes_nothing(daemon: DaemonProcess) -> None:
    daemon.config.unlink()
    daemon.reload()
    (problem,) = daemon.wait_for("reload-refused")["problems"]
    assert "No such file" in problem
    assert arrived(daemon, "as before") == ["local-file"]


def test_reload_waits_for_requests_in_flight_of_changed_destination(daemon: DaemonProcess, fake: FakeProcess) -> None:
    apply(daemon, discord("d", fake.webhooks[0]["url"]) + route("d"))
    fake.hold()
    ids = [daemon.client.send(title).id for title in ("in flight", "next")]
    fake.await_held()
    daemon.configure(discord("d", fake.webhooks[0]["url"], username='"renamed"') + route("d"))
    daemon.reload()
    assert daemon.client.send("taken all the same").state == "stored"
    fake.release()
    assert daemon.settled(*ids) == ["delivered"] * 2
    daemon.wait_for("reloaded", nth=2)
    names = [message["payload"].get("username") for message in fake.messages()]
    assert names[0] is None
    assert "duplicate" not in json.dumps(fake.messages())


def test_reload_of_two_destinations_lists_both_while_one_waits_for_its_request(daemon: DaemonProcess) -> None:
    def configuration(**options: str) -> str:
        pair = zip("de", fake.webhooks, strict=True)
        return "".join(discord(name, webhook["url"], **options) for name, webhook in pair) + route("d")

    with FakeProcess("--limits", "none", "--webhooks", "2") as fake:
        apply(daemon, configuration(deadline='"60s"'))
        fake.script({"behaviour": "slow", "webhook": fake.webhooks[0]["id"], "method": "POST", "delay": 10.0})
        slow = daemon.client.send("in flight").id
        until(lambda: len(fake.messages()) == 1)
        daemon.configure(configuration(deadline='"60s"', username='"renamed"'))
        daemon.reload()
        until(lambda: daemon.client.send("fast", to="e").state == "stored" and sender(fake, "fast") == "renamed")
        assert daemon.client.why(slow)["deliveries"][0]["state"] == "sending"
        assert [each["name"] for each in daemon.status()["destinations"]] == ["d", "e"]
        assert daemon.settled(slow) == ["delivered"]


def sender(fake: FakeProcess, title: str) -> str | None:
    """Under which name the last message with this title came."""
    found = [each["payload"] for each in fake.messages() if title in json.dumps(each["payload"]["embeds"])]
    return found[-1].get("username") if found else None


def test_reload_with_another_socket_path_reports_that_it_needs_a_restart(daemon: DaemonProcess, tmp_path: Path) -> None:
    apply(daemon, f'[daemon]\nsocket = "{tmp_path}/other.sock"\n{PLAIN}')
    assert "next start" in daemon.wait_for("configuration-warning")["problem"]
    assert daemon.listens()


def test_reload_command_says_what_is_in_force_and_what_needs_a_restart(daemon: DaemonProcess, tmp_path: Path) -> None:
    done = daemon.tocsin("reload")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "the configuration is in force, with 1 destination\n"
    shared = '[shared]\nurl = "unix:///nowhere/engine.sock"\n'
    daemon.configure(f'[daemon]\nstate = "{tmp_path}/other"\n{shared}{PLAIN}')
    done = daemon.tocsin("reload")
    assert done.returncode == 0
    needs = [f"{part} has changed, and takes effect at the next start only: restart the daemon" for part in PARTS]
    assert [line.removeprefix("tocsin: ") for line in done.stderr.splitlines()][:2] == needs
    assert daemon.status()["problems"] == needs
    daemon.configure(PLAIN + "# touched\n")
    assert json.loads(daemon.tocsin("reload", "--json").stdout)["restart"] == [], "as at the start"
    assert daemon.status()["health"] == "ok"


def test_reload_command_names_the_mistakes(daemon: DaemonProcess) -> None:
    daemon.configure(PLAIN + 'colour = "red"\n')
    done = daemon.tocsin("reload", "--json")
    assert done.returncode == 78
    error = json.loads(done.stdout)["error"]
    assert error["kind"] == "invalid-configuration"
    assert "colour" in error["message"]
    assert "stays in force" in error["message"]
    assert daemon.status()["health"] == "degraded"


def test_hundred_reloads_are_applied_in_sequence(daemon: DaemonProcess) -> None:
    for _ in range(100):
        daemon.reload()
    assert arrived(daemon, "another signal") == ["local-file"]
    apply(daemon, PLAIN)
    assert arrived(daemon, "after") == ["local-file"]
