"""Kind "apprise": any of the services that the Python package Apprise knows (https://appriseit.com), by its URL."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from typing import Any, Final

from tocsind.config import trusted_program
from tocsind.config.kind import Kind
from tocsind.config.model import Options
from tocsind.config.reader import Field, Location, Mistake
from tocsind.config.secret_sources import SecretSource, first_reason, secret_text
from tocsind.config.values import duration
from tocsind.policy.bucket import Rate
from tocsind.policy.digest import Budgets
from tocsind.secret import Secret

NOT_INSTALLED: Final = "apprise is not installed: pip install 'tocsin[apprise]'"
NOT_IN_BINARY: Final = 'the binary has no apprise: name a Python that has it, like python = "/usr/bin/python3"'
_LIMIT: Final = Rate(20, 60.0)  # a send starts a process, and most services permit no more


class AppriseOptions(Options, frozen=True):
    """A URL of Apprise. `python` runs it; None: the daemon's own Python."""

    target: Secret | None = None
    python: str | None = None
    deadline: float = 30.0

    @property
    def identity(self) -> str:
        return self.target.reveal() if self.target else ""

    @property
    def endpoint(self) -> str | None:
        return self.identity or None


def options(location: Location, found: Mapping[str, Any]) -> tuple[AppriseOptions, str | None]:  # noqa: ARG001
    """The options, and the reason when the destination is disabled."""
    source: SecretSource = found.get("url", SecretSource())
    read = AppriseOptions(target=source.secret, **{key: found[key] for key in ("python", "deadline") if key in found})
    return read, first_reason(source) or _unusable(read.python)


def _unusable(python: str | None) -> str | None:
    """Why Apprise cannot be run. It is not imported to find that out."""
    if python is not None:
        return trusted_program.missing(python)
    if getattr(sys, "frozen", False):
        return NOT_IN_BINARY
    return None if importlib.util.find_spec("apprise") else NOT_INSTALLED


def _url(location: Location) -> SecretSource:
    source = secret_text(location, "a URL of Apprise", "the URL")
    if source.secret and "://" not in source.secret.reveal():
        raise Mistake(f"{source.called} holds no URL of Apprise; it begins with the name of a service and ://")
    return source


FIELDS = {
    "url": Field(_url, missing='missing; write it like { env = "APPRISE_URL" }'),
    "python": Field(trusted_program.program),
    "deadline": Field(duration),
}
KIND = Kind(FIELDS, options, limit=_LIMIT, digest=Budgets())
