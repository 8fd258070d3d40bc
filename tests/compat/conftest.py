"""A daemon with a fake Discord, where the client of this process finds it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.harness import PATIENCE, DaemonProcess, FakeProcess, discord, file, until

from tocsin.compat import health, send
from tocsind.testing.reader import alerts_in

CONFIG = """
[[routes]]
when = { tier = "premium" }
to   = ["premium"]
[[routes]]
to   = ["general"]
"""


@pytest.fixture(scope="module")
def channels() -> Iterator[FakeProcess]:
    """A fake Discord without limits, with a channel for the premium tier and one for the rest."""
    with FakeProcess("--limits", "none", "--webhooks", "2") as running:
        yield running


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, channels: FakeProcess) -> Iterator[DaemonProcess]:
    """One daemon for all tests of a module: each has signals of its own names."""
    hooks = zip(("premium", "general"), channels.webhooks, strict=True)
    tables = "".join([*(discord(name, hook["url"]) for name, hook in hooks), file(), CONFIG])
    with DaemonProcess(tmp_path_factory.mktemp("compat"), tables) as process:
        process.env["TOCSIN_SPOOL"] = str(process.spool)
        yield process.start()


@pytest.fixture(autouse=True)
def fresh_client(spool: Path) -> Iterator[None]:
    """Close the client of this process after each test, or the next one would go on to the same daemon or outbox."""
    yield
    send._client.close()


@pytest.fixture
def daemon(served: DaemonProcess, monkeypatch: pytest.MonkeyPatch) -> DaemonProcess:
    monkeypatch.setenv("TOCSIN_SOCKET", served.socket)
    monkeypatch.setenv("TOCSIN_SPOOL", str(served.spool))
    monkeypatch.setattr(health, "TIMEOUT", PATIENCE)
    return served


@pytest.fixture
def no_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A socket at which no daemon is; its folder."""
    monkeypatch.setenv("TOCSIN_SOCKET", str(tmp_path / "t.sock"))
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    return tmp_path


def arrived(fake: FakeProcess, webhook: int, *titles: str) -> list[dict[str, Any]]:
    """The embeds of these titles at a webhook, once all are there."""
    id_ = fake.webhooks[webhook]["id"]
    found: dict[str, dict[str, Any]] = {}

    def all_there() -> bool:
        messages = [each for each in fake.messages() if each["webhook_id"] == id_]
        found.update((alert.title, alert.embed) for message in messages for alert in alerts_in(message["payload"]))
        return found.keys() >= set(titles)

    until(all_there)
    return [found[title] for title in titles]
