"""One trade, one live message: it shows the last state after restarts, deletions, kills and bursts."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.assertions import all_delivered, arrived, attempts, delivery, history, queue, shown, until
from tests.harness import DaemonProcess, FakeProcess, discord, file, route

from tocsin.signals import Signal
from tocsind.testing.reader import alerts_in

KEY = "trade-123"
INTERRUPTED = ("unknown", "tocsind stopped before the answer came")


@pytest.fixture
def daemon(tmp_path: Path, fake: FakeProcess) -> Iterator[DaemonProcess]:
    """A daemon with one webhook."""
    with DaemonProcess(tmp_path, discord("d", fake.webhooks[0]["url"]) + route("d")) as daemon:
        yield daemon.start()


def send(daemon: DaemonProcess, title: str, key: str = KEY, **fields: Any) -> str:
    """Send a state of the key and wait for it; returns the signal's id."""
    id_ = daemon.client.send(title, key=key, **fields).id
    assert daemon.settled(id_) == ["delivered"]
    return id_


def living(fake: FakeProcess) -> list[dict[str, Any]]:
    """The messages that were not deleted."""
    return [message for message in fake.messages() if not message["deleted"]]


def restart(daemon: DaemonProcess) -> None:
    assert daemon.stop() == 0
    daemon.start()


def test_three_states_across_two_restarts_are_one_live_message(daemon: DaemonProcess, fake: FakeProcess) -> None:
    opened = send(daemon, "opened", price=64000.5)
    restart(daemon)
    filled = send(daemon, "filled")
    daemon.kill()
    daemon.start()
    closed = send(daemon, "closed")
    (message,) = fake.messages()
    assert (shown(message).title, history(message)) == ("closed", ["filled", "opened · 64,000.5"])
    assert [alerts_in(version)[0].title for version in message["versions"]] == ["opened", "filled"]
    deliveries = [delivery(daemon, id_) for id_ in (opened, filled, closed)]
    assert [each["message"] for each in deliveries] == [message["message_id"]] * 3
    assert [each["reason"] for each in deliveries] == [None, "edited in place", "edited in place"]
    assert "edits" not in deliveries[0]["attempts"][0]
    assert deliveries[2]["attempts"][0]["edits"] == message["message_id"]
    assert f"to edit message {message['message_id']}" in daemon.tocsin("why", closed).stdout


def test_deleted_live_message_is_posted_again_at_once(daemon: DaemonProcess, fake: FakeProcess) -> None:
    send(daemon, "opened")
    fake.delete_message(fake.messages()[0]["message_id"])
    filled = send(daemon, "filled")
    send(daemon, "closed")
    (message,) = living(fake)
    assert (shown(message).title, history(message), message["edits"]) == ("closed", ["filled", "opened"], 1)
    assert [outcome for outcome, _ in attempts(daemon, filled)] == ["deferred", "delivered"]
    assert delivery(daemon, filled)["reason"] == "posted again"
    assert (daemon.destination("d")["condition"], daemon.status()["health"]) == ("ready", "ok")


def test_live_message_too_old_to_edit_is_posted_again(daemon: DaemonProcess, fake: FakeProcess) -> None:
    send(daemon, "opened")
    fake.script({"behaviour": "status", "method": "PATCH", "status": 429, "code": 30046, "message": "Too old"})
    send(daemon, "closed")
    assert [shown(message).title for message in fake.messages()] == ["opened", "closed"]
    assert daemon.destination("d")["condition"] == "ready"


def test_kills_during_edits_leave_one_message_without_doubt(daemon: DaemonProcess, fake: FakeProcess) -> None:
    send(daemon, "state 0")
    for number in range(1, 5):
        fake.hold(saved=bool(number % 2))  # the daemon cannot know whether the edit was made
        id_ = daemon.client.send(f"state {number}", key=KEY).id
        fake.await_held()
        daemon.kill()
        fake.release()
        daemon.start()
        assert daemon.settled(id_) == ["delivered"]
        assert attempts(daemon, id_) == [INTERRUPTED, ("delivered", "edited in place")]
        assert not delivery(daemon, id_)["possible_duplicate"]
        (message,) = fake.messages()
        assert (shown(message).title, shown(message).marked) == (f"state {number}", False)
    assert fake.counts()["posts"] == 1


