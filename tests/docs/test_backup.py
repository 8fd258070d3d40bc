"""The commands of docs/how-to/backup.md and recover.md."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.docs.blocks import Shell, blocks, matches, steps
from tests.harness import DaemonProcess, file, route, until

CONFIG = file() + route("local-file")


def on_the_path(daemon: DaemonProcess) -> None:
    daemon.env["PATH"] = f"{Path(sys.executable).parent}:{daemon.env['PATH']}"


def typed(shell: Shell, command: str, shown: str | None) -> None:
    code, said = shell.run(command)
    assert code == 0, f"{command}\n{said}"
    assert shown is None or matches(shown, said), f"{command}\nshould say\n{shown}\nand says\n{said}"


def test_backup_page_brings_back_what_it_backed_up(tmp_path: Path) -> None:
    page = "how-to/backup.md"
    shown = dict(steps(page))
    with DaemonProcess(tmp_path, CONFIG) as daemon:
        on_the_path(daemon)
        daemon.start()
        kept = daemon.client.send("before the backup").id
        with Shell(tmp_path, daemon.env) as shell:
            for block in blocks(page):
                if "systemctl stop" in block.text:
                    assert daemon.stop() == 0
                elif "systemctl start" in block.text:
                    daemon.start()
                elif block.text in shown:
                    typed(shell, block.text, shown[block.text])
        assert daemon.client.why(kept)["state"] == "delivered"
        assert "journal-replaced" in daemon.log.read_text()


def test_recovery_page_shows_what_a_reader_sees(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, CONFIG) as daemon:
        on_the_path(daemon)
        daemon.start()
        daemon.settled(daemon.client.send("before the damage").id)
        assert daemon.stop() == 0
        journal = daemon.state / "journal.db"
        content = bytearray(journal.read_bytes())
        content[len(content) // 2 : len(content) // 2 + 2048] = b"\xa5" * 2048
        journal.write_bytes(content)
        daemon.start()
        until(lambda: daemon.status()["counters"]["queue_depth"] == 0)
        with Shell(tmp_path, daemon.env) as shell:
            for command, shown in steps("how-to/recover.md"):
                typed(shell, command, shown)
