"""Files of a message that is edited by the id that the intake gave."""

from __future__ import annotations

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
