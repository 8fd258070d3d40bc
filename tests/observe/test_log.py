from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from tocsind.events import Accepted, BreakerOpened, Dead, Deferred, Event, IntakeOpened, SignalRefused, Started
from tocsind.observe.log import LEVELS, Log, line
from tocsind.observe.log_writer import to_descriptor
from tocsind.testing.clock import SOME_MORNING, SteppedClock


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (
            BreakerOpened("d", "503 from Discord", 10.0),
            'warning breaker-opened destination=d reason="503 from Discord" rest=10',
        ),
        (Deferred("ID", "d", 2, 0.1254, "503"), "info deferred id=ID destination=d attempts=2 wait=0.125 reason=503"),
        (Accepted("ID", "high", ("a", "b"), 0, 7), "debug accepted id=ID priority=high destinations=a,b uid=0 pid=7"),
        (Accepted("ID", "low", (), 0, 7), 'debug accepted id=ID priority=low destinations="" uid=0 pid=7'),
        (IntakeOpened(), "info intake-opened"),
        (BreakerOpened("d", "", 100.0), 'warning breaker-opened destination=d reason="" rest=100'),
        (
            BreakerOpened("d", 'a "b" \\ c=d', 0.0),
            r'warning breaker-opened destination=d reason="a \"b\" \\ c=d" rest=0',
        ),
        (BreakerOpened("d", "zwölf", 1.5), "warning breaker-opened destination=d reason=zwölf rest=1.5"),
    ],
)
def test_log_line_has_keys_and_values(event: Event, text: str) -> None:
    assert line(event, SOME_MORNING + 0.125) == f"2026-01-01T00:00:00.125Z {text}"


@given(st.text(st.characters(), max_size=40))
def test_log_line_escapes_any_text(text: str) -> None:
    logged = line(SignalRefused(text, f"what {text} is", 0, 7), SOME_MORNING)
    assert logged.isprintable()
    assert logged.endswith(" uid=0 pid=7")
    logged.encode()


@pytest.mark.parametrize("character", ["\n", "\x1b", "\x9b", "\u2028", "\u202e", "\ud800", "\U000e0001"])
def test_log_line_escapes_unprintable_characters(character: str) -> None:
    logged = line(SignalRefused("f", f"a{character}b", 0, 7), SOME_MORNING)
    assert character not in logged
    assert '"a\\' in logged


class Lines:
    """The output of a log."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, data: bytes) -> None:
        self.text += data.decode()


@pytest.mark.parametrize("level", LEVELS)
async def test_log_writes_events_of_its_level_and_above(level: str) -> None:
    lines = Lines()
    log = Log(SteppedClock(), level, lines.write)
    events = [Accepted("ID", "low", (), 0, 7), IntakeOpened(), BreakerOpened("d", "503", 1.0), Dead("ID", "d", "400")]
    for event in events:
        log(event)
    log.close()
    names = [each.split()[2] for each in lines.text.splitlines()]
    assert names == ["accepted", "intake-opened", "breaker-opened", "dead"][LEVELS.index(level) :]


async def test_log_level_can_change(mock_clock: trio.testing.MockClock) -> None:
    lines = Lines()
    log = Log(SteppedClock(), "error", lines.write)
    log(IntakeOpened())
    log.set_level("info")
    log(IntakeOpened())
    log.close()
    assert lines.text == "2026-01-01T00:00:00.000Z info intake-opened\n"
    assert repr(log) == "<Log error|info|warning>"


async def test_log_counts_lines_of_failed_writes() -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:  # noqa: ASYNC230, PTH123 - a device
        log = Log(SteppedClock(), "info", to_descriptor(full.fileno()))
        log(IntakeOpened())
        log.close()
        assert log.dropped == 1


async def test_log_goes_to_standard_error_by_default(capfd: pytest.CaptureFixture[str]) -> None:
    log = Log(SteppedClock())
    log(Started("1", 7, "/s", "/f", 0, 0))
    log.close()
    written = capfd.readouterr()
    assert written.out == ""
    assert written.err.endswith(" info started version=1 pid=7 socket=/s state=/f queued=0 ambiguous=0\n")


def test_log_file_is_bounded_and_copied_when_full(tmp_path: Path) -> None:
    """Runs in another process, because the file becomes its standard error."""
    script = """
import sys
from tocsind.observe.log import redirect_stderr_to
write = redirect_stderr_to(sys.argv[1], 1000)
for n in range(100):
    write(f"{n:049}\\n".encode())
print("a traceback", file=sys.stderr)
"""
    path = tmp_path / "daemon.log"
    subprocess.run([sys.executable, "-c", script, path], check=True, timeout=30)
    lines = [*Path(f"{path}.1").read_text().split(), *path.read_text().splitlines()]
    assert lines[-1] == "a traceback"
    assert [int(line) for line in lines[:-1]] == list(range(100 - len(lines) + 1, 100))
    assert len(lines) > 20
    assert path.stat().st_size <= 1000 + len("a traceback\n")
    assert path.stat().st_mode & 0o077 == 0


def test_log_file_that_cannot_be_opened_exits_73(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tocsind", "run", "--log-file", tmp_path / "none" / "x", "--state", tmp_path],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (done.returncode, "none/x cannot be written: No such file or directory" in done.stderr) == (73, True)
