"""What the configuration must know of a kind of destination."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from tocsind.policy.bucket import Rate
from tocsind.policy.digest import Budgets

from .model import Options
from .reader import Field, Location


class Kind(msgspec.Struct, frozen=True):
    """A kind of destination: its own keys, the function that makes options of them, and defaults.

    `options` gets the destination's table and what was read of it; it returns the options, and the reason when the destination is disabled.
    """

    fields: Mapping[str, Field]
    options: Callable[[Location, Mapping[str, Any]], tuple[Options, str | None]]
    limit: Rate | None = None
    digest: Budgets | None = None
