"""Decides which valid signals are alerted, and why the others are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tocsin.signals import Signal

from .consensus import Consensus, Vote, consensus_of
from .parsing import Read
from .settings import Settings


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """The decision on one valid signal.

    `signal` is the input itself, `strategy` the strategy that raised it. `score` is its confidence times the `agreement` of the strategies
    with a vote on its symbol at that time, by their weights; None without a confidence. `reason` says why it is not `alerted`.
    """

    signal: Any
    strategy: str
    agreement: float
    agree: tuple[str, ...]
    disagree: tuple[str, ...]
    score: float | None
    alerted: bool
    reason: str | None


def decide(read: Sequence[Read], weights: Mapping[str, float], settings: Settings) -> list[Decision]:
    """One decision for each signal, in order."""
    voices = [_vote(each.strategy, each.signal) for each in read]
    return [
        _decision(each, seen, settings)
        for each, seen in zip(read, consensus_of(voices, weights, settings.window), strict=True)
    ]


def as_alert(signal: Signal, verdict: Decision) -> Signal:
    """The signal that is handed over: with the strategies that agree and disagree, where there is more than one."""
    if len(verdict.agree) + len(verdict.disagree) < 2:
        return signal
    said = {"agree": ", ".join(verdict.agree), "disagree": ", ".join(verdict.disagree)}
    values = signal.as_dict()
    values["fields"] = {**values.get("fields", {}), **{name: names for name, names in said.items() if names}}
    return Signal.trusted(values)  # names are text, and the rest was checked before


def _vote(strategy: str, signal: Signal) -> Vote:
    return Vote(strategy, signal.symbol or "", signal.action or "", signal.timestamp)


def _decision(each: Read, seen: Consensus, settings: Settings) -> Decision:
    confidence = each.signal.confidence
    score = None if confidence is None else confidence * seen.share
    reason = _reason(score, seen, settings)
    return Decision(each.item, each.strategy, seen.share, seen.agree, seen.disagree, score, reason is None, reason)


def _reason(score: float | None, seen: Consensus, settings: Settings) -> str | None:
    if not settings.alerts:
        return "alerts are off"
    if score is not None and score < settings.min_confidence:
        return f"its confidence counts {score:.2f} here, less than {settings.min_confidence:g}"
    if seen.disagree and (settings.conflict == "none" or (settings.conflict == "strongest" and seen.share < 0.5)):
        return f"contradicted by {', '.join(seen.disagree)}"
    return None
