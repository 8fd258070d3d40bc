"""`tocsin demo`: replaces itself with `tocsind demo`. The client does not import the daemon; it only checks that it is installed."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec

from .exit_codes import INTERNAL, Failure
from .parsing import Found, Parser, Verb

_NEEDED = ("tocsind", "trio", "httpx", "msgspec", "tomli_w")


def _arguments(_: Parser) -> None:
    """None: all arguments are passed on to `tocsind demo`."""


def _run(found: Found) -> int:
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing or not sys.executable:
        what = f"{', '.join(missing)} is missing" if missing else "this Python does not know its own path"
        raise Failure(
            INTERNAL,
            "not-installed",
            f"the daemon is not installed: {what}; install it with `pip install 'tocsin[daemon]'`",
        )
    sys.stdout.flush()
    env = {**os.environ, "PYTHONSAFEPATH": "1"}  # or `-m` would look for the daemon in the working folder first
    os.execve(sys.executable, [sys.executable, "-m", "tocsind", "demo", *found.rest], env)  # noqa: S606 - no shell is the point


VERBS = {
    "demo": Verb(
        _arguments,
        _run,
        "tocsin demo",
        "those of `tocsind demo`; 70 daemon not installed.",
        passes_on=True,
    ),
}
