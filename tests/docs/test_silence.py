"""The commands of docs/how-to/silence.md."""

from __future__ import annotations

from pathlib import Path

from tests.docs.blocks import Shell, steps
from tests.docs.test_backup import on_the_path, typed
from tests.harness import DaemonProcess, file, need, route


def test_silence_page_prints_what_it_shows(tmp_path: Path) -> None:
    need("jq")
    with DaemonProcess(tmp_path, file() + route("local-file")) as daemon:
        on_the_path(daemon)
        daemon.start()
        with Shell(tmp_path, daemon.env) as shell:
            for command, shown in steps("how-to/silence.md"):
                typed(shell, command, shown)
        report = daemon.wait_for("silence-reported")
        assert daemon.client.why(report["id"])["signal"]["title"] == "Silence over: 1 signal silenced"
