"""The same in plain lines, a block each time: for a pipe, a file, a terminal that can do no more, or where rich is not installed."""

from __future__ import annotations

from tocsin.cli.layout import table
from tocsin.cli.output import by_priority, format_age, plain

from .model import Lane
from .screens import Picture


def block(picture: Picture, at: str) -> list[str]:
    """One look, with the time of day that the caller has read."""
    if picture.trouble is not None:
        return [f"{at}  no answer: {plain(picture.trouble)}"]
    queue = picture.status.get("queue") or {}
    waiting = queue.get("by_priority") or {}
    health, oldest = plain(picture.status.get("health")), format_age(queue.get("oldest_seconds"))
    head = f"{at}  {health}  queued  {by_priority(waiting)}  oldest {oldest}"
    problems = [f"  ! {plain(problem)}" for problem in picture.status.get("problems") or []]
    return [head, *problems, *(f"  {line}" for line in _table(picture))]


def _table(picture: Picture) -> list[str]:
    head = ("DESTINATION", "CONDITION", "QUEUED", "AGE", "LEFT", "SENT", "DEAD", "RATE", "WHY")
    return table(head, (_row(lane) for lane in picture.lanes)) if picture.lanes else ["no destinations"]


def _row(lane: Lane) -> tuple[object, ...]:
    rate = f"{lane.rates[-1]:.1f}/s" if lane.rates else "-"
    return (
        lane.name,
        lane.condition,
        lane.waiting,
        format_age(lane.age),
        lane.left,
        lane.sent,
        lane.dead,
        rate,
        lane.why,
    )
