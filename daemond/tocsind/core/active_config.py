"""The configuration in force. The supervisor replaces it at a reload; the other components read it whenever they need it."""

from __future__ import annotations

from tocsind.config import Config


class ActiveConfig:
    """Holds the `current` configuration. Do not keep a copy of it across a checkpoint: a reload may replace it."""

    def __init__(self, config: Config) -> None:
        self.current = config
