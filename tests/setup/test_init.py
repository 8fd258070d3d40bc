"""`tocsind init` for chosen services: `check` accepts the file at once, and nothing is overwritten without --force."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import tomllib
from itertools import permutations
from pathlib import Path

import pytest
from tests import fork_server
from tests.harness import PATIENCE

from tocsind.config import parse
from tocsind.setup.services import SERVICES, Chosen, configuration, variables

VALUES = {
    "telegram": "-1001234567890",
    "ntfy": "https://ntfy.example.com",
    "email": "me@example.com",
    "exec": "/bin/true 'an argument'",
}


def chosen(*kinds: str) -> list[Chosen]:
    return [Chosen(kind, VALUES.get(kind, "")) for kind in kinds]


def environment() -> dict[str, str]:
    clean = {
        key: value for key, value in os.environ.items() if not key.endswith(("_WEBHOOK", "_TOKEN", "_TOPIC", "_URL"))
    }
    return {**clean, "STATE_DIRECTORY": "/nonexistent"}


def tocsind(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return fork_server.run(
        [sys.executable, "-m", "tocsind", *arguments],
        cwd=folder,
        env=environment() | {"STATE_DIRECTORY": str(folder / "state")},
        timeout=PATIENCE,
    )


@pytest.mark.parametrize("kinds", list(permutations(SERVICES, 2)), ids="-".join)
def test_each_pair_of_services_is_a_chain_that_the_configuration_accepts(kinds: tuple[str, str]) -> None:
    config = parse(configuration(chosen(*kinds)), "alerts.toml")
    first, second = (config.destinations[kind] for kind in kinds)
    assert (first.kind, first.fallback) == (kinds[0], (kinds[1], "local-file"))
    assert second.fallback == ("local-file",)
    assert first.patience.urgent == 30.0
    assert [route.to for route in config.routes] == [(kinds[0],)]
    assert config.warnings == ()


def test_variables_are_named_where_their_destinations_are_disabled() -> None:
    kinds = chosen("discord", "telegram", "ntfy", "slack", "webhook")
    names = variables(kinds)
    assert names == ["DISCORD_WEBHOOK", "TELEGRAM_BOT_TOKEN", "NTFY_TOPIC", "SLACK_WEBHOOK", "WEBHOOK_URL"]
    config = parse(configuration(kinds), "alerts.toml")
    reasons = [each.disabled for each in config.destinations.values()]
    assert reasons == [*(f"{name} is not set" for name in names), None]


def test_command_writes_what_check_accepts_and_says_what_comes_next(tmp_path: Path) -> None:
    done = tocsind(tmp_path, "init", "--discord", "--telegram", "-1001234567890")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "wrote alerts.toml: to discord, then to telegram, then to a file",
        "next, with the secrets in the daemon's environment:",
        "  export DISCORD_WEBHOOK=...",
        "  export TELEGRAM_BOT_TOKEN=...",
        "  tocsind check --online --config alerts.toml",
        "  tocsind run --config alerts.toml",
        "  tocsin test --to discord --send",
    ]
    assert (tmp_path / "alerts.toml").stat().st_mode & 0o777 == 0o600
    checked = tocsind(tmp_path, "check")
    assert (checked.returncode, checked.stderr) == (0, "")


def test_existing_file_is_replaced_with_force_only(tmp_path: Path) -> None:
    file = tmp_path / "alerts.toml"
    file.write_text("mine")
    done = tocsind(tmp_path, "init", "--ntfy")
    assert (done.returncode, done.stderr) == (73, "tocsind: alerts.toml exists; --force replaces it\n")
    assert file.read_text() == "mine"
    assert tocsind(tmp_path, "init", "--ntfy", "--force").returncode == 0
    assert tomllib.loads(file.read_text())["destinations"]["ntfy"]["server"] == "https://ntfy.sh"
    assert [each.name for each in tmp_path.iterdir()] == ["alerts.toml"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--telegram", "1001234567890"], "destinations.telegram.chat-id: 1001234567890 has no minus"),
        (["--ntfy", "ntfy.example.com"], "destinations.ntfy.server: the address is no web address"),
        (["--discord", "--discord"], "--discord is there twice"),
        (["--telegram"], "expected one argument"),
    ],
)
def test_mistake_is_named_and_nothing_is_written(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = tocsind(tmp_path, "init", *arguments)
    assert done.returncode == 64
    assert said in done.stderr
    assert not (tmp_path / "alerts.toml").exists()


def test_one_service_alone_is_advised_against(tmp_path: Path) -> None:
    assert "one service alone" in tocsind(tmp_path, "init", "--slack").stdout


def on_a_terminal(folder: Path, typed: str) -> tuple[int, str]:
    """The exit code of `tocsind init` at a terminal where this is typed, and what the terminal shows."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execve(sys.executable, [sys.executable, "-m", "tocsind", "init"], environment())
    os.write(terminal, typed.encode())
    shown = b""
    try:
        while part := os.read(terminal, 4096):
            shown += part
    except OSError:  # the other end has closed
        pass
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode().replace("\r", "")


def test_terminal_is_asked_until_the_answer_is_right(tmp_path: Path) -> None:
    code, shown = on_a_terminal(tmp_path, "discord telegramm\ndiscord, telegram\n1001234567890\n-1001234567890\n")
    assert code == 0, shown
    assert "'telegramm' is not one of them; did you mean telegram?" in shown
    assert "has no minus" in shown
    assert "wrote alerts.toml: to discord, then to telegram, then to a file" in shown
    assert "-1001234567890" in (tmp_path / "alerts.toml").read_text()


def test_empty_answer_is_the_default_configuration(tmp_path: Path) -> None:
    code, shown = on_a_terminal(tmp_path, "\n")
    assert code == 0, shown
    assert "signals-premium" in (tmp_path / "alerts.toml").read_text()
