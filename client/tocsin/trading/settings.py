"""The aggregator's configuration. No error in it is fatal: it is logged once as a problem, and the default is used.

The keys are those of existing code. `discord_config` configured retries and rates, which alerts.toml has now: each of its keys is a problem
that names the key there. `discord_webhook_url` is a secret, and is part of no problem and no repr.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tocsin.durations import parse_duration
from tocsin.old_settings import advice
from tocsin.signals import Signal
from tocsin.values import Absent, Unreadable, confidence, number
from tocsin.values import describe as name_of

from .mappings import pairs_of

CONFLICTS = ("tell", "strongest", "none")
IN_EVERY_ALERT = ("tier", "priority", "expires", "tags", "to", "source")  # a signal's own values override these


@dataclass(frozen=True)
class Settings:
    """The values of `aggregation_config`.

    `alerts`: whether to hand over at all. `min_confidence`: the least score (confidence times agreement) that is alerted. `window`, in
    seconds: how far apart signals of one symbol may be to count as of the same time. `conflict`: which signals to alert when strategies
    contradict each other: all (tell), those of the weightier side (strongest), none (none). `once`: do not alert the same signal again.
    """

    alerts: bool = False
    min_confidence: float = 0.0
    window: float = 3600.0
    conflict: str = "tell"
    once: bool = False
    webhook: str | None = field(default=None, repr=False)
    in_every_alert: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def settings(config: Any) -> Settings:
    """The settings in a configuration, with its problems. Never raises."""
    if config is None:
        return Settings()
    given = pairs_of(config)
    if given is None:
        return Settings(problems=(f"the configuration must be a mapping, not {type(config).__name__}",))
    read: dict[str, Any] = {}
    every: dict[str, Any] = {}
    problems: list[str] = []
    for key, value in given:
        try:
            if key in IN_EVERY_ALERT:
                every[key] = _in_every_alert(key, value)
            elif key == "discord_config":
                problems.extend(advice(value, key) if value else ())
            else:
                name, reader = _KEYS[key]
                read[name] = reader(value)
        except KeyError:
            problems.append(f"{name_of(key)[:50]!r} is not a known key and is ignored; the keys are {', '.join(_ALL)}")
        except Exception as error:  # noqa: BLE001 - foreign objects may raise anything
            reason = error if isinstance(error, ValueError) else ""
            problems.append(f"{name_of(key)} {reason or 'cannot be read'}; it is ignored")
    return Settings(**read, in_every_alert=every, problems=tuple(problems))


def _in_every_alert(key: str, value: Any) -> Any:
    """The value as a signal's field. Raises ValueError where it cannot be converted."""
    signal = Signal("an alert", **{key: value})
    found = signal.as_dict().get(key)
    if found is None and value is not None:
        raise ValueError("; ".join(note.partition(": ")[2] for note in signal.input_notes or ()))
    return found


def weights(given: Any) -> tuple[dict[str, float], tuple[str, ...]]:
    """The weight of each strategy, and the problems. Never raises."""
    if given is None:
        return {}, ()
    found = pairs_of(given)
    if found is None:
        return {}, (f"the weights must be a mapping, not {type(given).__name__}; all strategies weigh the same",)
    read: dict[str, float] = {}
    problems = []
    for name, value in found:
        try:
            read[name_of(name)] = _not_negative(value)
        except Exception:  # noqa: BLE001 - as above
            problems.append(f"the weight of {name_of(name)} must be a number, zero or more; it weighs 1")
    return read, tuple(problems)


def _yes_or_no(value: Any) -> bool:
    return value.strip().lower() not in _NO if isinstance(value, str) else bool(value)


def _not_negative(value: Any) -> float:
    try:
        found = number(value)
    except (Absent, Unreadable, ValueError):
        raise ValueError(f"must be a number, not {name_of(value)[:50]!r}") from None
    if found < 0:
        raise ValueError(f"must be zero or more, not {found:g}")
    return found


def _confidence(value: Any) -> float:
    """A share, given as for a signal: 0.9, 90 or `"90%"`."""
    try:
        return confidence(value)
    except (Absent, Unreadable, ValueError):
        raise ValueError(f"must be a share from 0 to 1, not {name_of(value)[:50]!r}") from None


def _duration(value: Any) -> float:
    return parse_duration(value) if isinstance(value, str) else _not_negative(value)


def _conflict(value: Any) -> str:
    if value not in CONFLICTS:
        raise ValueError(f"must be one of {', '.join(CONFLICTS)}")
    return str(value)


def _webhook(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ValueError(f"must be text, not {type(value).__name__}")
    return value or None


_KEYS: dict[Any, tuple[str, Callable[[Any], Any]]] = {
    "discord_alerts": ("alerts", _yes_or_no),
    "discord_webhook_url": ("webhook", _webhook),
    "min_confidence": ("min_confidence", _confidence),
    "window": ("window", _duration),
    "conflict": ("conflict", _conflict),
    "once": ("once", _yes_or_no),
}
_ALL = (*_KEYS, "discord_config", *IN_EVERY_ALERT)
_NO = frozenset({"", "false", "no", "off", "0", "none"})