def test_kill_during_first_post_marks_live_message_as_possible_duplicate(
    daemon: DaemonProcess, fake: FakeProcess
) -> None:
    fake.hold(saved=True)
    opened = daemon.client.send("opened", key=KEY).id
    fake.await_held()
    daemon.kill()
    fake.release()
    daemon.start()
    assert daemon.settled(opened) == ["delivered"]
    send(daemon, "closed")
    lost, message = fake.messages()
    assert (shown(lost).title, lost["edits"]) == ("opened", 0)
    assert (shown(message).title, shown(message).marked, message["edits"]) == ("closed", True, 1)
    assert delivery(daemon, opened)["possible_duplicate"]


LIMITS = {"channel-limit": '"30/3s"', "webhook-limit": '"5/100ms"', "limit": '"1000/s"', "digest": '{ normal = "2s" }'}
STORM = 500


@pytest.mark.parametrize("kills", [0, 3])
def test_burst_on_one_key_ends_with_last_state_and_no_429(
    tmp_path: Path, kills: int, kill_chance: random.Random
) -> None:
    """Windows are a twentieth of the real ones, and edits count in all of them."""
    deadly = kill_chance.sample(range(1, STORM), kills)
    with (
        FakeProcess("--limits", "0.05") as fake,
        DaemonProcess(tmp_path, discord("d", fake.webhooks[0]["url"], **LIMITS) + route("d")) as daemon,
    ):
        daemon.start()
        began = time.monotonic()
        ids = [send(daemon, "state 0")]
        for number in range(1, STORM):
            ids.append(daemon.client.send(f"state {number}", key=KEY).id)
            if number in deadly:
                daemon.kill()
                daemon.start()
        assert all_delivered(daemon, ids)
        permitted = 30 * (1 + (time.monotonic() - began) / 3)
        (message,), counts = fake.messages(), fake.counts()
        assert (counts["limited"], counts["posts"]) == ({}, 1)
        assert (shown(message).title, shown(message).id) == (f"state {STORM - 1}", ids[-1])
        assert counts["edited"] < max(STORM / 5, permitted)  # a slow machine has the time for more edits
        assert {delivery(daemon, id_)["message"] for id_ in ids} == {message["message_id"]}
        assert queue(daemon) == []
        assert daemon.status()["counters"]["deliveries_digested"] == 0


def test_backlog_of_many_keys_costs_one_request_per_key(daemon: DaemonProcess, fake: FakeProcess) -> None:
    fake.hold()
    plug = daemon.client.send("plug").id
    fake.await_held()
    signals = [Signal(f"{key}.{number}", key=f"trade-{key}") for number in range(50) for key in range(10)]
    ids = [receipt.id for receipt in daemon.client.send_many(signals)]
    fake.release()
    assert all_delivered(daemon, [plug, *ids])
    assert sorted(shown(message).title for message in fake.messages()) == sorted(
        ["plug", *(f"{key}.49" for key in range(10))]
    )
    assert fake.counts()["posts"] == 11


def test_urgent_state_is_posted_as_new_message_and_edited_later(daemon: DaemonProcess, fake: FakeProcess) -> None:
    send(daemon, "opened")
    urgent = send(daemon, "stopped out", priority="urgent")
    send(daemon, "booked", priority="low")
    first, second = fake.messages()
    assert (shown(first).title, first["edits"]) == ("opened", 0)
    assert (shown(second).title, history(second), second["edits"]) == ("booked", ["stopped out", "opened"], 1)
    assert delivery(daemon, urgent)["reason"] == "posted again"


