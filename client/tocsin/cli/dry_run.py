"""`tocsin test`: where a signal would go, as what, and when. The daemon answers, so it is today's routes, limits and conditions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from .exit_codes import OK, USAGE, Failure
from .output import counted, format_age, paint, plain, print_json, print_line
from .parsing import Found, Verb, client
from .send import arguments, signal_of, with_wait
from .status import budget


def _run(found: Found) -> int:
    if found.json_lines is not None:
        raise Failure(USAGE, "usage", "`tocsin test` looks at one signal; see `tocsin test --help`")
    signal = signal_of(found)
    if signal.has_file:
        from tocsin.attachments import checked  # noqa: PLC0415 - few signals bring one

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
    yield f"{paint(plain(answer['signal'].get('title')), 'bold')} ({plain(answer['priority'])}) would go to {names or 'nobody'}"
    if not names:
        yield "  no route takes it: it would be kept as dead"
    for each in answer["destinations"]:
        yield ""
        yield from _destination_lines(each)
    yield ""
    yield "nothing was sent"


def _destination_lines(each: dict[str, Any]) -> Iterator[str]:
    yield f"{paint(plain(each['name']), 'bold')} ({plain(each['kind'])}) is {_condition(each)}"
    yield f"  earliest  {_earliest(each)}"
    if living := each.get("living"):
        yield f"  key       {_living(living)}"
    for window in each["limits"]["windows"]:
        yield f"  gate      {budget([window])} in {window['per']:g} s"
    for limit in each["preview"].get("limits") or []:
        yield f"  limit     {plain(limit['name'])}: {limit['used']:,} of {limit['most']:,}"
    for note in each["preview"].get("notes") or []:
        yield f"  note      {plain(note)}"
    payload = json.dumps(each["preview"].get("payload"), indent=2, ensure_ascii=False)
    yield from (f"  payload   {plain(line)}" for line in payload.splitlines())


def _living(living: dict[str, Any]) -> str:
    edits, states = living["edits"], living["states"]
    history = f", with a history of {counted(states, 'state')}" if states else ""
    does = f"it would edit message {plain(edits)}" if edits else "it would post a new message"
    return f"{plain(living['key'])}: {does}{history}"


def _condition(each: dict[str, Any]) -> str:
    reason = f": {plain(each['reason'])}" if each["reason"] else ""
    elsewhere = ", ".join(map(plain, each["fallback"]))
    moved = f"; it would go to {elsewhere or 'nobody else'}" if each["condition"] == "disabled" else ""
    return f"{plain(each['condition'])}{reason}{moved}"


def _earliest(each: dict[str, Any]) -> str:
    seconds, ahead = each["earliest_seconds"], each["ahead"]
    if seconds is None:
        return "unknown: not before something changes"
    behind = f", behind {ahead:,} that wait" if ahead else ""
    return f"{'at once' if seconds <= 0 else f'in {format_age(seconds)}'}{behind}"


VERBS = {
    "test": Verb(
        arguments,
        _run,
        """
tocsin test "BUY BTCUSDT" --tier premium --confidence 0.93
tocsin test "BUY BTCUSDT" --action BUY --attach chart.png
tocsin test "Backup failed" -p high --json | jq '.destinations[].earliest_seconds'
""",
        "0 told; 64 usage; 65 bad signal; 66 unreadable file; 69 daemon unreachable; 76 protocol mismatch; 77 permission.",
        prepare=with_wait,
    ),
}
