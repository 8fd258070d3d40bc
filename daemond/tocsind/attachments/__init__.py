"""Files that go along with signals: taken over from the spool's folder at acceptance, kept until nothing waits for them any more.

    dropbox    `attachments` below the spool, where clients put copies (tocsin.attachments): who is trusted, what is read, what is swept
    store      `attachments` below the state folder: ours alone, a file a signal, named by the signal's id
    keeping    the two together, for `dispatch`: take over, tidy up; plain system calls, in a thread

The walk of a file: the client's copy, synced -> read here, and synced into the store -> the signal's commit -> the receipt -> the client's
copy goes -> a destination reads it with each attempt -> it goes once nothing of its signal waits. So `stored` means the file as well, and
a crash leaves at most one copy too many: of the client's an hour is the life that nobody asks for, and so it is of ours when no signal
has its id.

How long. While a delivery waits or is being sent its file stays. For one that is dead or in doubt it stays too, because `retry` may put it
back, as long as there is room: above half of what the store may hold the oldest of those go, and the ledger's end is theirs in any case.
All other ends are ends.

Whom we trust. A name in a request is a name in that one folder and nothing else, so the daemon never opens a path for anybody. What it
opens is a regular file with one name, no link, and belongs to whoever sent the signal, as the kernel tells: else a member of a shared
spool could have another's file posted where he can read it. Root and the daemon's own user stand for each other, because root hands in
to a user's daemon. The file is copied and not moved: whoever has it open could go on writing to it.

What cannot be had costs the signal nothing but its file: it says `attach_note` then.
"""

from .manager import Attachments
from .store import MAX_BYTES, Store

__all__ = ["MAX_BYTES", "Attachments", "Store"]
