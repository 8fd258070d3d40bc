"""Where the settings of old code are in alerts.toml: rates, retries and breakers were arguments of each program, and are the daemon's now.

`advice` names the settings, and the key that replaces them. It repeats numbers only: a text may be a secret.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .values import describe, first_of, is_mapping

_MOST = 50  # settings that are read
_DEEPEST = 3
_HERE = "under [destinations.NAME] in alerts.toml"
_REPLACEMENTS = (  # parts of a setting's name, and what replaces it: the first that matches
    ("circuit breaker failure_threshold recovery", f'write breaker = {{ failures = 5, rest = "10s", most = "5m" }} {_HERE}'),
    ("webhook url", f'write webhook = {{ env = "NAME" }} {_HERE}'),
    ("retr backoff attempt", f'write retry = {{ first = "1s", most = "60s", give-up = "6h" }} {_HERE}'),
    ("rate limit per_min per_sec throttl cooldown requests", f'write limit = "30/min" {_HERE}'),
    ("timeout deadline", f'write deadline = "10s" {_HERE}'),
    ("confidence threshold", "write urgent and high under [priorities] in alerts.toml"),
    ("username bot_name", f"write username {_HERE}"),
    ("mention role", f"write mention {_HERE}"),
    ("tier channel route", "write [[routes]] in alerts.toml"),
    ("worker concurren pool thread executor", "each destination has four senders"),
    ("queue max_size maxsize buffer", "the disk limits the queue; reserve under [daemon] in alerts.toml"),
)  # fmt: skip
_OTHER = "alerts.toml has the settings now"


def advice(settings: Any, where: str) -> list[str]:
    """What to write in alerts.toml in place of `settings`, a mapping or object; a sentence for each key there. Never raises."""
    try:
        names: dict[str, list[str]] = {}
        for name, value in _named(settings if is_mapping(settings) else vars(settings), "", 0):
            names.setdefault(_replacement(name), []).append(f"{name}{_shown(value)}")
    except Exception:  # noqa: BLE001 - a foreign mapping may raise anything, and not every object has attributes
        names = {}
    if not names:
        return [f"{where} is ignored: {_OTHER}"]
    return [f"{where}: {', '.join(each)} {'are' if each[1:] else 'is'} ignored: {said}" for said, each in names.items()]


def _named(settings: Any, prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    for key, value in first_of(settings.items(), _MOST)[0]:
        name = f"{prefix}{describe(key)[:50]}"
        if is_mapping(value) and depth < _DEEPEST:
            yield from _named(value, f"{name}.", depth + 1)
        else:
            yield name, value


def _replacement(name: str) -> str:
    lowered = name.lower()
    return next((said for parts, said in _REPLACEMENTS if any(part in lowered for part in parts.split())), _OTHER)


def _shown(value: Any) -> str:
    return f" = {value}" if type(value) in {int, float} and abs(value) < 1e6 else ""
