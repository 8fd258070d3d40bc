"""Kind "apprise": one message by the real package, what its answers mean, and that its process has a hard end and shows no secret."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import trio
from tests.destinations.signals import delivery

from tocsind.config import Config, ConfigurationInvalid, parse
from tocsind.config.kinds.apprise import NOT_IN_BINARY, NOT_INSTALLED, AppriseOptions
from tocsind.destinations import child
from tocsind.destinations.apprise import _WORKER, AppriseDestination
from tocsind.policy.delivery import Delivery, Priority
from tocsind.policy.outcomes import Deferred, Delivered, Outcome, Refused
from tocsind.rendering import card_of
from tocsind.rendering.apprise import message
from tocsind.secret import Secret
from tocsind.testing.kinds.apprise import PATH, QUICK, AppriseService
from tocsind.testing.service import serving

FILE = {"kind": "file", "path": "f.jsonl"}


def configured(**keys: Any) -> Config:
    destinations = {"d": {"kind": "apprise", **keys}, "f": FILE}
    return parse(tomli_w.dumps({"destinations": destinations, "routes": [{"to": ["d", "f"]}]}), "alerts.toml")


@pytest.fixture
async def service() -> AsyncIterator[AppriseService]:
    async with serving(AppriseService()) as service:
        yield service


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", QUICK)


async def outcome(url: str, shown: Delivery | None = None, **options: Any) -> Outcome:
    destination = AppriseDestination(AppriseOptions(target=Secret(url), **{"deadline": 60.0, **options}))
    with trio.fail_after(90):
        return (await destination.deliver([shown or delivery()])).outcomes[0]


# --- the configuration ------------------------------------------------------------------------------------------------


def test_configuration_names_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match="holds no URL of Apprise"):
        configured(url="pover")
    loose = tmp_path / "python"
    loose.write_text("#!/bin/sh\n")
    loose.chmod(0o777)
    with pytest.raises(ConfigurationInvalid, match="other users than its owner may write to it"):
        configured(url="json://x", python=str(loose))


def test_destination_is_disabled_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert configured(url="json://x").destinations["d"].disabled == NOT_INSTALLED
    assert configured(url="json://x", python="/usr/bin/env").destinations["d"].disabled is None
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert configured(url="json://x").destinations["d"].disabled == NOT_IN_BINARY


def test_daemon_does_not_import_apprise() -> None:
    code = (
        "import sys, tocsind.daemon, tocsind.destinations.apprise; from tocsind.config import parse; "
        "parse('[destinations.d]\\nkind=\"apprise\"\\nurl=\"json://x\"\\n', 'x'); print('apprise' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"


# --- the real package -------------------------------------------------------------------------------------------------


async def test_real_apprise_delivers(service: AppriseService) -> None:
    shown = delivery("BUY ✓", body="fast crossed slow", priority="urgent")
    assert await outcome(f"json://127.0.0.1:{service.port}{PATH}", shown) == Delivered()
    (saved,) = service.saved
    assert saved.title == "🚨 BUY ✓"
    assert saved.text.startswith("fast crossed slow\n")
    assert saved.body["type"] == "warning"


async def test_real_apprise_knows_no_such_service() -> None:
    found = await outcome("nosuchservice://a-user-of-mine-88@a-token-of-mine")
    assert found == Refused("78 from Apprise: no service of Apprise fits the URL", disable=True)


async def test_real_apprise_that_a_server_holds_is_killed() -> None:
    """Apprise's timeouts are per read: a byte now and then keeps it for ever."""

    async def drip(stream: trio.SocketStream) -> None:
        try:
            await stream.send_all(b"HTTP/1.1 200 OK\r\n")
            while True:
                await stream.send_all(b"X: y\r\n")
                await trio.sleep(0.05)
        except trio.BrokenResourceError:
            pass

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, drip, 0, host="127.0.0.1"))
        port = listener.socket.getsockname()[1]
        found = await outcome(f"json://127.0.0.1:{port}/x", deadline=2.0)
        nursery.cancel_scope.cancel()
    assert found == Deferred("killed after 2 s", ambiguous=True)


# --- its process ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("quick")
async def test_answer_that_is_no_means_that_it_may_have_arrived(service: AppriseService) -> None:
    url = f"json://127.0.0.1:{service.port}/another-path-of-the-server"
    found = await outcome(url)
    assert found == Deferred('not delivered by Apprise: Failed to send: {"error":"not found"}', ambiguous=True)


@pytest.mark.usefixtures("quick")
async def test_output_of_a_plugin_is_no_answer(service: AppriseService) -> None:
    found = await outcome(f"json://127.0.0.1:{service.port}/print")
    assert isinstance(found, Deferred)
    assert "a plugin that prints" not in found.reason


@pytest.mark.usefixtures("quick")
async def test_process_that_crashes_may_have_sent(service: AppriseService) -> None:
    found = await outcome(f"json://127.0.0.1:{service.port}/crash")
    assert found == Deferred("not delivered by Apprise", ambiguous=True)


@pytest.mark.usefixtures("quick")
async def test_hanging_process_is_killed_and_its_url_is_not_to_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPRISE_URL", "json://a-token-of-apprise:1/hang")
    seen: list[bytes] = []
    run = child.run

    async def watched(command: Any, given: bytes, environment: Any, deadline: float, **options: Any) -> Any:
        seen.extend([repr([*command]).encode(), repr(environment).encode()])
        return await run(command, given, environment, deadline, **options)

    monkeypatch.setattr("tocsind.destinations.apprise.run", watched)
    found = await outcome("json://a-token-of-apprise:1/hang", deadline=1.0)
    assert found == Deferred("killed after 1 s", ambiguous=True)
    assert b"a-token-of-apprise" not in b"".join(seen)
    assert b"apprise_worker" in seen[0]


async def test_python_without_apprise_disables_the_destination(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "apprise.py").write_text("raise ImportError\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = await outcome("json://x")
    assert isinstance(found, Refused)
    assert found.disable
    assert found.reason.startswith("78 from Apprise: apprise is not installed for /")


def test_title_that_is_cut_stands_whole_in_the_text() -> None:
    long = message(card_of(delivery("t" * 256)))
    assert len(long["title"]) == 250
    assert long["body"].startswith("t" * 256)
    assert [message(card_of(delivery(priority=each.label)))["type"] for each in Priority] == [
        "warning",
        "warning",
        "info",
        "info",
    ]


async def test_process_ends_on_its_own_when_the_daemon_was_killed() -> None:
    wanted = {"url": "json://x:1/hang", "deadline": -4.0, "title": "t", "body": "b", "type": "info"}
    ended = await child.run(
        [sys.executable, "-P", _WORKER], json.dumps(wanted).encode(), {"PYTHONPATH": QUICK}, 20.0, keep_errors=False
    )
    assert ended.code == 128 + signal.SIGALRM
