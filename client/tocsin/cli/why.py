"""`tocsin why ID`: the history of one signal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tocsin.client import Client

from .exit_codes import USAGE, Failure
from .layout import NO_LIMIT, columns, folded
from .output import counted, format_number, format_time, paint, plain, print_json, print_line
from .parsing import Found, Parser, Verb, client, common

ID_LENGTH = 26
_CONTINUED = " " * 27  # behind the time of a line
_ABOUT = ("priority", "tier", "strategy", "symbol", "action", "price", "confidence", "key", "source", "host")
_COLOUR = {
    "delivered": "green",
    "sent": "green",
    "dead": "red",
    "refused": "red",
    "unknown": "yellow",
    "deferred": "yellow",
}


_WAITING = ("queued", "sending", "held")  # states of a delivery that is not settled

ID_HELP = "the signal's id, as `tocsin send` prints it, or its end, as messages show it"


def bare_id(text: str) -> str:
    """An id without what stands around it in a message or a listing. Raises Failure when nothing is left."""
    id_ = text.strip().strip("`<>[](){}.…,;:#\"'").upper()
    if not id_:
        raise Failure(USAGE, "usage", "ID is empty; `tocsin tail` and `tocsin queue` show ids")
    return id_


def whole_id(daemon: Client, text: str) -> str:
    """The id that `text` names, by the daemon's answer where it is only the end. Raises Failure, and the client's exceptions."""
    id_ = bare_id(text)
    return id_ if len(id_) == ID_LENGTH else str(daemon.why(id_).get("id"))


def _arguments(parser: Parser) -> None:
    parser.add_argument("id", metavar="ID", help=ID_HELP)
    common(parser)


def _run(found: Found) -> int:
    with client(found) as daemon:
        story = daemon.why(bare_id(found.id))
    if found.json:
        print_json({"ok": True, **story})
        return 0
    width = columns(piped=NO_LIMIT)
    for line in story_lines(story):
        for part in folded(line, width, _CONTINUED):
            print_line(part)
    return 0


def story_lines(story: Mapping[str, Any]) -> list[str]:
    """The answer to `why`, as lines of text."""
    signal, digested = story.get("signal") or {}, story.get("stands_for")
    about = "  ".join(f"{name} {plain(format_number(signal[name]))}" for name in _ABOUT if name in signal)
    accepted = f"accepted from uid {story.get('uid')}, pid {story.get('pid')}; it is {_summary(story)}"
    lines = [
        f"{story.get('id')}  {paint(plain(signal.get('title')), 'bold')}",
        *([f"  {about}"] if about else []),
        *_own_fields(signal),
        *([f"  a digest of {counted(digested, 'signal')}"] if digested else []),
        *([f"  attachment {plain(signal['attach'])}"] if "attach" in signal else []),
        *([f"  {plain(signal['attach_note'])}"] if "attach_note" in signal else []),
        *(f"  {plain(note)}" for note in signal.get("input_notes") or ()),
        f"  {_at(story.get('accepted'))}  {accepted}",
        *_acknowledged_lines(story.get("acknowledged")),
    ]
    for delivery in story.get("deliveries") or []:
        lines += ["", *_delivery_lines(delivery)]
    return lines if story.get("deliveries") else [*lines, "  no destination"]


def _summary(story: Mapping[str, Any]) -> str:
    """The state of the whole signal; if all that still waits is held: where, why and until when."""
    deliveries = story.get("deliveries") or []
    waiting = [each for each in deliveries if each.get("state") in _WAITING]
    if story.get("state") != "queued" or not waiting or any(each.get("state") != "held" for each in waiting):
        return _coloured(story.get("state"))
    return "; ".join(_held(each, is_only=len(deliveries) == 1) for each in waiting)


def _held(delivery: Mapping[str, Any], *, is_only: bool) -> str:
    reason, until = plain(delivery.get("reason") or "held"), delivery.get("held_until")
    end = f", until {format_time(until)}" if until and "held until" not in reason else ""
    return ("" if is_only else f"at {plain(delivery.get('destination'))} ") + reason + end


def _own_fields(signal: Mapping[str, Any]) -> list[str]:
    """The program's own fields and tags, and where the signal leads."""
    fields = ", ".join(
        f"{plain(name)}={plain(format_number(value))}" for name, value in (signal.get("fields") or {}).items()
    )
    tags = ", ".join(map(plain, signal.get("tags") or ()))
    link = plain(signal.get("link") or "")
    return [f"  {name} {text}" for name, text in (("fields", fields), ("tags", tags), ("link", link)) if text]


