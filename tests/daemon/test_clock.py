from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import pytest

from tocsind.clock import Boot, SystemClock
from tocsind.journal import limiter_state
from tocsind.journal.opening import open_journal


def test_steady_clock_starts_at_the_wall_clock_and_ignores_its_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, real = SystemClock(), time.time
    assert clock.steady() == pytest.approx(clock.wall(), abs=5)
    monkeypatch.setattr(time, "time", lambda: real() + 86_400)
    assert clock.wall() - clock.steady() == pytest.approx(86_400, abs=5)


def test_steady_clock_continues_after_a_restart_on_the_same_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    first, real = SystemClock(), time.time
    monkeypatch.setattr(time, "time", lambda: real() + 36_000)
    second = SystemClock()
    second.resume(first.boot)
    assert second.steady() == pytest.approx(first.steady(), abs=5)


@pytest.mark.parametrize("boot", ["another boot", ""])
def test_steady_clock_starts_at_the_wall_clock_after_a_reboot(boot: str) -> None:
    clock = SystemClock()
    clock.resume(Boot(boot, 1.0))
    assert clock.steady() == pytest.approx(clock.wall(), abs=5)


def test_load_boot_keeps_the_base_of_a_boot_until_the_next_boot(tmp_path: Path) -> None:
    with closing(open_journal(tmp_path)) as connection:
        assert limiter_state.load_boot(connection, "first", 100.0) == ("first", 100.0)
        assert limiter_state.load_boot(connection, "first", 555.0) == ("first", 100.0)
        assert limiter_state.load_boot(connection, "second", 200.0) == ("second", 200.0)
        assert limiter_state.load_boot(connection, "first", 300.0) == ("first", 300.0)
