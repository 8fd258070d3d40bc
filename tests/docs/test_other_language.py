"""The client in Perl, as it stands."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.docs.blocks import blocks
from tests.harness import PATIENCE, DaemonProcess, file, need, route, until


def perl(daemon: DaemonProcess, title: str) -> str:
    [script] = [block.text for block in blocks("how-to/other-language.md") if block.language == "perl"]
    env = {**os.environ, "TOCSIN_SOCKET": daemon.socket, "TOCSIN_SPOOL": str(daemon.spool)}
    done = subprocess.run(
        [need("perl"), "-", title], input=script, env=env, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_a_client_in_perl_hands_over_and_spools_and_is_told_what_is_wrong(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, file() + route("local-file")) as daemon:
        daemon.state.mkdir(mode=0o700)
        assert perl(daemon, "while the daemon is away") == "spooled"
        daemon.start()
        assert perl(daemon, "to the daemon") == "stored"
        assert perl(daemon, "") == "invalid-signal: title: is required, or a body, or fields: this signal says nothing"
        until(lambda: daemon.status()["counters"]["notifications_sent"] >= 2)
        rows = daemon.client.request("queue", state="sent")["deliveries"]
        titles = {row["title"] for row in rows} - {"1 signal was refused"}  # the alarm about it, as soon as it is there
        assert titles == {"while the daemon is away", "to the daemon"}
