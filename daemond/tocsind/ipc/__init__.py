"""The Unix socket: frames in, requests to the core, replies out in order. One task per connection.

    limits            times, numbers of connections, bytes
    owners            the user whose limits a connection counts against
    connection_table  all connections and their bytes, by owner; which one is closed when there are too many
    request_turns     which request is served next
    connection        one peer: frames with their deadlines, replies in the peer's encoding
    protocol          the requests
    decoding          the body of a frame as a request
    permissions       which user may make which request
    catching_up       how long a question waits for the spool, so that a caller reads what it wrote
    handlers          answers requests
    silence_requests  answers requests about silences
    expect_requests   answers requests about expectations
    lenient_json      signals in JSON that the standard does not allow
    listener          the accept loop, and the task of each connection

Every user of the host who may open the socket may send anything, so nothing here trusts a byte. The length of a frame is checked before
its body is read; a frame that has begun must end in time; bytes that cannot be decoded get one error and the connection is closed; a
request that can be decoded and makes no sense gets an error and the connection stays. Connections, unfinished bytes, tails and requests
in service are limited by owner: a user who reaches a limit loses connections of his own, never another user's. Some connections are
reserved for root and the daemon's own user.
"""

from tocsind.host.unix_socket import UnixListener, adopt, open_listener

from .handlers import Handlers
from .limits import Limits, fitted
from .listener import Server

__all__ = ["Handlers", "Limits", "Server", "UnixListener", "adopt", "fitted", "open_listener"]
