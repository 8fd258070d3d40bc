"""A question waits until everything that was written to the spool before it is in the journal. So a caller reads what it wrote.

An overview (`status`, `queue`, ...) waits CATCH_UP seconds at most, however large the backlog is. A question about one signal is
answered as soon as the signal is in the journal. `not-found` is the answer only when no waiting record could be that signal.
"""

from __future__ import annotations

from tocsind.ipc.protocol import AnyRequest, Drop, Retry, Wait, Why
from tocsind.journal import Journal
from tocsind.spool import SpoolImporter

from .connection import Refusal
from .short_ids import is_known

CATCH_UP = 3.0  # s that an overview waits; the command waits 5 s for its answer
BACKLOG = 30.0  # s that a question waits for a signal that is not in the journal yet; most callers give up earlier


async def catch_up(request: AnyRequest, spool: SpoolImporter, journal: Journal) -> None:
    """Wait before a question is answered. Raises Refusal (`busy`) when the signal that it names may still wait in the spool."""
    if await spool.catch_up(CATCH_UP) or not await _names_unknown(request, journal):
        return
    patience = max(BACKLOG, request.seconds) if isinstance(request, Wait) else BACKLOG
    if not await spool.catch_up(patience) and await _names_unknown(request, journal):
        reason = spool.problem or "other records wait before it"
        raise Refusal("busy", f"the signal is not known yet; it may wait in the spool: {reason}; try again")


async def _names_unknown(request: AnyRequest, journal: Journal) -> bool:
    """Whether the request names one signal, and that signal is not in the journal."""
    if not isinstance(request, Why | Wait | Drop | Retry) or request.id is None:
        return False
    return not await is_known(journal, request.id)
