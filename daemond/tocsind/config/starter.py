"""The text of `tocsind init`: the default's data, written out with a word before each part."""

from __future__ import annotations

import tomllib

import tomli_w

from .loading import built_in_text

_HEAD = """\
# The configuration of tocsin. `tocsind check` reads it as the daemon does and tells all that is wrong at once;
# `systemctl reload tocsind` (SIGHUP) takes changes over, and a bad file changes nothing.
# Durations: 10s 5m 2h30m 1d. Rates: 30/min 5/2s 100/h. Sizes: 64MiB 1GB.
"""

_NOTES = {
    "daemon": "The daemon itself. Without `socket` and `state`, daemon and clients find the usual places by themselves.",
    "priorities": "A signal that names no priority is urgent or high when its confidence lies above these.",
    "destinations": (
        "Where signals go. A webhook URL is a secret: name the variable (env), file or credential that holds it.\n"
        "# One that is not set disables its destination, and what was meant for it goes to its fallback."
    ),
    "routes": "Which signals go where: the first match wins, unless it says `continue = true`. No `when` takes everything.",
}


def starter_text() -> str:
    """A TOML text that reads as the built-in default does."""
    data = tomllib.loads(built_in_text())
    parts = (f"# {_NOTES[key]}\n\n{tomli_w.dumps({key: value})}" for key, value in data.items())
    return "\n".join((_HEAD, *parts))