def test_live_message_exists_per_destination_and_file_has_a_line_per_state(tmp_path: Path, two: FakeProcess) -> None:
    tables = [discord(name, two.webhooks[n]["url"]) for n, name in enumerate("ab")]
    with DaemonProcess(tmp_path, "".join([*tables, file(), route("a", "b", "local-file")])).start() as daemon:
        closed = [send(daemon, title) for title in ("opened", "closed")][-1]
        first, second = two.messages()
        assert {first["webhook_id"], second["webhook_id"]} == {webhook["id"] for webhook in two.webhooks}
        assert [(shown(message).title, message["edits"]) for message in (first, second)] == [("closed", 1)] * 2
        ids = {delivery(daemon, closed, name)["message"] for name in "ab"}
        lines = [json.loads(line)["title"] for line in (daemon.state / "alerts.jsonl").read_text().splitlines()]
    assert ids == {first["message_id"], second["message_id"]}
    assert lines == ["opened", "closed"]


def test_fallback_has_its_own_live_message(tmp_path: Path, two: FakeProcess) -> None:
    config = discord("a", two.webhooks[0]["url"], fallback='["b"]') + discord("b", two.webhooks[1]["url"]) + route("a")
    with DaemonProcess(tmp_path, config).start() as daemon:
        send(daemon, "opened")
        two.control("POST", "delete", {"webhook": two.webhooks[0]["id"]})
        filled = send(daemon, "filled")
        send(daemon, "closed")
        assert daemon.destination("a")["condition"] == "disabled"
        assert delivery(daemon, filled, "a")["state"] == "rerouted"
        theirs = [message for message in two.messages() if message["webhook_id"] == two.webhooks[1]["id"]]
        trades = [message for message in theirs if "it is disabled" not in shown(message).title]
    (message,) = trades
    assert (shown(message).title, history(message), message["edits"]) == ("closed", ["filled"], 1)


def test_new_webhook_starts_a_new_live_message(tmp_path: Path, two: FakeProcess) -> None:
    with DaemonProcess(tmp_path, discord("d", two.webhooks[0]["url"]) + route("d")).start() as daemon:
        send(daemon, "opened")
        daemon.configure(discord("d", two.webhooks[1]["url"]) + route("d"))
        daemon.reload()
        daemon.wait_for("reloaded")
        send(daemon, "closed")
    assert [(shown(message).title, history(message)) for message in two.messages()] == [("opened", []), ("closed", [])]


def test_queue_status_tail_and_dry_run_show_pending_edits(daemon: DaemonProcess, fake: FakeProcess) -> None:
    first = dry_run(daemon)
    assert first == {"key": KEY, "edits": None, "states": 0}
    send(daemon, "opened")
    message = fake.messages()[0]["message_id"]
    fake.hold()
    ids = [daemon.client.send(title, key=KEY).id for title in ("filled", "closed")]
    until(fake, lambda counts: counts["held"] == 1)
    assert {row["id"] for row in queue(daemon, state="sending")} | {
        row["id"] for row in queue(daemon, state="queued")
    } == set(ids)
    assert daemon.status()["queue"]["depth"] == 2
    assert dry_run(daemon)["edits"] == message
    fake.release()
    assert all_delivered(daemon, ids)
    edited = daemon.wait_for("edited", id=ids[1])
    assert (edited["message"], edited["key"], edited["destination"]) == (message, KEY, "d")
    assert daemon.status()["counters"]["messages_edited"] in {1, 2}  # were both in one edit?
    assert daemon.wait_for("sent", id=ids[1])["reason"] == "edited in place"
    shown_to_people = daemon.tocsin("test", "audited", "--key", KEY).stdout
    assert f"would edit message {message}, with a history of 3 states" in shown_to_people


def dry_run(daemon: DaemonProcess) -> dict[str, Any]:
    """The reply of `tocsin test` about the key."""
    reply = json.loads(daemon.tocsin("test", "next", "--key", KEY, "--json").stdout)
    found: dict[str, Any] = reply["destinations"][0]["living"]
    return found


def test_signals_without_key_are_not_edited(daemon: DaemonProcess, fake: FakeProcess) -> None:
    for title in ("one", "two"):
        assert daemon.settled(daemon.client.send(title).id) == ["delivered"]
    assert [copy.title for copy in arrived(fake)] == ["one", "two"]
