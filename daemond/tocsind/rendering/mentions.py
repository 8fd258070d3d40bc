"""Whom a message wakes, and how loudly: for a whole message at once, so alerts with different wishes never share one.

Mentions count in the content only, and only as far as `allowed_mentions` permits. What an alert says is never in the content, and what is
permitted is exactly what the configuration names: so nobody but the operator wakes anybody.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

_SILENT: Final = 4096  # SUPPRESS_NOTIFICATIONS: it appears without a sound
_WRITTEN: Final = {"role": "<@&{}>", "user": "<@{}>", "everyone": "@everyone", "here": "@here"}


class Notify(NamedTuple):
    """How a message is told. `mentions` are "role:ID", "user:ID", "everyone", "here"."""

    mentions: tuple[str, ...] = ()
    silent: bool = False

    @property
    def parts(self) -> dict[str, Any]:
        """What it adds to a message."""
        content = " ".join(map(_written, self.mentions))
        told = {"content": content, "flags": _SILENT * self.silent}
        return {key: value for key, value in told.items() if value} | {"allowed_mentions": _allowed(self.mentions)}


def _written(mention: str) -> str:
    kind, _, id_ = mention.partition(":")
    return _WRITTEN[kind].format(id_)


def _allowed(mentions: Iterable[str]) -> dict[str, list[str]]:
    """Nobody by kind, unless everyone was named (which is what permits `here` as well); and the named ones."""
    ids: dict[str, list[str]] = {}
    parse: list[str] = []
    for mention in mentions:
        kind, colon, id_ = mention.partition(":")
        if colon:
            ids.setdefault(f"{kind}s", []).append(id_)
        else:
            parse = ["everyone"]
    return {"parse": parse, **ids}
