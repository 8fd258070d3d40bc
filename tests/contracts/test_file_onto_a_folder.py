"""A file destination whose path is a folder: `check`, a start and a reload say so, and its signals take the fallback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.harness import PATIENCE, DaemonProcess, file, route


def test_check_start_and_reload_name_a_path_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    good = file("spare", "spare.jsonl") + route("a")
    bad = f'[destinations.a]\nkind = "file"\npath = "{tmp_path}/folder"\nfallback = ["spare"]\n' + good
    with DaemonProcess(tmp_path, bad) as daemon:
        command = [sys.executable, "-m", "tocsind", "check", "--config", str(daemon.config)]
        checked = subprocess.run(command, env=daemon.env, capture_output=True, text=True, timeout=PATIENCE, check=False)
        place = f"{daemon.config}:3: destinations.a.path"
        assert f"{place}: {tmp_path}/folder is a folder" in checked.stderr
        assert "disabled" in checked.stdout
        as_json = subprocess.run(
            [*command, "--json"], env=daemon.env, capture_output=True, timeout=PATIENCE, check=False
        )
        assert json.loads(as_json.stdout)["destinations"][0]["condition"] == "disabled"

        daemon.start()
        assert place in daemon.log.read_text()
        assert "is a folder" in daemon.destination("a")["reason"]
        assert any(place in problem for problem in daemon.status()["problems"])
        assert daemon.settled(daemon.client.send("x").id) == ["delivered"]
        assert "x" in (daemon.state / "spare.jsonl").read_text()

        daemon.configure(bad.replace("/folder", "/folder/file"))
        daemon.reload()
        daemon.wait_for("reloaded")
        assert daemon.status()["problems"] == []
        daemon.configure(bad)
        daemon.reload()
        daemon.wait_for("reloaded", nth=2)
        assert daemon.destination("a")["condition"] == "disabled"
