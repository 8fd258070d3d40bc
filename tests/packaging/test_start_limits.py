"""The units' limits for starts: temporary failures are retried for ever, failures that need an operator are not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "packaging/systemd"
QUICKEST_START = 1.0  # seconds that a start with a bad configuration takes at most; about 0.3 on an idle machine


def setting(unit: Path, name: str) -> str:
    found = re.findall(rf"^{name}=(.*)$", unit.read_text(), re.MULTILINE)
    assert len(found) == 1, f"{name} occurs {len(found)} times in {unit}"
    return str(found[0])


def seconds(written: str) -> float:
    return float(written.removesuffix("s"))


@pytest.mark.parametrize("folder", [UNITS, UNITS / "user"], ids=["system", "user"])
def test_restarts_stay_below_trigger_limit(folder: Path) -> None:
    service, listening = folder / "tocsind.service", folder / "tocsind.socket"
    assert setting(service, "StartLimitIntervalSec") == "0"
    assert setting(service, "Restart") == "always"
    within, most = seconds(setting(listening, "TriggerLimitIntervalSec")), int(setting(listening, "TriggerLimitBurst"))
    assert within / seconds(setting(service, "RestartSec")) < most / 2


@pytest.mark.parametrize("folder", [UNITS, UNITS / "user"], ids=["system", "user"])
def test_starts_that_need_an_operator_reach_trigger_limit(folder: Path) -> None:
    service, listening = folder / "tocsind.service", folder / "tocsind.socket"
    assert {"64", "77", "78"} <= set(setting(service, "RestartPreventExitStatus").split())
    within, most = seconds(setting(listening, "TriggerLimitIntervalSec")), int(setting(listening, "TriggerLimitBurst"))
    assert within / QUICKEST_START > most
