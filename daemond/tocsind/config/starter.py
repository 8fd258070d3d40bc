"""The text of `tocsind init`: the default's data, with a comment before each part."""

from __future__ import annotations

import tomllib

import tomli_w

from .loading import built_in_text

_HEAD = """\
# The configuration of tocsin. `tocsind check` reads it as the daemon does and reports all mistakes at once;
# `systemctl reload tocsind` (SIGHUP) applies changes, and a file with mistakes changes nothing.
# Durations: 10s 5m 2h30m 1d. Rates: 30/min 5/2s 100/h. Sizes: 64MiB 1GB.
"""

_NOTES = {
    "daemon": "The daemon itself. Without `socket` and `state`, daemon and clients use their default places.",
    "priorities": "A signal without a priority is urgent or high when its confidence is above these.",
    "destinations": (
        "Where signals go. A webhook URL is a secret: name the variable (env), file or credential that holds it.\n"
        "# When it is not set, the destination is disabled and its signals go to its fallback."
    ),
    "routes": "Which signals go where: the first match wins, unless it has `continue = true`. A route without `when` takes everything.",
}


def starter_text() -> str:
    """A TOML text with the same meaning as the built-in default."""
    data = tomllib.loads(built_in_text())
    parts = (f"# {_NOTES[key]}\n\n{tomli_w.dumps({key: value})}" for key, value in data.items())
    return "\n".join((_HEAD, *parts))
