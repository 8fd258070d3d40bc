"""The Unix socket door: bytes in, requests to dispatch, replies out in order. One task a connection.

    socket       making and finding the socket: stale files, owners, modes; making it again
    limits       how long, how many, how much
    owners       whose bounds a connection counts against
    table        who holds which connection and how many bytes; who has to give one up
    turns        whose request is served next
    connection   one peer: frames with their deadlines, replies in its encoding
    permissions  who may ask for what
    catching_up  what a question waits for, so that a caller reads what it wrote
    desk         what each request means
    lenient      hand-offs in JSON that the standard does not allow
    door         the accept loop, and the task of each connection

Anyone on the host who may open the socket may send anything, so nothing here trusts a byte. A length is checked before anything is
read; a frame that has begun must end in time; what cannot be decoded is told once and closed, what decodes and means
nothing is told and the connection lives. Connections, unfinished bytes, tails and requests that are being served are bounded by owner:
whoever uses up a bound pays for it, and nobody else; connections are kept for root and the daemon's own user.
"""

from tocsind.host.unix_socket import UnixListener, adopt, open_listener

from .handlers import Handlers
from .limits import Limits, fitted
from .listener import Server

__all__ = ["Handlers", "Limits", "Server", "UnixListener", "adopt", "fitted", "open_listener"]
