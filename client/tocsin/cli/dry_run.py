"""`tocsin test`: where a signal would go, as what, and when, by the running daemon's routes and limits. --json has the payload.

With --send, one marked message is sent (`test_message`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .exit_codes import OK, USAGE, Failure
from .message_lines import message_lines
from .output import counted, format_age, paint, plain, print_json, print_line
from .parsing import Found, Parser, Verb, client
from .send import arguments, signal_of, with_wait
from .status_lines import budget


def _arguments(parser: Parser) -> None:
    arguments(parser)
    parser.add_argument(
        "--send", action="store_true", help="send one message that says that it is a test, and wait for its outcome"
    )


def _run(found: Found) -> int:
    if found.json_lines is not None:
        raise Failure(USAGE, "usage", "`tocsin test` takes one signal, not --json-lines; see `tocsin test --help`")
    if found.send:
        from .test_message import send_test  # noqa: PLC0415 - a dry run needs none of it

        return send_test(found)
    signal = signal_of(found)
    if signal.has_file:
        from tocsin.attachments import checked  # noqa: PLC0415 - few signals have a file

        signal = checked(signal)
    with client(found) as daemon:
        answer = daemon.request("test", signal=signal.as_dict())["test"]
    if found.json:
        print_json({"ok": True, **answer})
        return OK
    for line in _lines(answer):
        print_line(line)
    return OK


def _lines(answer: dict[str, Any]) -> Iterator[str]:
    names = ", ".join(plain(each.get("name")) for each in answer["destinations"])
    yield f"{paint(plain(answer['signal'].get('title')), 'bold')} ({plain(answer['priority'])}) would go to {names or 'no destination'}"
    yield from _route_lines(answer, known=bool(names))
    if answer.get("silenced"):
        yield f"  it would be stored and not sent: {plain(answer['silenced'])}"
    for each in answer["destinations"]:
        yield ""
        yield from _destination_lines(each)
    yield ""
    yield "nothing was sent"


def _route_lines(answer: dict[str, Any], *, known: bool) -> Iterator[str]:
    """The routes that decide, as alerts.toml numbers them."""
    if not known:
        yield "  no route matches: the signal would be dead"
    for route in answer.get("routes") or []:
        when = ", ".join(f"{plain(key)} = {plain(' or '.join(values))}" for key, values in route["when"].items())
        yield f"  by route {route['number']}, {f'which matches {when}' if when else 'which matches everything'}"


def _destination_lines(each: dict[str, Any]) -> Iterator[str]:
    yield f"{paint(plain(each['name']), 'bold')} ({plain(each['kind'])}) is {_condition(each)}"
    if each.get("held"):
        yield f"  {plain(each['held'])}"
    yield f"  earliest  {_earliest(each)}"
    if live := each.get("living"):
        yield f"  key       {_live_message(live)}"
    for window in each["limits"]["windows"]:
        yield f"  limit     {budget([window])} in {format_age(window['per'])}"
    preview = each["preview"]
    if limits := preview.get("limits"):
        fullest = max(limits, key=lambda limit: limit["used"] / max(1, limit["most"]))
        yield f"  size      {plain(fullest['name'])}: {fullest['used']:,} of {fullest['most']:,}"
    for note in preview.get("notes") or []:
        yield f"  note      {plain(note)}"
    yield "  message"
    yield from (f"  | {line}".rstrip() for line in message_lines(preview.get("payload")))
    if instead := each.get("instead"):
        yield ""
        yield f"in its place: {next(lines := _destination_lines(instead))}"
        yield from lines


def _live_message(live: dict[str, Any]) -> str:
    edits, states = live["edits"], live["states"]
    history = f", with a history of {counted(states, 'state')}" if states else ""
    does = f"would edit message {plain(edits)}" if edits else "would post a new message"
    return f"{plain(live['key'])}: {does}{history}"


def _condition(each: dict[str, Any]) -> str:
    reason = f": {plain(each['reason'])}" if each["reason"] else ""
    fallback = ", ".join(map(plain, each["fallback"]))
    moved = f"; it would go to {fallback or 'no fallback'}" if each["condition"] == "disabled" else ""
    return f"{plain(each['condition'])}{reason}{moved}"


def _earliest(each: dict[str, Any]) -> str:
    seconds, ahead = each["earliest_seconds"], each["ahead"]
    if seconds is None:
        return "unknown: the destination sends nothing at present"
    behind = f", after {ahead:,} queued" if ahead else ""
    return f"{'now' if seconds <= 0 else f'in {format_age(seconds)}'}{behind}"


VERBS = {
    "test": Verb(
        _arguments,
        _run,
        """
tocsin test "BUY BTCUSDT" --tier premium --confidence 0.93
tocsin test "BUY BTCUSDT" --action BUY --attach chart.png
tocsin test --to phone -p urgent --send
tocsin test "Backup failed" -p high --json | jq '.destinations[].earliest_seconds'
""",
        "0 success (with --send: delivered; 3, 4, 5 as in `tocsin send --wait`); 64 usage error; 65 invalid signal; 66 file not readable; "
        "69 daemon unreachable; 76 protocol mismatch; 77 permission denied.",
        prepare=with_wait,
    ),
}
