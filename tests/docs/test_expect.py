"""The commands and programs of docs/how-to/expect.md."""

from __future__ import annotations

from pathlib import Path

from tests.docs.blocks import Shell, blocks
from tests.docs.test_backup import on_the_path, typed
from tests.harness import DaemonProcess, file, route

PAGE = "how-to/expect.md"


def test_expect_page_prints_what_it_shows(tmp_path: Path) -> None:
    found = blocks(PAGE)
    with DaemonProcess(tmp_path, file() + route("local-file")) as daemon:
        on_the_path(daemon)
        daemon.start()
        with Shell(tmp_path, daemon.env) as shell:
            for block, after in zip(found, [*found[1:], None], strict=True):
                if block.language == "python":
                    typed(shell, f"python - <<'end'\n{block.text}end", None)
                elif block.language == "sh":
                    typed(shell, block.text, after.text if after and after.language == "text" else None)
        names = [each["name"] for each in daemon.client.request("expected")["expected"]]
        assert names == ["backup", "true"]
        assert not (daemon.state / "alerts.jsonl").exists(), "each program said goodbye"
        (table,) = [block.text for block in found if block.language == "toml"]
        daemon.configure(file() + route("local-file") + table)
        daemon.reload()
        daemon.wait_for("reloaded")
        (backup,) = [each for each in daemon.client.request("expected")["expected"] if each["configured"]]
        assert (backup["name"], backup["every"]) == ("backup", 86_400)
