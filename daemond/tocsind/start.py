"""The entry points of both programs. Importing this installs the quiet handler of interrupts, and imports almost nothing else."""

from __future__ import annotations

from .host.interrupts import exit_quietly_on_interrupt, run_interruptible

exit_quietly_on_interrupt()


def client() -> int:
    """The program `tocsin`; its exit code."""
    from tocsin.cli import main  # noqa: PLC0415 - see above

    return run_interruptible(main)


def daemon() -> int:
    """The program `tocsind`; its exit code."""
    from .__main__ import main  # noqa: PLC0415 - see above

    return run_interruptible(main)
