"""The commands and the configuration of docs/how-to/page.md."""

from __future__ import annotations

from pathlib import Path

from tests.docs.blocks import DOCS, Shell, blocks, steps
from tests.docs.test_backup import typed
from tests.harness import DaemonProcess, file, need, route

PAGE = "how-to/page.md"


def test_page_page_prints_what_it_shows(tmp_path: Path) -> None:
    need("curl")
    need("jq")
    (config,) = (block.text for block in blocks(PAGE) if block.language == "toml")
    with (
        DaemonProcess(tmp_path, config.replace(":9464", ":0") + file() + route("local-file")) as daemon,
        Shell(tmp_path, daemon.env) as shell,
    ):
        (make_token, shown), *others = steps(PAGE)
        typed(shell, make_token, shown)
        daemon.start()
        port = daemon.status()["http"]["listen"].rpartition(":")[2]
        for command, shown in others:
            typed(shell, command.replace("9464", port), shown)


def test_picture_of_the_page_is_small() -> None:
    assert (DOCS / "pictures" / "page.png").stat().st_size < 100_000
