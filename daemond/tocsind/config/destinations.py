"""The keys of a destination: the common ones, and those of its kind. `kinds` has a module for each kind."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from tocsin.durations import format_duration
from tocsin.likely_words import likely
from tocsin.signals import PRIORITIES
from tocsind.policy.backoff import Retry
from tocsind.policy.breaker import BreakerLimits
from tocsind.policy.digest import Budgets
from tocsind.policy.patience import NEVER, Patience
from tocsind.policy.repeat import Repeat

from .kinds import KINDS
from .model import DestinationOptions
from .reader import Field, Location, Mistake, check_order, kind_of, read_table, shown
from .values import count, duration, duration_or_never, flag, one_of, rate, several, text

SWITCHED_OFF = "switched off in the configuration"


def destinations(location: Location) -> dict[str, DestinationOptions]:
    """All destinations of the file, by name, in its order."""
    if not isinstance(location.value, dict) or not location.value:
        raise Mistake("at least one [destinations.NAME] is needed, or nothing could be delivered")
    names = tuple(location.value)
    read = {name: _destination(location.at(name), name, names) for name in names}
    return {name: destination for name, destination in read.items() if destination}


def _destination(location: Location, name: str, names: Collection[str]) -> DestinationOptions | None:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name):
        location.wrong("a destination's name has up to 64 letters, digits, dots, dashes and underscores")
    kind = KINDS.get(str(location.at("kind").value))
    found = read_table(location, _common(name, names) | dict(kind.fields if kind else _OF_ANY_KIND))
    if kind is None:
        return None
    options, absent = kind.options(location, found)
    disabled = absent if found.get("enabled", True) else SWITCHED_OFF
    common: dict[str, Any] = {"limit": kind.limit, "digest": kind.digest}
    common.update(
        (key, found[key])
        for key in ("limit", "digest", "fallback", "retry", "breaker", "patience", "repeat")
        if key in found
    )
    common["may_share"] = found.get("shared", True)
    return DestinationOptions(**common, name=name, kind=found["kind"], options=options, disabled=disabled)


def _common(name: str, names: Collection[str]) -> dict[str, Field]:
    known = one_of(names, "destination")

    def fallback(location: Location) -> str:
        if location.value == name:
            raise Mistake("a destination cannot stand in for itself")
        return known(location)

    return {
        "kind": Field(_kind, missing=f"missing; one of {', '.join(KINDS)}"),
        "enabled": Field(flag),
        "limit": Field(rate),
        "digest": Field(_digest),
        "fallback": Field(several(fallback)),
        "retry": Field(_retry),
        "breaker": Field(_breaker),
        "patience": Field(_patience),
        "repeat": Field(_repeat),
        "shared": Field(flag),
    }


def _retry(location: Location) -> Retry:
    found = Retry(
        **read_table(location, {"first": Field(duration), "most": Field(duration), "give-up": Field(duration)})
    )
    check_order(location, found, "first", "most", format_duration)
    return found


def _breaker(location: Location) -> BreakerLimits:
    fields = {"failures": Field(count), "rest": Field(duration), "most": Field(duration)}
    found = BreakerLimits(**read_table(location, fields))
    check_order(location, found, "rest", "most", format_duration)
    return found


def _digest(location: Location) -> Budgets | None:
    match location.value:
        case bool() as wanted:
            return Budgets() if wanted else None
        case dict():
            return Budgets(
                **read_table(location, {"normal": Field(duration_or_never), "low": Field(duration_or_never)})
            )
        case other:
            raise Mistake(f'must be false or a table like {{ normal = "2m", low = "5m" }}, not {kind_of(other)}')


def _patience(location: Location) -> Patience:
    match location.value:
        case False | "never":
            return NEVER
        case dict():
            return Patience(**read_table(location, {priority: Field(_duration_or_never) for priority in PRIORITIES}))
        case other:
            raise Mistake(
                f'must be a table like {{ urgent = "30s", high = "2m", normal = "10m" }}, not {kind_of(other)}'
            )


def _repeat(location: Location) -> Repeat | None:
    match location.value:
        case False:
            return None
        case dict():
            fields = {**{priority: Field(duration) for priority in PRIORITIES}, "most": Field(count)}
            return Repeat(**read_table(location, fields))
        case other:
            raise Mistake(f'must be false or a table like {{ urgent = "5m", most = 12 }}, not {kind_of(other)}')


def _duration_or_never(location: Location) -> float | None:
    return None if location.value == "never" else duration_or_never(location)


_MEANINGS = {
    "smtp": "email",
    "mail": "email",
    "command": "exec",
    "script": "exec",
    "http": "webhook",
    "https": "webhook",
}


def _kind(location: Location) -> str:
    """The name of a kind."""
    word = text(location)
    if word in KINDS:
        return word
    close = " or ".join(f'"{each}"' for each in likely(word, KINDS, _MEANINGS))
    others = f'known here: {", ".join(KINDS)}; Apprise reaches many other services: kind = "apprise"'
    hint = f"did you mean {close}?" if close else others
    raise Mistake(f"no kind is called {shown(word)}; {hint}")


# When the kind is unknown, a key of any kind is accepted.
_OF_ANY_KIND = {key: Field(lambda location: location.value) for kind in KINDS.values() for key in kind.fields}
