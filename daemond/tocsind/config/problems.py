"""A problem and its place, and the error that carries all of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec

from tocsind import secret
from tocsind.errors import EXIT_CONFIGURATION, DaemonError

WEBHOOK = "https://discord.com/api/webhooks/ID/TOKEN"  # what a webhook's URL looks like
SLACK = "https://hooks.slack.com/services/T.../B.../..."  # what an incoming webhook of Slack looks like
PING = "https://hc-ping.com/UUID"  # what the URL of a dead man's switch looks like
ENGINES = (  # what the address of an engine looks like
    "redis://HOST:6379/0",
    "rediss://USER:PASSWORD@HOST:6380/0",
    "unix:///run/redis/redis.sock",
    "redis+sentinel://HOST:26379/SERVICE",
)
_EXAMPLES = re.compile(rf"(?<!\S)({'|'.join(map(re.escape, (WEBHOOK, SLACK, PING, *ENGINES)))}|https://)(?!\S)")
_LONGEST = 400  # characters of a message, whatever was pasted into the file


def masked(text: str) -> str:
    """`text` without anything that looks like a URL, except the examples above: people paste webhooks into the wrong key."""
    short = text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
    parts = _EXAMPLES.split(short)  # every other one is an example
    return "".join(part if place % 2 else secret.masked(part) for place, part in enumerate(parts))


class Problem(msgspec.Struct, frozen=True):
    """What is wrong, and where. `line` is None when it concerns no line; `key` is empty when it concerns no key."""

    file: str
    line: int | None
    key: str
    message: str

    @property
    def place(self) -> str:
        """`alerts.toml:17`, or the file alone."""
        return self.file if self.line is None else f"{self.file}:{self.line}"

    def __str__(self) -> str:
        return ": ".join(part for part in (self.place, self.key, self.message) if part)


class ConfigurationInvalid(DaemonError):  # noqa: N818 - names the condition, as its siblings in tocsind.errors do
    """The configuration cannot be used. `problems` are all there are, in the order of the file; so is the text, one per line."""

    exit_code = EXIT_CONFIGURATION

    def __init__(self, problems: Iterable[Problem], *, source: str, warnings: Sequence[str] = ()) -> None:
        self.problems = tuple(problems)
        self.source = source
        self.warnings = tuple(warnings)
        super().__init__("\n".join(str(problem) for problem in self.problems))
