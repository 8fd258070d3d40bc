"""What a question waits for: everything that was written to the spool before it. So a caller reads what it wrote.

An overview (`status`, `queue`, ...) waits for CATCH_UP seconds at most: a large backlog holds it up no longer. A question about one
signal is answered as soon as the journal knows that signal. `not-found` is an answer only when nothing waits that could be it.
"""

from __future__ import annotations

from tocsind.ipc.protocol import AnyRequest, Drop, Retry, Wait, Why
from tocsind.journal import Journal, queries
from tocsind.spool import SpoolImporter

from .connection import Refusal

CATCH_UP = 3.0  # s that an overview waits: a command waits 5 s for it
BACKLOG = 30.0  # s that a question waits for a signal that the journal does not know yet; most callers give up before


async def catch_up(request: AnyRequest, spool: SpoolImporter, journal: Journal) -> None:
    """Wait before a question is answered. Raises Refusal (`busy`) where it asks for a signal that may still wait in the spool."""
    if await spool.catch_up(CATCH_UP) or not await _names_unknown(request, journal):
        return
    patience = max(BACKLOG, request.seconds) if isinstance(request, Wait) else BACKLOG
    if not await spool.catch_up(patience) and await _names_unknown(request, journal):
        reason = spool.trouble or "others wait before it"
        raise Refusal("busy", f"the signal is not known yet; it may wait in the spool: {reason}; try again")


async def _names_unknown(request: AnyRequest, journal: Journal) -> bool:
    """Whether it is about one signal, of which the journal knows nothing so far."""
    if not isinstance(request, Why | Wait | Drop | Retry) or request.id is None:
        return False
    return await journal.run(queries.states, request.id) is None
