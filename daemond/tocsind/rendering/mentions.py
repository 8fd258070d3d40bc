"""Who is notified by a message, and how loudly: decided for a whole message, so alerts with different settings never share one.

Mentions count in `content` only, and only as far as `allowed_mentions` permits. The text of an alert is never in `content`, and only what
the configuration names is permitted: so only the operator decides who is notified.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

SILENT: Final = 4096  # SUPPRESS_NOTIFICATIONS: it appears without a sound
_WRITTEN: Final = {"role": "<@&{}>", "user": "<@{}>", "everyone": "@everyone", "here": "@here"}


class Notify(NamedTuple):
    """Notification settings of a message. `mentions` are "role:ID", "user:ID", "everyone", "here"."""

    mentions: tuple[str, ...] = ()
    silent: bool = False

    @property
    def parts(self) -> dict[str, Any]:
        """The parts of the payload that carry these settings."""
        content = " ".join(map(_written, self.mentions))
        parts = {"content": content, "flags": SILENT * self.silent}
        return {key: value for key, value in parts.items() if value} | {"allowed_mentions": _allowed(self.mentions)}


def _written(mention: str) -> str:
    kind, _, id_ = mention.partition(":")
    return _WRITTEN[kind].format(id_)


def _allowed(mentions: Iterable[str]) -> dict[str, list[str]]:
    """`allowed_mentions`: the named roles and users; `everyone` only when named, which permits `here` as well."""
    ids: dict[str, list[str]] = {}
    parse: list[str] = []
    for mention in mentions:
        kind, colon, id_ = mention.partition(":")
        if colon:
            ids.setdefault(f"{kind}s", []).append(id_)
        else:
            parse = ["everyone"]
    return {"parse": parse, **ids}
