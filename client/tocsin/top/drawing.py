"""Draws a screen with rich. The text alone has the full meaning, without colour; control characters of signals are escaped."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Literal

from rich.console import Console, Group, RenderableType
from rich.layout import Layout
from rich.table import Table
from rich.text import Text

from tocsin.cli.layout import NARROWEST, wrapped
from tocsin.cli.output import by_priority, format_age, plain
from tocsin.cli.shared_lines import engine_trouble
from tocsin.cli.status_lines import budget
from tocsin.durations import format_duration

from .model import REMEMBERED, Lane, ordered, sparkline
from .screens import Picture, Screen, Screens

_STYLES = {
    "ok": "green",
    "ready": "green",
    "degraded": "yellow",
    "limited": "yellow",
    "probing": "yellow",
    "queued": "yellow",
    "failing": "bold red",
    "disabled": "red",
    "dead": "red",
}
_KEYS = {
    Screen.LANES: "q leave  p pause  s sort ({order})  up/down choose  enter what waits  ? help",
    Screen.DELIVERIES: "q back  p pause  up/down choose  enter why  ? help",
    Screen.STORY: "q back  p pause  up/down scroll  ? help",
}
_HEAD_LINES, _FOOT_LINES, _DETAIL_LINES = 3, 1, 5
_BARS, _MANY_BARS = 8, REMEMBERED  # intervals
_WIDE = 120  # columns from which on the table has the reasons
_HELP = """\
up, down, k, j      choose a destination or a delivery (also page up, end, ...)
enter, w            open it: what waits for a destination; why, for a delivery
escape, q           back; on the first screen q leaves
s                   sort by the order of the file, queue, age, rate or name
p, space            pause and go on
?, h                this help; any key closes it

URG HIGH NORM LOW   deliveries that wait, by priority
AGE                 of the oldest of them
LEFT                what is left of the scarcest limit
DEAD                given up, for `tocsin retry`
RATE                deliveries a second, the newest at the right

ready               may send
limited             waits for a rate limit, which is healthy
failing             too many failures: it rests until the next attempt
probing             one attempt is out to see whether it works again
disabled            out of service until `tocsin enable`, or as configured"""


def draw(screens: Screens, picture: Picture, console: Console, now: float) -> RenderableType:
    """The whole screen, for a terminal of the console's size; `now` is monotonic, for the age of a picture."""
    room = console.height - _HEAD_LINES - _FOOT_LINES
    layout = Layout()
    layout.split_column(
        Layout(_head(screens, picture, now), size=_HEAD_LINES),
        Layout(_body(screens, picture, console, room), size=max(1, room)),
        Layout(_line(_KEYS[screens.screen].format(order=screens.order), "dim"), size=_FOOT_LINES),
    )
    return layout


def _body(screens: Screens, picture: Picture, console: Console, room: int) -> RenderableType:
    if screens.help:
        return Text(_HELP, no_wrap=True, overflow="ellipsis")
    if screens.screen is Screen.LANES:
        return _lanes(screens, picture, console, room)
    if screens.screen is Screen.DELIVERIES:
        return _deliveries(screens, picture, room)
    shown = picture.story[screens.row : screens.row + room]
    if not shown:
        return _line(f"asking for {screens.subject} ...")
    return Text("\n").join(
        Text.from_ansi(line) for line in shown
    )  # `why` has coloured the lines and escaped control characters


def _line(text: str, style: str = "") -> Text:
    return Text(plain(text), style=style, no_wrap=True, overflow="ellipsis")


def _head(screens: Screens, picture: Picture, now: float) -> RenderableType:
    status = picture.status
    return Group(_first(screens, picture, now), _queue(status), _line(_problems(status), "yellow"))


def _first(screens: Screens, picture: Picture, now: float) -> Text:
    if picture.trouble is not None:
        return _line(f"no answer for {format_age(now - picture.since)}: {picture.trouble}; retrying", "bold red")
    health, up = str(picture.status.get("health")), round(picture.status.get("uptime_seconds") or 0)
    text = Text(f"tocsind {plain(picture.status.get('version'))} is ", no_wrap=True, overflow="ellipsis")
    text.append(plain(health), _STYLES.get(health, ""))
    text.append(f", up {format_duration(up)}, pid {picture.status.get('pid')}")
    return text.append("  PAUSED", "bold") if screens.paused else text


def _queue(status: Any) -> Text:
    queue = status.get("queue") or {}
    waiting = queue.get("by_priority") or {}
    oldest = queue.get("oldest_seconds")
    return _line(
        f"queued  {by_priority(waiting if status else None)}"
        + ("" if oldest is None else f"  (the oldest for {format_age(oldest)})")
        + _silences_and_late(status)
        + _engine(status)
    )


