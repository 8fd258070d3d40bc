"""The digest at the end of quiet hours, as a signal: what still needs a reader, one line each, and what has settled itself, in one line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from tocsind.policy.delivery import Priority
from tocsind.policy.quiet_digest import Group, QuietDigest

from .numbers import iso, number
from .text import EMPTY, MARK, fitted, is_blank, one_line

MOST_LINES: Final = 24  # one field of an embed's 25 counts the rest
_LABEL: Final = 80
_NO_TIME: Final = "????-??-??T??:??:??"


def quiet_digest(found: QuietDigest, id_: str) -> dict[str, Any]:
    """The fields of the digest; `id_` is its id."""
    lines = found.lines()
    return {
        "title": _title(found, lines),
        "body": " ".join(
            filter(None, (_span(found), _cancelled(found), _expired(found), _doubts(lines), _files(lines)))
        )
        or None,
        "priority": found.priority().label,
        "source": "tocsin",
        "fields": _fields(lines) or None,
        "id": id_,
    }


def _title(found: QuietDigest, lines: Sequence[Group]) -> str:
    if any(not group.has_ended for group in lines) or found.expired:
        return f"Quiet hours are over: {_counted(found.signals, 'signal')} in one digest"
    return f"Quiet hours are over: nothing fires any more ({_counted(found.signals, 'signal')})"


def _counted(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' if n != 1 else ''}"


def _span(found: QuietDigest) -> str:
    span = found.span()
    if span is None:
        return ""
    first, last = (iso(at) or _NO_TIME for at in span)
    ends = f"{first[:10]} {first[11:16]}", last[11:16] if last[:10] == first[:10] else f"{last[:10]} {last[11:16]}"
    return f"{' to '.join(dict.fromkeys(ends)) if first[:16] != last[:16] else ends[0]} UTC."


def _cancelled(found: QuietDigest) -> str:
    groups = found.cancelled()
    if not groups:
        return ""
    signals = sum(group.count for group in groups)
    return f"{_counted(len(groups), 'alert')} began and ended in the meantime ({_counted(signals, 'signal')})."


def _expired(found: QuietDigest) -> str:
    if not found.expired:
        return ""
    named = [fitted(one_line(title), _LABEL) for title in found.expired_titles]
    more = found.expired - len(named)
    rest = [f"{more:,} more"] if more else []
    return f"{_counted(found.expired, 'signal')} expired in the meantime: {', '.join([*named, *rest])}."


def _doubts(lines: Sequence[Group]) -> str:
    count = sum(group.doubts for group in lines)
    return f"Possible duplicates: {count:,}." if count else ""


def _files(lines: Sequence[Group]) -> str:
    count = sum(group.files for group in lines)
    return f"Attachments that are not shown: {count:,}." if count else ""


def _fields(lines: Sequence[Group]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for group in lines[:MOST_LINES]:
        label = _label(group)
        while label in fields:  # a key may read like a title
            label += " "
        fields[label] = _line(group)
    rest = lines[MOST_LINES:]
    if rest:
        fields[f"{MARK} and {len(rest):,} more"] = f"{sum(group.count for group in rest):,} x"
    return fields


def _label(group: Group) -> str:
    text = group.title if group.key and not is_blank(group.title) else group.label  # a key is for programs
    label = EMPTY if is_blank(text) else fitted(one_line(text), _LABEL)
    return f"{EMPTY} {label}" if label.startswith(MARK) else label  # the mark is for the rest


def _line(group: Group) -> str:
    first, last = (iso(at) or _NO_TIME for at in (group.first, group.last))
    parts = [
        f"{group.count:,} x" if group.count > 1 else "",
        "" if group.priority is Priority.NORMAL else group.priority.label,
    ]
    parts.append(f"{first[11:16]} UTC" if first[:16] == last[:16] else f"{first[11:16]} to {last[11:16]} UTC")
    if group.low is not None and group.high is not None:
        low, high = number(group.low), number(group.high)
        parts.append(f"price {low}" if low == high else f"price {low} to {high}")
    if group.has_ended:
        parts.append("it has ended")
    if group.title != group.label and not group.key:
        parts.append(f"{'last: ' if group.count > 1 else ''}{fitted(one_line(group.title), _LABEL)}")
    return ", ".join(filter(None, parts))
