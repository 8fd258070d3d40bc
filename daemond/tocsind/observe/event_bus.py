"""The one way of an event to its observers."""

from __future__ import annotations

from tocsind.events import Emit, Event
from tocsind.secret import redacted_struct

_HARMLESS = frozenset({"id", "priority", "destination", "destinations", "version"})  # fields that quote no foreign text


class EventBus:
    """Gives each event to every observer, without the secrets that a quoted text may hold."""

    def __init__(self, *observers: Emit) -> None:
        self._observers = list(observers)

    def add(self, observe: Emit) -> None:
        """Give later events to this observer too."""
        self._observers.append(observe)

    def __call__(self, event: Event) -> None:
        """Redact the event and give it to the observers, in their order."""
        redacted = redacted_struct(event, _HARMLESS)
        for observe in self._observers:
            observe(redacted)