def _silences_and_late(status: Any) -> str:
    """How many silences are in force, and which programs are late."""
    silences = (status.get("silences") or {}).get("active")
    late = (status.get("expectations") or {}).get("late")
    return (f"  silences {silences}" if silences else "") + (f"  late: {', '.join(late)}" if late else "")


def _engine(status: Any) -> str:
    trouble = engine_trouble(status.get("shared") or {})
    return f"  {trouble}" if trouble else ""


def _problems(status: Any) -> str:
    problems = status.get("problems") or []
    more = f"  (and {len(problems) - 1} more: `tocsin status`)" if len(problems) > 1 else ""
    return f"! {problems[0]}{more}" if problems else ""


def _text(value: Any, style: str = "") -> Text:
    """A cell: rich would parse a plain string as markup."""
    return Text(plain(value), style=style)


def _window(rows: int, chosen: int, room: int) -> range:
    """The rows that are shown, with the chosen one among them."""
    first = max(0, min(chosen - room // 2, rows - room))
    return range(first, min(rows, first + max(1, room)))


def _grid(*columns: str, wide: str, right: Sequence[str] = ()) -> Table:
    """A table as wide as the terminal; the column `wide` gets the remaining width."""
    grid = Table(box=None, expand=True, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for column in columns:
        justify: Literal["left", "right"] = "right" if column in right else "left"
        ratio = 1 if column == wide else None
        grid.add_column(column, justify=justify, no_wrap=True, overflow="ellipsis", ratio=ratio)
    return grid


_NUMBERS = ("URG", "HIGH", "NORM", "LOW", "AGE", "LEFT", "DEAD")


def _lanes(screens: Screens, picture: Picture, console: Console, room: int) -> RenderableType:
    found = ordered(picture.lanes, screens.order)
    chosen = min(screens.row, len(found) - 1)
    is_wide = console.width >= _WIDE
    why, widest = (("WHY",), "WHY") if is_wide else ((), "DESTINATION")
    grid = _grid("DESTINATION", "CONDITION", *_NUMBERS, "RATE", *why, wide=widest, right=_NUMBERS)
    ascii_only = console.encoding not in {"utf-8", "utf8"}
    for row in _window(len(found), chosen, room - _DETAIL_LINES - 1):
        cells = _cells(found[row], _MANY_BARS if is_wide else _BARS, ascii_only=ascii_only)
        grid.add_row(*cells, *([_text(found[row].about)] if is_wide else []), style="reverse" if row == chosen else "")
    parts: list[RenderableType] = [grid]
    if chosen >= 0:
        parts += [Text(), *_details(found[chosen], console.width)]
    return Group(*parts)


def _cells(lane: Lane, bars: int, *, ascii_only: bool) -> list[str | Text]:
    pace = f"{lane.rates[-1]:.1f}/s" if lane.rates else ""
    return [
        _text(lane.name),
        _text(lane.condition, _STYLES.get(lane.condition, "")),
        *(f"{queued:,}" for queued in lane.queued),
        format_age(lane.age),
        lane.left,
        f"{lane.dead:,}",
        f"{sparkline(lane.rates, bars, plain=ascii_only)} {pace}".rstrip(),
    ]


def _details(lane: Lane, width: int) -> list[Text]:
    first, *more = wrapped(lane.about or "no problem", max(width, NARROWEST), "  ")
    return [
        _line(f"{lane.name}, {lane.kind}: {lane.condition}; sent {lane.sent:,}"),
        *map(_line, [first, " ".join([more[0], *(line.strip() for line in more[1:])])] if more else [first, ""]),
        _line(f"  left of each limit: {budget([dict(window) for window in lane.windows]) or 'no limits'}"),
    ]


def _deliveries(screens: Screens, picture: Picture, room: int) -> RenderableType:
    rows, now = picture.deliveries, time.time()
    if not rows:
        return _line(f"{screens.subject} has no queued and no dead deliveries")
    grid = _grid("ID", "PRIORITY", "STATE", "SINCE", "TRIES", "TITLE", wide="TITLE")
    chosen = min(screens.row, len(rows) - 1)
    for row in _window(len(rows), chosen, room - 1):
        each = rows[row]
        cells = (each.get("id"), each.get("priority"), each.get("state"), format_age(now - (each.get("since") or now)))
        more = (each.get("attempts"), each.get("title"))
        grid.add_row(*(_text(cell) for cell in (*cells, *more)), style="reverse" if row == chosen else "")
    return grid
