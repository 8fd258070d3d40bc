"""The base of all events, and the type of the function that emits them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import ClassVar

import msgspec


def _kebab(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()


class Event(msgspec.Struct, frozen=True, tag_field="event", tag=_kebab):
    """Something that happened. In the log and in JSON its name is the class name in kebab case: `BreakerOpened` is `breaker-opened`.

    `level` is the level at which the log writes it: debug, info, warning or error.
    """

    level: ClassVar[str] = "info"


Emit = Callable[[Event], None]
