"""The spool: imports the outboxes that client processes append to into the journal, each record once and in order.

`tocsin.outbox` describes the format, the states of a record, and the effect of each kill and each failure. Here:

    outboxes   one file: its next records, read by the client's own checking code; confirmation, deletion
    folder     the folder: trust, listing, quarantine, and the file that shows that a daemon runs
    old_files  files of earlier versions (.jsonl), one signal per line: imported when they are found
    inotify    which files have changed
    importer   the task: when to scan, and the order of the steps
    own_outbox the outbox of the daemon itself: messages over HTTP whose sender asks for no id

    read        up to 256 records of one outbox, 512 of all, the owners in turn; in a thread
    enter       one commit holds the signals and the sequence numbers reached (table outboxes, by the outbox's id and its owner), so a
                record is imported once, whenever the daemon is killed
    confirm     after the commit, without a sync: the owner may use the blocks again
    delete      an outbox whose owner has exited (its lock is free) and that holds no unread record

When: at the start, before the socket is served if that takes moments; then when a file has changed, but while programs write one record
after the other only once in PACE seconds (each scan costs a commit, whose sync makes writers wait); and the whole folder once a minute. A
question (`why`, `status`, `wait`, ...) first waits until the present records are imported, so a caller can read what it wrote
(`tocsind.ipc.catching_up` has the time limits), and a request over the socket names the records that must be imported before it.

A turn imports the records that were there when it began, to the end of each outbox; later changes are for the next turn. So a turn ends,
however busy the writers are, and a question waits for the end of one turn, or of two when a file changed during the first.

The daemon holds the lock of the file `.daemon`, which each start creates afresh, as long as it runs. The file contains the reason when
nothing is imported: a client's receipt says `spooled` while the disk is at its reserve. The records wait in their outboxes meanwhile.

The daemon is one of the writers. A message over HTTP that is answered with nothing but 204 goes into an outbox of the daemon's own, because
that costs one sync, where a commit of the journal costs several and waits for those of deliveries. Its records have the daemon's pid.

Trust. A record counts like a frame on the socket. There SO_PEERCRED names the sender; here the file's owner does, which the kernel keeps
and no user without privilege can give away. The owner becomes the signal's uid; its pid is what the file says. In a private folder only
files of root and of the daemon's user count; in a shared one (sticky, tocsin.spool) members send as themselves. Links are never followed,
only regular files with one name are read, none that is larger than an outbox can be, and no name or time is trusted: each outbox's own
sequence gives the order, and times only decide which outbox is read first. A file that cannot be read is remembered by inode, time and
size, and read again when one of them differs: 50,000 empty files cost one listing a minute.

    found                                  what follows
    a wrong checksum at the end            an unfinished record: the importer waits for it until its owner exits
    a wrong checksum before a valid record the valid one is imported; a copy goes into quarantine; log, status and an alarm give the reason
    a record that is no JSON of signals    SignalRefused; counted, logged
    a `to` that does not exist             the alert goes by the routes, and the message names the destination (UnknownDestination)
    an id of another user's signal         it is stored under a fresh one (ForeignId)
    another version of the format          it stays while its program runs, and a later daemon may import it; a copy goes into quarantine.
                                           The program's receipts say `spooled`. When the program has exited, the file goes into quarantine
    the disk at its reserve, or full       nothing is imported, `.daemon` has the reason; again when there is room, or in POLL_INTERVAL
"""

from .importer import SpoolImporter
from .own_outbox import OwnOutbox

__all__ = ["OwnOutbox", "SpoolImporter"]
