"""docs/how-to/discord-webhook.md, typed against a fake Discord."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.blocks import DOCS, Shell, blocks, matches, steps
from tests.harness import DaemonProcess, FakeProcess, until

PAGE = "how-to/discord-webhook.md"
PASTE = "read -rs url\n"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[DaemonProcess]:
    """A daemon that is not started, with the configuration of the page."""
    (config,) = [block.text for block in blocks(PAGE) if block.language == "toml"]
    with DaemonProcess(tmp_path, config) as process:
        process.env["PATH"] = f"{Path(sys.executable).parent}:{process.env['PATH']}"
        yield process


def test_commands_of_page_print_what_it_shows(daemon: DaemonProcess, fake: FakeProcess) -> None:
    with Shell(daemon.folder, daemon.env) as shell:
        for command, shown in steps(PAGE):
            if command.startswith("tocsin test"):
                daemon.start()
            pasted = fake.webhooks[0]["url"] if command.endswith(PASTE) else ""
            code, said = shell.run(command + pasted)
            assert code == 0, f"{command}\n{said}"
            assert shown is None or matches(shown, said), f"{command}\nshould say\n{shown}\nand says\n{said}"
    assert (daemon.folder / "discord-alerts.url").stat().st_mode & 0o777 == 0o600
    assert fake.titles() == ["Hello from tocsin"]


def test_missing_file_and_deleted_webhook_show_what_the_table_says(daemon: DaemonProcess, fake: FakeProcess) -> None:
    shown = re.findall(r"^\| (`disabled.*?) \|", (DOCS / PAGE).read_text(), re.MULTILINE)
    daemon.start()
    assert matches(shown[0], f"`disabled: {daemon.destination('alerts')['reason']}`")
    url = daemon.folder / "discord-alerts.url"
    url.write_text(fake.webhooks[0]["url"][:-1])  # another token: Discord knows no such webhook
    url.chmod(0o600)
    daemon.reload()
    daemon.client.send("to a webhook that was deleted")
    until(lambda: any(re.search("40[14]", reason) for reason in disabled(daemon)))


def disabled(daemon: DaemonProcess) -> list[str]:
    """Why destinations are disabled; during a reload the status may list none."""
    return [str(each["reason"]) for each in daemon.status()["destinations"] if each["condition"] == "disabled"]
