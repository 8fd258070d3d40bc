"""A daemon with an HTTP intake, and plain requests to it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from tests.harness import PATIENCE, DaemonProcess, FakeProcess, discord, file, route, until

TOKEN = "a-token-for-tests"
LISTEN = f'[http]\nlisten = "127.0.0.1:0"\ntoken = "{TOKEN}"\n'
WEBHOOK = f"/api/webhooks/alerts/{TOKEN}"


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Its body, as JSON."""
        return json.loads(self.body)


def configuration(fake: FakeProcess, more: str = "", **options: str) -> str:
    """An intake, and the destinations `alerts` (the fake Discord) and `local-file`."""
    return LISTEN + more + discord("alerts", fake.webhooks[0]["url"], **options) + file() + route("alerts")


def daemon_with(folder: Path, fake: FakeProcess, more: str = "", **options: str) -> DaemonProcess:
    """A daemon with such a configuration."""
    return DaemonProcess(folder, configuration(fake, more, **options))


def address(daemon: DaemonProcess) -> tuple[str, int]:
    """Where the daemon listens for HTTP."""
    host, _, port = daemon.status()["http"]["listen"].rpartition(":")
    return host, int(port)


def base_url(daemon: DaemonProcess) -> str:
    """The beginning of every URL there."""
    return "http://{}:{}".format(*address(daemon))


def ask(where: DaemonProcess | tuple[str, int], method: str, path: str, body: object = None, **headers: str) -> Answer:
    """One request. A body that is no bytes is sent as JSON; `_` in a header's name is `-`."""
    content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None:
        named.setdefault("Content-Type", "application/json")
    with closing(
        http.client.HTTPConnection(*(where if isinstance(where, tuple) else address(where)), timeout=PATIENCE)
    ) as connection:
        connection.request(method, path, content, named)
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.getheaders()), answer.read())


def post(daemon: DaemonProcess, payload: object, query: str = "") -> Answer:
    """Post a message to `alerts`."""
    return ask(daemon, "POST", WEBHOOK + query, payload)


def contents(fake: FakeProcess) -> list[str]:
    """The contents of the messages that are at the fake Discord."""
    return [message["payload"].get("content", "") for message in fake.messages() if not message["deleted"]]


def arrived(fake: FakeProcess, content: str) -> dict[str, Any]:
    """The message with this content, once it is there."""
    until(lambda: content in contents(fake))
    return next(each for each in fake.messages() if each["payload"].get("content") == content)


def multipart(fields: Mapping[str, str], files: Mapping[str, tuple[str, bytes]]) -> tuple[bytes, str]:
    """A body of multipart/form-data, and its content type."""
    parts = [_part(f'name="{name}"', value.encode()) for name, value in fields.items()]
    parts += [_part(f'name="{name}"; filename="{file}"', content) for name, (file, content) in files.items()]
    return b"".join(parts) + b"--limit--\r\n", "multipart/form-data; boundary=limit"


def _part(disposition: str, content: bytes) -> bytes:
    return f"--limit\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + content + b"\r\n"
