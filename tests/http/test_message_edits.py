"""Messages that are edited, deleted and read by the id that the intake gave."""

from __future__ import annotations

from pathlib import Path

from tests.harness import DaemonProcess, FakeProcess, until
from tests.http_client import (
    TOKEN,
    WEBHOOK,
    arrived,
    ask,
    contents,
    daemon_with,
    post,
)


def test_edit_before_sending_changes_what_is_sent(tmp_path: Path, fake: FakeProcess) -> None:
    fake.hold()
    with daemon_with(tmp_path, fake).start() as daemon:
        post(daemon, {"content": "in flight"})
        fake.await_held()
        ids = [
            post(daemon, {"content": f"waits {n}", "embeds": [{"title": "E"}]}, "?wait=true").json()["id"]
            for n in (1, 2)
        ]
        edit = ask(daemon, "PATCH", f"{WEBHOOK}/messages/{ids[0]}", {"content": "edited"})
        assert (edit.status, edit.json()["content"], len(edit.json()["embeds"])) == (200, "edited", 1)
        assert ask(daemon, "DELETE", f"{WEBHOOK}/messages/{ids[1]}").status == 204
        post(daemon, {"content": "last"})
        fake.release()
        arrived(fake, "last")
    assert contents(fake) == ["in flight", "edited", "last"]
    assert fake.counts()["edited"] == 0


def test_edit_and_deletion_reach_a_message_that_was_sent(running: DaemonProcess, discord_fake: FakeProcess) -> None:
    id_ = post(running, {"content": "to be edited", "embeds": [{"title": "stays"}]}, "?wait=true").json()["id"]
    there = arrived(discord_fake, "to be edited")
    assert ask(running, "PATCH", f"{WEBHOOK}/messages/{id_}", {"content": "edited there"}).status == 200
    found = arrived(discord_fake, "edited there")
    assert (found["message_id"], found["payload"]["embeds"][0]["title"]) == (there["message_id"], "stays")
    assert ask(running, "GET", f"{WEBHOOK}/messages/{id_}").json()["content"] == "edited there"
    assert ask(running, "DELETE", f"{WEBHOOK}/messages/{id_}").status == 204
    until(lambda: "edited there" not in contents(discord_fake))
    for method in ("GET", "PATCH", "DELETE"):
        gone = ask(running, method, f"{WEBHOOK}/messages/{id_}", {"content": "x"} if method == "PATCH" else None)
        assert (gone.status, gone.json()["code"]) == (404, 10008)


def test_message_object_says_when_it_was_edited(running: DaemonProcess) -> None:
    path = f"{WEBHOOK}/messages/{post(running, {'content': 'new'}, '?wait=true').json()['id']}"
    assert ask(running, "GET", path).json()["edited_timestamp"] is None
    edited = ask(running, "PATCH", path, {"content": "other"}).json()
    assert edited["edited_timestamp"] >= edited["timestamp"]
    assert ask(running, "GET", path).json() == edited


def test_edit_survives_a_restart(tmp_path: Path, fake: FakeProcess) -> None:
    daemon = daemon_with(tmp_path, fake)
    with daemon.start():
        id_ = post(daemon, {"content": "before the restart"}, "?wait=true").json()["id"]
        arrived(fake, "before the restart")
        until(lambda: daemon.status()["queue"]["depth"] == 0)  # the daemon knows the message's id
    with daemon.start():
        assert ask(daemon, "PATCH", f"{WEBHOOK}/messages/{id_}", {"content": "after it"}).status == 200
        arrived(fake, "after it")
    assert len(contents(fake)) == 1


def test_edit_must_leave_something(running: DaemonProcess) -> None:
    id_ = post(running, {"content": "something"}, "?wait=true").json()["id"]
    refused = ask(running, "PATCH", f"{WEBHOOK}/messages/{id_}", {"content": None})
    assert (refused.status, refused.json()["code"]) == (400, 50006)
    too_long = ask(running, "PATCH", f"{WEBHOOK}/messages/{id_}", {"content": "x" * 2001})
    assert list(too_long.json()["errors"]) == ["content"]
    assert ask(running, "GET", f"{WEBHOOK}/messages/{id_}").json()["content"] == "something"


def test_message_of_another_destination_is_unknown(running: DaemonProcess) -> None:
    id_ = post(running, {"content": "of alerts"}, "?wait=true").json()["id"]
    other = f"/api/webhooks/local-file/{TOKEN}/messages/"
    for path in (
        f"{other}{id_}",
        f"{WEBHOOK}/messages/1",
        f"{WEBHOOK}/messages/@original",
        f"{WEBHOOK}/messages/{'9' * 40}",
    ):
        assert ask(running, "GET", path).json()["code"] == 10008
