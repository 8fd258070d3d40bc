"""The wall clock jumps forward by a day while signals are queued, within a run and over a restart."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from tests.e2e.assertions import arrived
from tests.harness import PATIENCE, DaemonProcess, FakeProcess, discord, need, route


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("clock") / "stepped_clock.so"
    source = Path(__file__).with_name("stepped_clock.c")
    command = [need("cc"), "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(built), str(source), "-ldl"]
    subprocess.run(command, check=True, timeout=PATIENCE)
    return built


@pytest.mark.parametrize("restart", [False, True], ids=["within a run", "over a restart"])
def test_wall_clock_step_expires_and_kills_no_signal(
    tmp_path: Path, fake: FakeProcess, library: Path, *, restart: bool
) -> None:
    step = tmp_path / "step"
    config = discord("d", fake.webhooks[0]["url"], retry='{ first = "10ms", most = "20ms" }') + route("d")
    with DaemonProcess(tmp_path, config, {"LD_PRELOAD": str(library), "WALL_STEP": str(step)}).start() as daemon:
        fake.script({"behaviour": "status", "status": 503})
        fake.hold()
        ids = [daemon.client.send("in retry wait").id]
        fake.await_held()
        ids += [daemon.client.send(f"expires in {hours} h", expires=hours * 3600).id for hours in (1, 9, 23)]
        assert daemon.status()["counters"]["signals_accepted"] == 4  # before the step
        step.write_text("86400")
        sent = daemon.tocsin("send", "accepted after the step", "--expires", "1h", "--json")
        ids.append(json.loads(sent.stdout)["id"])
        if restart:
            daemon.kill()
            daemon.start()
        fake.release()
        assert daemon.settled(*ids) == ["delivered"] * len(ids)
        assert daemon.status()["counters"]["deliveries_expired"] == 0
        late = [each.title for each in arrived(fake) if "late" in each.title]
        assert late == []
