"""Who is notified by a message: mentions count only in `content`, and only as far as `allowed_mentions` lets them.

Without `allowed_mentions` everything in the content is parsed. That holds for edits too, which parse again: an edit
that leaves it out pings readers whom the first request excluded.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

_USER: Final = re.compile(r"<@!?(\d+)>")
_ROLE: Final = re.compile(r"<@&(\d+)>")
_EVERYONE: Final = re.compile(r"@(everyone|here)\b")


class Mentions(msgspec.Struct, frozen=True):
    """Ids in order of appearance."""

    everyone: bool = False
    users: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.everyone or bool(self.users or self.roles)


def mentions_of(content: str | None, allowed: dict[str, Any] | None) -> Mentions:
    """Who is mentioned by `content` under `allowed`, the stored allowed_mentions object or None."""
    text = content or ""
    return Mentions(
        everyone=_EVERYONE.search(text) is not None and _parses("everyone", allowed),
        users=_some("users", _USER.findall(text), allowed),
        roles=_some("roles", _ROLE.findall(text), allowed),
    )


def _parses(kind: str, allowed: dict[str, Any] | None) -> bool:
    return allowed is None or kind in (allowed.get("parse") or ())


def _some(kind: str, found: list[str], allowed: dict[str, Any] | None) -> tuple[str, ...]:
    distinct = tuple(dict.fromkeys(found))
    if allowed is None or _parses(kind, allowed):
        return distinct
    named = {str(one) for one in allowed.get(kind) or ()}
    return tuple(one for one in distinct if one in named)
