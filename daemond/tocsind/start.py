"""Where both programs begin. Importing this makes interrupts quiet (`interrupts`), and imports next to nothing."""

from __future__ import annotations

from .interrupts import guarded, quiet

quiet()


def client() -> int:
    """The program `tocsin`; its exit code."""
    from tocsin.cli import main  # noqa: PLC0415 - see above

    return guarded(main)


def daemon() -> int:
    """The program `tocsind`; its exit code."""
    from .__main__ import main  # noqa: PLC0415 - see above

    return guarded(main)
