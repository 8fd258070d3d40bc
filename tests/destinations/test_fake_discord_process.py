"""The fake Discord as a process of its own, driven over its control surface."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

import tocsind.testing
from tocsind.testing import Limit, Model, Settings, serve_fake
from tocsind.testing.__main__ import settings_from

SOURCES = Path(tocsind.testing.__file__).parents[2]


@asynccontextmanager
async def process(*options: str) -> AsyncIterator[tuple[trio.Process, dict[str, Any]]]:
    """The running fake and its first line."""
    run = partial(
        trio.run_process,
        [sys.executable, "-m", "tocsind.testing", *options],
        stdout=subprocess.PIPE,
        check=False,
        env={**os.environ, "PYTHONPATH": str(SOURCES)},
    )
    async with trio.open_nursery() as nursery:
        running: trio.Process = await nursery.start(run)
        with trio.fail_after(20):
            yield running, json.loads(await first_line(running))
        nursery.cancel_scope.cancel()


async def first_line(running: trio.Process) -> bytes:
    assert running.stdout is not None
    line = b""
    while not line.endswith(b"\n"):
        line += await running.stdout.receive_some()
    return line


async def test_fake_process_prints_webhooks_logs_messages_and_stops(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    async with (
        process("--webhooks", "2", "--channels", "1", "--limits", "none", "--log", str(log)) as (running, said),
        httpx.AsyncClient() as http,
    ):
        first, second = said["webhooks"]
        assert first["channel_id"] == second["channel_id"]
        assert first["url"] == f"http://127.0.0.1:{said['port']}/api/webhooks/{first['id']}/{first['token']}"
        posted = await http.post(second["url"], params={"wait": "true"}, json={"content": "hello"})
        told = (await http.get(said["control"] + "log")).json()
        running.send_signal(signal.SIGTERM)
        assert await running.wait() == 0
    written = [json.loads(line) for line in log.read_text().splitlines()]
    assert told == {"messages": written}
    assert written[0]["message_id"] == posted.json()["id"]
    assert written[0]["webhook_id"] == second["id"]


async def test_everything_python_can_do_can_be_done_over_http() -> None:
    async with serve_fake(Settings(webhooks=2).without_limits()) as fake, httpx.AsyncClient() as http:
        at = f"http://127.0.0.1:{fake.port}/_fake/"
        script = {"behaviour": "status", "status": 503, "count": 1}
        assert (await http.post(at + "script", json=[script, script])).json()["script"][0]["status"] == 503
        assert (await http.post(fake.url(), json={"content": "x"})).status_code == 503
        assert (await http.delete(at + "script")).json() == {"script": []}
        assert (await http.post(at + "script", json=script)).status_code == 200
        assert len((await http.get(at + "script")).json()["script"]) == 1
        await http.delete(at + "script")

        assert (await http.post(at + "webhooks")).json()["id"] == fake.webhooks[2].id
        assert (await http.post(at + "delete", json={"webhook": fake.webhooks[1].id})).status_code == 200
        assert (await http.post(fake.url(1), json={"content": "x"})).status_code == 404
        assert len((await http.get(at + "webhooks")).json()) == 3

        assert (await http.post(at + "foreign", json={"content": "noise"})).json()["message"]["webhook_id"] is None
        assert (await http.post(at + "foreign", json={"every": 60, "count": 1})).json() == {"every": 60.0}
        assert (await http.post(at + "clock", json={"skew": 3600})).json() == {"skew": 3600.0}
        await http.post(fake.url(), json={"content": "mine"})
        assert [seen["content"] for seen in (await http.get(at + "seen")).json()["seen"]] == ["noise", "mine"]
        assert (await http.get(at + "log", params={"after": "2"})).json() == {"messages": []}
        mine = fake.messages[0].message_id
        assert (await http.post(at + "delete-message", json={"message": mine})).json() == {"deleted": mine}
        assert [seen["content"] for seen in (await http.get(at + "seen")).json()["seen"]] == ["noise"]

        counts = (await http.get(at + "counts")).json()
        assert (counts["requests"], counts["accepted"], counts["foreign"]) == (3, 1, 1)
        assert counts["by_status"] == {"503": 1, "404": 1, "204": 1}
        assert counts["after_deletion"] == {fake.webhooks[1].id: 1}


async def test_requests_can_be_held_and_released_over_http() -> None:
    async with serve_fake(Settings().without_limits()) as fake, httpx.AsyncClient() as http:
        at = f"http://127.0.0.1:{fake.port}/_fake/"
        await http.post(at + "hold", json={"saved": True})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: http.post(fake.url(), json={"content": "x"}))
            await fake.until(lambda: fake.counts.held == 1)
            assert (await http.get(at + "counts")).json()["held"] == 1
            await http.post(at + "release")
    assert fake.counts.by_status == {204: 1}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "script", b"{", 400),
        ("POST", "script", b'[{"behaviour": "explode"}]', 400),
        ("POST", "hold", b'{"savde": true}', 400),
        ("POST", "delete", b'{"webhook": "12"}', 400),
        ("POST", "foreign", b'{"every": 0}', 400),
        ("POST", "delete-message", b'{"message": "12"}', 400),
        ("GET", "log?after=x", b"", 400),
        ("GET", "nothing", b"", 404),
    ],
)
async def test_control_surface_refuses_unreadable_requests_with_a_reason(
    method: str, path: str, body: bytes, status: int
) -> None:
    async with serve_fake() as fake, httpx.AsyncClient() as http:
        answer = await http.request(method, f"http://127.0.0.1:{fake.port}/_fake/{path}", content=body)
    assert answer.status_code == status
    assert answer.json()["problem"]


def test_fake_process_takes_settings_from_its_arguments() -> None:
    assert settings_from([]) == Settings()
    assert settings_from(["--limits", "real"]) == Settings()
    assert settings_from(["--limits", "0.01"]) == Settings(scale=0.01)
    assert settings_from(["--limits", "none"]) == Settings().without_limits()
    leaky = settings_from(["--channel-limit", "leaky:30/60"])
    assert leaky.channel_limit == Limit(Model.LEAKY, 30, 60.0)


@pytest.mark.parametrize("options", [["--limits", "-1"], ["--limits", "some"], ["--webhooks", "0"], ["--web", "2"]])
def test_fake_process_refuses_senseless_arguments(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        settings_from(options)
    assert leaving.value.code == 2
    assert "error" in capsys.readouterr().err
