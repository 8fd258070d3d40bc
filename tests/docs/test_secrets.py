"""The commands of docs/how-to/secrets.md, on another root."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.fake_root import Elsewhere
from tests.docs.fake_root import chapter as chapter_of
from tests.harness import DaemonProcess, file, route

from tocsind.service import unit_files

CONFIG = file() + route("local-file")
RESTART = "systemctl restart tocsind.service"


def chapter(title: str, language: str = "sh") -> list[str]:
    return chapter_of("secrets.md", title, language)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Elsewhere]:
    with DaemonProcess(tmp_path, CONFIG) as daemon:
        yield Elsewhere(daemon)


@pytest.fixture
def daemon(elsewhere: Elsewhere) -> DaemonProcess:
    return elsewhere.daemon


def configure(elsewhere: Elsewhere, text: str) -> None:
    moved = text.replace("/etc/", f"{elsewhere.root}/etc/")
    (elsewhere.root / "etc/tocsin/alerts.toml").write_text(moved + CONFIG)


def test_credential_of_service_is_read(elsewhere: Elsewhere) -> None:
    title = "As a credential of the service"
    keep, check, drop_in = chapter(title)
    [table] = chapter(title, "toml")
    configure(elsewhere, table)
    elsewhere.run(keep)
    assert "alerts-critical      discord  ready" in elsewhere.run(check)
    elsewhere.run(drop_in)
    assert elsewhere.noted() == [RESTART, "systemctl daemon-reload", RESTART]
    unit = next(unit.text for unit in unit_files(["/x"]) if unit.path.endswith(".service"))
    assert "LoadCredential=webhook-alerts-critical\n" in unit


def test_secret_file_is_read_and_unsafe_mode_reported(elsewhere: Elsewhere) -> None:
    title = "In a file of its own"
    keep, check = chapter(title)
    [key] = chapter(title, "toml")
    [mistake] = chapter(title, "text")
    configure(elsewhere, f'[destinations.ops]\nkind = "discord"\n{key}')
    elsewhere.run(keep)
    assert elsewhere.noted() == ["systemctl reload tocsind"]
    assert "ops                  discord  ready" in elsewhere.run(check)
    (elsewhere.root / "etc/tocsin/webhook-ops").chmod(0o644)
    assert elsewhere.run(f"{check.strip()} || true") == mistake


def test_environment_file_of_service_is_read(elsewhere: Elsewhere) -> None:
    [commands] = chapter("In the environment")
    elsewhere.run(commands)
    assert elsewhere.noted() == [RESTART]
    kept = elsewhere.root / "etc/tocsin/environment"
    assert kept.stat().st_mode & 0o777 == 0o600
    name, _, url = kept.read_text().strip().partition("=")
    assert "alerts-critical      discord  ready" in elsewhere.run(f"cd $ROOT; {name}={url} tocsind check")


def test_new_webhook_is_enabled_after_a_leak(elsewhere: Elsewhere, daemon: DaemonProcess) -> None:
    [commands] = chapter("If a URL has leaked")
    url = "http://127.0.0.1:9/api/webhooks/123456789012345678/x"
    daemon.configure(f'[destinations.alerts-critical]\nkind = "discord"\nwebhook = "{url}"\n{CONFIG}')
    daemon.start()
    assert "alerts-critical" in elsewhere.run(commands)
