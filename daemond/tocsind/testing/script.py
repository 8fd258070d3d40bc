"""The script: behaviours waiting for the requests they are meant for."""

from __future__ import annotations

import msgspec

from tocsind.testing.behaviour import Asked, Behaviour


class Script:
    """Lines are worked off from the top. Looking for one uses nothing up; `use` does."""

    def __init__(self) -> None:
        self._lines: list[Behaviour] = []

    def add(self, behaviour: Behaviour) -> None:
        self._lines.append(behaviour)

    def clear(self) -> None:
        self._lines.clear()

    @property
    def lines(self) -> tuple[Behaviour, ...]:
        """What is left, each with its remaining count."""
        return tuple(self._lines)

    def next_for(self, asked: Asked) -> Behaviour | None:
        return next((line for line in self._lines if line.matches(asked)), None)

    def use(self, line: Behaviour) -> None:
        """One request has met this line."""
        place = self._lines.index(line)
        if line.count is None:
            return
        if line.count > 1:
            self._lines[place] = msgspec.structs.replace(line, count=line.count - 1)
        else:
            del self._lines[place]
