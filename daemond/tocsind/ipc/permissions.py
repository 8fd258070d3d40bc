"""Permissions: every user who can open the socket may send and read, and may drop and retry signals of the same uid.

Other users' signals, backups, destinations and the daemon itself are for root and the daemon's own user.
"""

from __future__ import annotations

from tocsin import trust
from tocsind.core.admission import Peer
from tocsind.events import Emit, RequestNotPermitted
from tocsind.ipc.protocol import AnyRequest, Backup, Drop, Enable, Reload, Retry
from tocsind.journal import Journal, queries

from .connection import Refusal


async def permit(request: AnyRequest, peer: Peer, journal: Journal, emit: Emit) -> None:
    """Raises Refusal (`not-permitted`, `not-found`) when this user may not make this request."""
    if peer.uid in trust.owners():
        return
    match request:
        case Enable() | Backup() | Reload() | Retry(id=None):
            whose = "root and the daemon's own user"
        case Drop(id=str(id_)) | Retry(id=str(id_)):
            sender = await journal.run(queries.sender, id_)
            if sender is None:  # not left to the handler: the signal may be imported in between
                raise Refusal("not-found", f"no signal {id_} is known here; it may be older than the ledger is kept")
            if sender == peer.uid:
                return
            whose = f"its sender (uid {sender}), root and the daemon's own user"
        case _:
            return
    operation = request.__struct_config__.tag
    emit(RequestNotPermitted(str(operation), peer.uid, peer.pid))
    raise Refusal("not-permitted", f"only {whose} may do that")
