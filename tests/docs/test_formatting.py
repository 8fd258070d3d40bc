"""docs/how-to/formatting.md: the example arrives as the table says, and the texts of the second table have no effect in Discord."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.blocks import DOCS, Shell, blocks, matches, steps
from tests.harness import PATIENCE, DaemonProcess, FakeProcess, discord, route, until

from tocsin.signals import FIELD_NAMES
from tocsind.rendering.discord.markup import escape

PAGE = "how-to/formatting.md"
TEXT = (DOCS / PAGE).read_text()
INTERNAL = {
    "id",
    "attach_note",
    "timestamp_text",
    "input_notes",
}  # no field that a program fills in to be shown


def table(chapter: str) -> list[list[str]]:
    """The cells of the first table of a chapter, without its head."""
    section = TEXT.split(f"\n## {chapter}\n")[1].split("\n## ")[0]
    return [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in re.findall(r"^\|.*\|$", section, re.MULTILINE)[2:]
    ]


@pytest.fixture
def daemon(tmp_path: Path, fake: FakeProcess) -> Iterator[DaemonProcess]:
    with DaemonProcess(tmp_path, discord("d", fake.webhooks[0]["url"]) + route("d")) as process:
        process.env["PATH"] = f"{Path(sys.executable).parent}:{process.env['PATH']}"
        yield process.start()


def test_example_arrives_as_table_says(daemon: DaemonProcess, fake: FakeProcess) -> None:
    (script,) = [block.text for block in blocks(PAGE) if block.language == "python"]
    subprocess.run([sys.executable, "-c", script], env=daemon.env, timeout=PATIENCE, check=True)
    until(lambda: len(fake.embeds()) == 1)
    [message] = fake.messages()
    (embed,) = fake.embeds()
    assert message["payload"]["content"] == "❗ Disk is 91 % full · free 42 GB"
    assert embed["title"] == "grafana.example.com/d/disk"
    assert embed["url"] == "https://grafana.example.com/d/disk"
    assert embed["description"].split("\n")[1] == "The disk is full in about 3 hours."
    assert [(field["name"], field["value"], field["inline"]) for field in embed["fields"]] == [
        ("host", "db1", True),
        ("inodes ok", "yes", True),
    ]
    assert embed["color"] == 0xE67E22
    assert re.fullmatch("high · diskwatch · #disk · [0-9A-Z]{8}", embed["footer"]["text"])


def test_first_table_names_every_field() -> None:
    named = {name for row in table("Where each field appears") for name in re.findall(r"`(\w+)`", row[0])}
    assert named == set(FIELD_NAMES) - INTERNAL


def without_escapes(text: str) -> str:
    """What Discord shows: a backslash before punctuation is not shown, and a space of no width cannot be seen."""
    return re.sub(r"\\([^0-9A-Za-z\s])", r"\1", text).replace("\u200b", "")


@pytest.mark.parametrize("cell", [row[0] for row in table("Text that has a meaning in Discord")])
def test_text_with_meaning_is_shown_as_it_is(cell: str) -> None:
    for text in re.findall(r"`` (.*?) ``|(?<!`)`([^`]+)`(?!`)", cell):
        given = "".join(text)
        assert without_escapes(escape(given)) == given
        if not given.startswith("https://"):
            assert escape(given) != given


def test_mention_comes_from_configuration_only(daemon: DaemonProcess, fake: FakeProcess, tmp_path: Path) -> None:
    (config,) = [block.text for block in blocks(PAGE) if block.language == "toml"]
    url = tmp_path / "discord-alerts.url"
    url.write_text(fake.webhooks[0]["url"])
    url.chmod(0o600)
    daemon.configure(config + route("alerts"))
    daemon.reload()
    until(lambda: [each["name"] for each in daemon.status()["destinations"]] == ["alerts"])
    for priority in ("urgent", "low"):
        daemon.client.send("@everyone <@1>", priority=priority)
        until(lambda: daemon.status()["queue"]["depth"] == 0)
    urgent, low = (message["payload"] for message in fake.messages())
    assert urgent["content"] == "🚨 @\u200beveryone \\<@\u200b1> <@&123456789012345678>"
    assert urgent["allowed_mentions"] == {"parse": [], "roles": ["123456789012345678"]}
    assert (low.get("content"), low["allowed_mentions"], low["flags"]) == (None, {"parse": []}, 4096)


def test_commands_print_what_page_shows(daemon: DaemonProcess) -> None:
    with Shell(daemon.folder, daemon.env) as shell:
        for command, shown in steps(PAGE):
            code, said = shell.run(command)
            assert code == 0, said
            assert shown is not None
            assert matches(shown, said), said
