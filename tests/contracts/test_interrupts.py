"""Ctrl-C at any moment of a start: no traceback, and an exit code of the manual."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.harness import PATIENCE, file, route

QUIET = (130, -signal.SIGINT)  # the second is what a shell shows as 130, too
SCRIPT = "import os, sys; from tocsind.start import {0}; os.write(1, b'+'); sys.exit({0}())"  # what installers make of an entry point


@pytest.mark.parametrize("program", ["tocsind", "tocsin"])
def test_interrupted_start_prints_no_traceback(tmp_path: Path, program: str) -> None:
    (tmp_path / "alerts.toml").write_text(file() + route("local-file"))
    env = {**os.environ, "STATE_DIRECTORY": str(tmp_path / "state"), "TOCSIN_SOCKET": str(tmp_path / "t.sock")}
    words = {"tocsind": ["run", "--config", str(tmp_path / "alerts.toml")], "tocsin": ["tail", "-f"]}[program]
    function, served = {"tocsind": ("daemon", 0), "tocsin": ("client", 69)}[program]
    command = [sys.executable, "-c", SCRIPT.format(function), *words]
    for number in range(12):
        with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.read(1) == b"+"
            time.sleep(number * 0.01)  # the moments of a start are the subject
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=PATIENCE)
            assert b"Traceback" not in errors
            assert b"KeyboardInterrupt" not in errors
            assert process.returncode in (*QUIET, served), errors


@pytest.mark.parametrize("function", ["daemon", "client"])
def test_ignored_interrupt_stays_ignored(function: str) -> None:
    code = f"""
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
from tocsind.start import {function}
sys.argv[1:] = ["--version"]
try:
    {function}()
except SystemExit:
    pass
assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE, stdout=subprocess.DEVNULL)


def test_interrupt_in_weakref_callback_prints_no_traceback() -> None:
    code = """
import signal, sys, time, weakref
from tocsind.host.interrupts import run_interruptible

class Module:
    pass

def main():
    module = Module()
    lock = weakref.ref(module, lambda _: signal.raise_signal(signal.SIGINT))
    del module
    time.sleep(20)
    return 0

sys.exit(run_interruptible(main))
"""
    ended = subprocess.run([sys.executable, "-c", code], check=False, timeout=PATIENCE, capture_output=True)
    assert (ended.returncode, ended.stderr) == (130, b"")
