"""Where both programs begin. Importing this makes interrupts quiet (`interrupts`), and imports next to nothing."""

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
