"""`tocsin test --send`: one message that says that it is a test, and from which host; then what became of it."""

from __future__ import annotations

import os

from tocsin.signals import Signal

from .exit_codes import BAD_DATA, OK, TRY_LATER, Failure
from .output import print_json, print_line, print_note
from .parsing import Found, client
from .send import OUTCOMES, await_outcome, given, title_and_body
from .why import story_lines

_SECONDS = 30.0  # to wait for the outcome, without --wait
_STORY = ("key", "done")  # a test must not become a state of a real trade


def send_test(found: Found) -> int:
    """Send it, wait, and print its history; the exit code is that of `tocsin send --wait`."""
    signal = _marked(found)
    with client(found) as daemon:
        receipt = daemon.submit(signal)
        facts = {"id": receipt.id, "state": receipt.state, "reason": receipt.reason}
        if not receipt.accepted:
            code = BAD_DATA if receipt.state == "refused" else TRY_LATER
            raise Failure(code, receipt.state, f"{receipt.state}: {receipt.reason}", **facts)
        outcome = await_outcome(receipt, _SECONDS if found.wait is None else found.wait, daemon)
        story = daemon.why(str(receipt.id))
    code = OUTCOMES[outcome]
    if found.json:
        print_json({"schema": 1, "ok": code == OK, **facts, "outcome": outcome, "why": story})
        return code
    for line in story_lines(story):
        print_line(line)
    return code


def _marked(found: Found) -> Signal:
    """The signal that the options describe, with a title that says what it is; stdin is read only where the options ask for it."""
    values = {name: value for name, value in given(found).items() if name not in _STORY}
    if left_out := [f"--{name}" for name in _STORY if getattr(found, name)]:
        print_note(f"{' and '.join(left_out)} left out: a test is no state of a story")
    asks = found.title is not None or found.body is not None
    title, body = title_and_body(found) if asks else (None, None)
    host = values["host"] or os.uname().nodename
    return Signal(f"Test from {host}" + (f": {title}" if title else ""), body, **values)
