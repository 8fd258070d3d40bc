"""`tocsind init`: writes a starting configuration; an existing file is never overwritten."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from tocsin import disk_errors
from tocsind.config import starter_text
from tocsind.errors import EXIT_CANNOT_WRITE


def init_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `init`."""
    parser.add_argument(
        "--output", default="alerts.toml", metavar="FILE", help="where to write, `-` for stdout [%(default)s]"
    )


def init(arguments: argparse.Namespace) -> int:
    """Write the file; the exit code."""
    text = starter_text()
    if arguments.output == "-":
        print(text, end="")
        return 0
    try:
        descriptor = os.open(arguments.output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        reason = disk_errors.reason(error, str(Path(arguments.output).parent))
        print(f"tocsind: {arguments.output} cannot be written: {reason}", file=sys.stderr)
        return EXIT_CANNOT_WRITE
    os.fchmod(descriptor, 0o600)  # whatever the umask is
    with os.fdopen(descriptor, "w", encoding="utf-8") as output:
        output.write(text)
    print(f"wrote {arguments.output}; next: tocsind check --config {arguments.output}")
    return 0