def _delivery_lines(delivery: dict[str, Any]) -> list[str]:
    name = paint(plain(delivery.get("destination")), "bold")
    attempts = [line for attempt in delivery.get("attempts") or [] for line in _attempt_lines(attempt)]
    message = delivery.get("message")
    return [
        f"{name} ({plain(delivery.get('priority'))})",
        *_from_host_lines(delivery.get("shared") or {}),
        *attempts,
        f"  {_at(delivery.get('since'))}  {_state_and_reason(delivery)}"
        + (f", message {plain(message)}" if message else ""),
        *_to_host_lines(delivery.get("shared") or {}, is_doubtful=bool(delivery.get("possible_duplicate"))),
        *_time_lines(delivery),
        *_digest_lines(delivery.get("digest")),
    ]


def _state_and_reason(delivery: dict[str, Any]) -> str:
    """The state and why; a reason that begins with the state stands alone."""
    state, reason = str(delivery.get("state")), delivery.get("reason")
    if str(reason).startswith(f"{state} "):
        return plain(reason)
    return f"{_coloured(state)}{_because(reason)}"


def _acknowledged_lines(acknowledged: dict[str, Any] | None) -> list[str]:
    return [f"  {_at(acknowledged.get('at'))}  acknowledged by uid {acknowledged.get('uid')}"] if acknowledged else []


def _time_lines(delivery: dict[str, Any]) -> list[str]:
    """Until when a delivery is held, how often it was repeated, and when it is again."""
    held_until, repeats, repeat_at = delivery.get("held_until"), delivery.get("repeats"), delivery.get("repeat_at")
    lines = [f"  {_at(held_until)}  it is released"] if held_until else []
    if repeats:
        lines.append(f"  {'':<23}  posted again {'once' if repeats == 1 else f'{repeats} times'}")
    if repeat_at:
        lines.append(f"  {_at(repeat_at)}  it is posted again, unless it is acknowledged: `tocsin ack`")
    return lines


def _from_host_lines(shared: Mapping[str, Any]) -> list[str]:
    """Where a delivery that several hosts share comes from, and since when others can send it."""
    if not shared:
        return []
    if not shared.get("here", True):
        return [f"  {_at(shared.get('since'))}  came from {plain(shared.get('accepted_by'))}, which accepted it"]
    is_known = shared.get("stage") not in {None, "begun"}
    return [f"  {_at(shared.get('since'))}  handed over to the hosts that share this destination"] if is_known else []


def _to_host_lines(shared: Mapping[str, Any], *, is_doubtful: bool) -> list[str]:
    """The host that sent it, or would send it now, and faults in between."""
    lines = [
        plain(shared.get("sends") or ""),
        plain(shared.get("note") or ""),
        "it may have arrived twice, and is marked" if shared and is_doubtful else "",
    ]
    return [f"  {'':<23}  {line}" for line in lines if line]


def _digest_lines(digest: dict[str, Any] | None) -> list[str]:
    if not digest:
        return []
    return [f"  {'':<23}  that digest is {_coloured(digest.get('state'))}: `tocsin why {plain(digest.get('id'))}`"]


def _attempt_lines(attempt: dict[str, Any]) -> list[str]:
    started, ended = attempt.get("started"), attempt.get("ended")
    edits = attempt.get("edits")
    host = f" by {plain(attempt['host'])}" if attempt.get("host") else ""
    edit = f", to edit message {plain(edits)}" if edits else ""
    head = f"  {_at(started)}  attempt {attempt.get('number')}{host}{edit}"
    if ended is None:
        return [f"{head}: {_coloured(attempt.get('outcome') or 'in flight')}{_because(attempt.get('reason'))}"]
    took = "" if started is None else f" after {max(0.0, ended - started):.3f} s"
    return [f"{head}: {_coloured(attempt.get('outcome'))}{took}{_because(attempt.get('reason'))}"]


def _at(unix: float | None) -> str:
    return f"{'-':<23}" if unix is None else format_time(unix)


def _coloured(state: Any) -> str:
    return paint(plain(state), _COLOUR.get(str(state)))


def _because(reason: Any) -> str:
    return f": {plain(reason)}" if reason else ""


VERBS = {
    "why": Verb(
        _arguments,
        _run,
        """
tocsin why 01J9Z3NDEKTSV4RRFFQ69G5FAV
tocsin why 01J9Z3NDEKTSV4RRFFQ69G5FAV --json | jq .deliveries
""",
        "0 success; 64 usage error; 65 unknown signal; 69 daemon unreachable; 75 the signal may still be in the spool, try again later; "
        "76 protocol mismatch; 77 permission denied.",
    ),
}
