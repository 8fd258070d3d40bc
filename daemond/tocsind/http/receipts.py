"""Receipts as HTTP answers: 200 when a signal is on disk, 400 when it never will be, 503 when the sender shall try again."""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.signals import Receipt, Signal
from tocsind.errors import StorageFull
from tocsind.http_server import Reply

from .intake import Intake
from .replies import as_json
from .routing import Call

Receipts = Sequence[Receipt]
_RETRY_AFTER = "5"  # seconds


def refused(status: int, message: str, **headers: str) -> Reply:
    """An answer that names what is wrong."""
    return as_json(status, {"error": {"message": message}}, **headers)


def refusal(status: int, message: str) -> Reply:
    """The same, for a route's own refusals."""
    return refused(status, message)


async def store(intake: Intake, signals: Sequence[Signal], call: Call) -> Receipts | Reply:
    """The receipts of signals in their order, or the answer to a request that stores none. One bad signal costs the others nothing."""
    if call.grant.only is not None and any(not _is_within(signal, call.grant.only) for signal in signals):
        return refused(403, f"this token permits {call.grant.only} only")
    problems = [intake.problem(signal) for signal in signals]
    for problem in filter(None, problems):
        intake.report_refused(call.request, problem)
    if problems and all(problems):
        return refused(400, problems[0] or "")
    good = [signal for signal, problem in zip(signals, problems, strict=True) if problem is None]
    try:
        stored = iter(await intake.store(good, call.request))
    except StorageFull as full:
        return refused(503, str(full), **{"Retry-After": _RETRY_AFTER})
    return [next(stored) if problem is None else Receipt("", "refused", problem) for problem in problems]


def as_object(receipt: Receipt) -> dict[str, str | None]:
    """A receipt as JSON."""
    return {"id": receipt.id, "state": receipt.state, "reason": receipt.reason}


def _is_within(signal: Signal, only: str) -> bool:
    return signal.to == [only]
