"""Files of a message that is edited by the id that the intake gave."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from tests.harness import FakeProcess
from tests.http_client import WEBHOOK, arrived, ask, daemon_with, multipart, post


def upload(daemon: Any, method: str, path: str, message: dict[str, Any], **files: bytes) -> Any:
    parts = {f"files[{place}]": (name, content) for place, (name, content) in enumerate(files.items())}
    body, kind = multipart({"payload_json": json.dumps(message)}, parts)
    return ask(daemon, method, path, body, Content_Type=kind)


def names(message: dict[str, Any]) -> list[str]:
    return [each["filename"] for each in message.get("attachments", ())]


def test_edit_before_sending_keeps_the_file(tmp_path: Path, fake: FakeProcess) -> None:
    fake.hold()
    with daemon_with(tmp_path, fake).start() as daemon:
        post(daemon, {"content": "in flight"})
        fake.await_held()
        id_ = upload(daemon, "POST", f"{WEBHOOK}?wait=true", {"content": "waits"}, chart=b"PNG").json()["id"]
        edit = ask(daemon, "PATCH", f"{WEBHOOK}/messages/{id_}", {"content": "edited"})
        assert (edit.status, names(edit.json())) == (200, ["chart"])
        fake.release()
        assert names(arrived(fake, "edited")["payload"]) == ["chart"]


def test_edit_with_no_attachments_takes_the_file_away(tmp_path: Path, fake: FakeProcess) -> None:
    with daemon_with(tmp_path, fake).start() as daemon:
        id_ = upload(daemon, "POST", f"{WEBHOOK}?wait=true", {"content": "with a file"}, chart=b"PNG").json()["id"]
        assert names(arrived(fake, "with a file")["payload"]) == ["chart"]
        path = f"{WEBHOOK}/messages/{id_}"
        edit = ask(daemon, "PATCH", path, {"content": "without it", "attachments": []})
        assert (edit.status, names(edit.json()), names(ask(daemon, "GET", path).json())) == (200, [], [])
        assert names(arrived(fake, "without it")["payload"]) == []
        empty = ask(daemon, "PATCH", path, {"content": ""})
        assert (empty.status, empty.json()["code"]) == (400, 50006)


def test_edit_with_a_file_adds_it_or_replaces_what_is_there(tmp_path: Path, fake: FakeProcess) -> None:
    with daemon_with(tmp_path, fake).start() as daemon:
        id_ = upload(daemon, "POST", f"{WEBHOOK}?wait=true", {"content": "one"}, old=b"OLD").json()["id"]
        arrived(fake, "one")
        path = f"{WEBHOOK}/messages/{id_}"
        added = upload(daemon, "PATCH", path, {"content": "two"}, new=b"NEW").json()
        assert names(added) == names(ask(daemon, "GET", path).json()) == ["old", "new"]
        assert len({each["id"] for each in added["attachments"]}) == 2
        assert names(arrived(fake, "two")["payload"]) == ["old", "new"]
        only = {"content": "three", "attachments": [{"id": 0, "filename": "last"}]}
        assert names(upload(daemon, "PATCH", path, only, last=b"LAST").json()) == ["last"]
        assert names(arrived(fake, "three")["payload"]) == ["last"]
        assert names(ask(daemon, "PATCH", path, {"content": "four"}).json()) == ["last"]
        assert names(arrived(fake, "four")["payload"]) == ["last"]


def test_edit_before_sending_replaces_the_file(tmp_path: Path, fake: FakeProcess) -> None:
    fake.hold()
    with daemon_with(tmp_path, fake).start() as daemon:
        post(daemon, {"content": "in flight"})
        fake.await_held()
        id_ = upload(daemon, "POST", f"{WEBHOOK}?wait=true", {"content": "waits"}, old=b"OLD").json()["id"]
        only = {"content": "edited", "attachments": [{"id": 0}]}
        upload(daemon, "PATCH", f"{WEBHOOK}/messages/{id_}", only, new=b"NEW")
        fake.release()
        [found] = arrived(fake, "edited")["payload"]["attachments"]
        assert (found["filename"], found["sha256"]) == ("new", hashlib.sha256(b"NEW").hexdigest())
