"""The Unix socket door: bytes in, requests to dispatch, replies out in order. One task a connection.

    socket       making and finding the socket: stale files, owners, modes
    limits       how long and how many
    connection   one peer: frames with their deadlines, replies in its encoding
    flawless     hand-offs that need no second look, and how they are known
    hatch        the short way: those are served on the journal's thread, where the microseconds are counted too
    desk         what each request means: the careful way for all else
    door         who may come in: connections by uid, eviction

Anyone on the host who may open the socket may send anything, so nothing here trusts a byte. A length is checked before anything is
read; a frame that has begun must end in time; what cannot be decoded is told once and closed, what decodes and means
nothing is told and the connection lives. A person's thousand idle connections cost that person their oldest idle one, and nobody else
anything.
"""

from .desk import Desk
from .door import Door
from .limits import Limits
from .socket import adopt, open_listener

__all__ = ["Desk", "Door", "Limits", "adopt", "open_listener"]
