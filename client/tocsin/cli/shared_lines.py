"""Several hosts that share channels, as text: the engine, who sends where, what waits, and all hosts."""

from __future__ import annotations

import time

from .layout import table, wrapped
from .output import counted, format_age, paint, plain

TYPE_CHECKING = False  # importing typing is slow
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_HEAD = ("HOST", "STATE", "SEEN", "WAIT", "VERSION", "SENDS FOR")
_INDENT = " " * 8


def shared_lines(shared: dict[str, Any], width: int) -> list[str]:
    """The engine, and which host sends for the destinations that several hosts share."""
    if not shared:
        return []
    lines = wrapped(f"this host is {shared.get('host')}; {_engine(shared)}", width, "shared  ", _INDENT)
    for lane in shared.get("lanes") or []:
        lines += wrapped(_lane(lane), width, _INDENT, f"{_INDENT}  ")
    return lines


def _engine(shared: dict[str, Any]) -> str:
    forgot = shared.get("forgot_seconds")
    state = _trouble(shared) or "answers"
    memory = "" if forgot is None else f"; it lost what it held {format_age(forgot)} ago, and was told again"
    aside = (
        f"; {counted(shared['quarantined'], 'entry')} there put aside as no alert" if shared.get("quarantined") else ""
    )
    return f"the engine {shared.get('engine')} {state}{memory}{aside}"


def _lane(lane: dict[str, Any]) -> str:
    return f"{', '.join(map(str, lane.get('destinations') or []))}: {who_sends(lane)}"


def who_sends(lane: Mapping[str, Any]) -> str:
    """Which host sends, and what waits."""
    holder, without = lane.get("holder"), "each host sends its own" if lane.get("alone") else "no host sends now"
    who = "sent here" if lane.get("here") else f"sent by {holder}" if holder else without
    return "; ".join((f"{who}, for {counted(lane.get('hosts') or 1, 'host')}", *_waiting(lane)))


def engine_trouble(shared: Mapping[str, Any]) -> str:
    """That the engine cannot be used; empty while it can, or without one."""
    trouble = _trouble(shared)
    return f"engine {trouble}" if trouble else ""


def _trouble(answer: Mapping[str, Any]) -> str:
    """Why the engine cannot be used, as it stands after its name, and for how long; empty while it can."""
    away = answer.get("away_seconds")
    return "" if away is None else f"{answer.get('engine_state') or 'is away'} (for {format_age(away)})"


def _waiting(lane: Mapping[str, Any]) -> list[str]:
    waiting, handed = lane.get("waiting") or 0, lane.get("handed_over") or 0
    taken, doubt = lane.get("taken") or 0, lane.get("in_doubt") or 0
    own = f"{waiting:,} of this host {_wait(waiting)}, {_handed(waiting, handed)}" if waiting else ""
    return [
        *([own] if own else []),
        *([f"{taken:,} of other hosts {_wait(taken)} here"] if taken else []),
        *([f"{doubt:,} in doubt: perhaps sent before"] if doubt else []),
    ]


def _wait(n: int) -> str:
    return "waits" if n == 1 else "wait"


def _handed(waiting: int, handed: int) -> str:
    return "all handed over" if waiting == handed else f"{handed:,} handed over" if handed else "none handed over"


def host_lines(answer: dict[str, Any], width: int) -> list[str]:
    """Every host that the engine knows, with its problems."""
    hosts = answer.get("hosts") or []
    return [*_head(answer, width), *table(_HEAD, map(_row, hosts), width, [_problems(each) for each in hosts])]


def _head(answer: dict[str, Any], width: int) -> list[str]:
    """That this is not how the hosts are now, but how they were last."""
    if is_current(answer):
        return []
    as_of = answer.get("as_of")
    known = "other hosts are not known" if as_of is None else f"as of {_clock_time(as_of)}, not of now"
    trouble = _trouble(answer) or answer.get("engine_state") or "does not answer"
    text = f"{known}: the engine {answer.get('engine')} {trouble}: {answer.get('reason')}"
    first, *more = wrapped(text, width, "! ", "  ")
    return [f"{paint('!', 'yellow')}{first[1:]}", *more, ""]


def is_current(answer: Mapping[str, Any]) -> bool:
    """Whether the engine has just said which hosts there are."""
    return bool(answer.get("is_current", answer.get("away_seconds") is None))


def _clock_time(unix: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(unix))


def _row(host: dict[str, Any]) -> list[Any]:
    state, seconds = host.get("state"), host.get("seen_seconds") or 0.0
    word = plain(host.get("health") or "starts") if state == "present" else plain(state)
    seen = "here" if host.get("here") else "now" if state == "present" else f"{format_age(seconds)} ago"
    waits = sum((host.get("queued") or {}).values())
    return [
        host.get("host"),
        word,
        seen,
        f"{waits:,}",
        host.get("version") or "-",
        ", ".join(host.get("sends_for") or ()) or "-",
    ]


def _problems(host: dict[str, Any]) -> str:
    kept = host.get("kept") or 0
    alone = f"{kept:,} of what waits {_is(kept)} not handed over, and {_wait(kept)} for it"
    is_gone = host.get("state") in {"absent", "stopped"}
    return "; ".join((*([alone] if kept and is_gone else []), *map(str, host.get("problems") or ())))


def _is(n: int) -> str:
    return "is" if n == 1 else "are"
