"""Files that come with signals: taken over from the spool's folder at acceptance, kept until every delivery of the signal is settled.

    incoming   `attachments` below the spool, where clients put copies (tocsin.attachments): trust, reading, sweep
    store      `attachments` below the state folder, private: one file per signal, named by the signal's id
    manager    both together, for the core: take over, clean up; blocking system calls, in a thread

The path of a file: the client's copy, synced -> read here, and synced into the store -> the signal's commit -> the receipt -> the client's
copy is deleted -> a destination reads the file with each attempt -> it is deleted once all deliveries of the signal are settled. So
`stored` includes the file, and a crash leaves at most one copy too many: a client's copy is deleted after an hour, and so is a file in the
store when no signal has its id.

Retention. While a delivery waits or is being sent its file stays. For a dead or unknown delivery it stays too, because `retry` may requeue
it, as long as there is room: above half of the store's capacity the oldest of those are deleted, and all with the ledger's entry. Every
other state releases the file.

Trust. A name in a request is a name in that one folder, so the daemon never opens a path that a client chose. The opened file must be a
regular file with one name and no link, and belong to the user who sent the signal, by the kernel's word: else a member of a shared spool
could have another user's file posted where he can read it. Root and the daemon's own user may use each other's files, because root sends
to a user's daemon. The file is copied and not moved: a process that has it open could go on writing to it.

When a file cannot be taken over, the signal goes without it, and its field `attach_note` gives the reason.
"""

from .manager import Attachments
from .store import MAX_BYTES, Store

__all__ = ["MAX_BYTES", "Attachments", "Store"]
