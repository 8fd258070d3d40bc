"""Client webhooks: the permission, the destination that each becomes, and its lifetime."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.harness import PATIENCE, DaemonProcess, FakeProcess, as_stranger, discord, file, route

from tocsin import Client, TocsinError, Unreachable
from tocsin.client_webhooks import ClientWebhook

PERMITTED = "[daemon]\nclient-webhooks = true\n"
PLAIN = file() + route("local-file")


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[DaemonProcess]:
    with DaemonProcess(tmp_path, PERMITTED + PLAIN) as process:
        yield process


def add_webhook(daemon: DaemonProcess, url: str) -> ClientWebhook:
    with Client(daemon.socket, timeout=PATIENCE) as client:
        return client.add_webhook(url)


def added(daemon: DaemonProcess, url: str) -> str:
    """Add a webhook that is accepted; returns its destination."""
    answer = add_webhook(daemon, url)
    assert answer.reason is None
    assert answer.destination is not None
    return answer.destination


def refused(daemon: DaemonProcess, url: str) -> str:
    """Add a webhook that is refused; returns the reason, which must not contain any part of it."""
    answer = add_webhook(daemon, url)
    assert answer.destination is None
    assert answer.reason is not None
    assert "webhooks/1/" not in answer.reason
    return answer.reason


def arrived(daemon: DaemonProcess, destination: str) -> list[tuple[str, str]]:
    """Send a signal to a destination; returns where it was settled, and how."""
    id_ = daemon.client.send("for a friend", to=[destination]).id
    daemon.settled(id_)
    return [(each["destination"], each["state"]) for each in daemon.client.why(id_)["deliveries"]]


def names(daemon: DaemonProcess) -> list[str]:
    return [each["name"] for each in daemon.status()["destinations"]]


def reload(daemon: DaemonProcess, config: str) -> None:
    before = sum(reply["event"]["event"] == "reloaded" for reply in daemon.client.stream("tail"))
    daemon.configure(config)
    daemon.reload()
    daemon.wait_for("reloaded", nth=before + 1)


def webhook(number: int) -> str:
    """A webhook without a server."""
    return f"http://127.0.0.1:9/api/webhooks/1/token-{number}"


def test_client_webhook_is_a_destination_at_once(daemon: DaemonProcess, fake: FakeProcess) -> None:
    daemon.start()
    name = added(daemon, fake.webhooks[0]["url"])
    assert name.startswith("client-")
    assert arrived(daemon, name) == [(name, "sent")]
    assert fake.titles() == ["for a friend"]
    assert names(daemon) == ["local-file", name]
    assert daemon.wait_for("webhook-added")["destination"] == name


def test_client_webhook_stays_in_private_file_after_restart_and_reload(
    daemon: DaemonProcess, fake: FakeProcess
) -> None:
    daemon.start()
    name = added(daemon, fake.webhooks[0]["url"])
    [kept] = (daemon.state / "webhooks").iterdir()
    assert (kept.name, stat.S_IMODE(kept.stat().st_mode)) == (name, 0o600)
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    daemon.kill()
    daemon.start()
    assert arrived(daemon, name) == [(name, "sent")]
    reload(daemon, PERMITTED + PLAIN)
    assert arrived(daemon, name) == [(name, "sent")]


def test_client_webhook_with_equivalent_url_is_the_same_destination(daemon: DaemonProcess, fake: FakeProcess) -> None:
    daemon.start()
    url = fake.webhooks[0]["url"]
    name = added(daemon, url)
    assert {added(daemon, url), added(daemon, f" {url.replace('/api/', '/api/v9/')}?wait=true\n")} == {name}
    assert len(list((daemon.state / "webhooks").iterdir())) == 1


def test_configured_webhook_needs_no_permission_for_client_webhooks(daemon: DaemonProcess, fake: FakeProcess) -> None:
    daemon.configure(discord("d", fake.webhooks[0]["url"]) + PLAIN)
    daemon.start()
    assert added(daemon, fake.webhooks[0]["url"]) == "d"
    assert not (daemon.state / "webhooks").exists()


def test_client_webhook_without_permission_names_the_setting_and_file(daemon: DaemonProcess) -> None:
    daemon.configure(PLAIN)
    daemon.start()
    assert refused(daemon, webhook(1)) == f"write `client-webhooks = true` under [daemon] in {daemon.config}"
    assert not (daemon.state / "webhooks").exists()
    assert names(daemon) == ["local-file"]
    assert daemon.wait_for("webhook-rejected")["uid"] == os.getuid()


def test_client_webhook_after_permission_is_withdrawn_is_kept_and_its_signals_rerouted(
    daemon: DaemonProcess, fake: FakeProcess
) -> None:
    daemon.start()
    name = added(daemon, fake.webhooks[0]["url"])
    fake.script({"behaviour": "status", "status": 503})
    waiting = daemon.client.send("waits", to=[name]).id
    daemon.wait_for("deferred", id=waiting)
    reload(daemon, PLAIN)
    assert daemon.settled(waiting) == ["delivered"]
    assert names(daemon) == ["local-file"]
    assert "not used: [daemon] client-webhooks is not true" in daemon.wait_for("configuration-warning")["problem"]
    reload(daemon, PERMITTED + PLAIN)
    assert arrived(daemon, name) == [(name, "sent")]


def test_deleted_client_webhook_falls_back_to_last_configured_file(daemon: DaemonProcess, fake: FakeProcess) -> None:
    daemon.start()
    fake.control("POST", "delete", {"webhook": fake.webhooks[0]["id"]})
    name = added(daemon, fake.webhooks[0]["url"])
    assert arrived(daemon, name) == [(name, "rerouted"), ("local-file", "sent")]


def test_client_webhook_file_readable_by_others_disables_destination(daemon: DaemonProcess) -> None:
    daemon.start()
    name = added(daemon, webhook(1))
    daemon.stop()
    (daemon.state / "webhooks" / name).chmod(0o644)
    daemon.start()
    assert "can be read by every user" in daemon.destination(name)["reason"]
    assert arrived(daemon, name)[-1] == ("local-file", "sent")
    assert "cannot be used" in refused(daemon, webhook(1))


def test_client_webhooks_are_limited_to_32(daemon: DaemonProcess) -> None:
    daemon.start()
    found = {added(daemon, webhook(number)) for number in range(32)}
    assert len(found) == 32
    assert refused(daemon, webhook(32)).startswith("there are 32 client webhooks, the most allowed: delete files in ")
    assert added(daemon, webhook(31)) in found


@pytest.mark.parametrize(
    "url", ["", "nonsense", "https://example.com/api/webhooks/1/canary", "http://discord.com/api/webhooks/1/canary"]
)
def test_invalid_client_webhook_is_refused_without_quoting_it(daemon: DaemonProcess, url: str) -> None:
    daemon.start()
    assert "canary" not in refused(daemon, url)
    assert "canary" not in daemon.log.read_text()


def test_check_lists_client_webhooks_without_their_urls(daemon: DaemonProcess) -> None:
    daemon.start()
    name = added(daemon, webhook(1))
    for more in ([], ["--json"]):
        done = subprocess.run(
            [sys.executable, "-m", "tocsind", "check", "--config", str(daemon.config), *more],
            env=daemon.env,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        assert name in done.stdout
        assert "token" not in done.stdout + done.stderr


@pytest.fixture
def open_daemon() -> Iterator[DaemonProcess]:
    """A daemon whose socket every user may use."""
    folder = Path(tempfile.mkdtemp(prefix="toc-"))
    folder.chmod(0o755)
    with DaemonProcess(folder, PERMITTED + PLAIN).start() as process:
        Path(process.socket).chmod(0o666)
        yield process
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_other_user_sends_signals_but_adds_no_client_webhook(open_daemon: DaemonProcess) -> None:
    assert as_stranger(lambda: Client(open_daemon.socket, timeout=PATIENCE).send("x").state) == "stored"
    answer = as_stranger(lambda: add_webhook(open_daemon, webhook(1)).reason)
    assert answer == "only root and the daemon's own user may add webhooks"
    assert not (open_daemon.state / "webhooks").exists()


@given(st.one_of(st.text(), st.binary(), st.integers(), st.none(), st.floats()))
def test_adding_client_webhook_never_raises_and_reports_reason(url: object) -> None:
    answer = Client("/nonexistent/t.sock", timeout=0.1).add_webhook(url)  # type: ignore[arg-type] # on purpose
    assert answer.destination is None
    assert answer.reason


def test_strict_client_raises_on_rejected_webhook() -> None:
    client = Client("/nonexistent/t.sock", strict=True)
    with pytest.raises(Unreachable):
        client.add_webhook(webhook(1))
    with pytest.raises(TocsinError, match="url: must be text, not int"):
        client.add_webhook(1)  # type: ignore[arg-type] # on purpose
