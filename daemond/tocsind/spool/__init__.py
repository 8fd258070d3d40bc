"""The reader of outboxes: what programs append to their files in the spool comes into the journal, once and in order.

The format, the states of a record, and what each kill and each failure leaves stand in `tocsin.outbox`. Here:

    outboxes   one file: its next records, by the client's own checking code; confirmation, deletion
    folder     the folder: who is trusted, which files there are, the quarantine, and the file that shows that a daemon is there
    letters    files of earlier versions (.jsonl), a signal a line: taken in when they are found
    watch      which files have changed, as the kernel tells (inotify)
    intake     the task: when to look, in which order things happen

    read        up to 256 records of an outbox, 512 of all, the owners in turn; in a thread
    enter       one commit holds the signals and the sequence numbers reached (table outboxes, by the outbox's id and its owner), so
                whatever is killed when, a record is taken once
    confirm     behind the commit, without a sync: the owner may use the blocks again
    delete      an outbox whose owner is gone (its lock is free) and that holds nothing more

When: at the start, before the socket is served if that takes moments; then when a file has changed, and while programs write one record
upon the other once in PACE seconds (each look costs a commit, whose sync makes writers wait); and everything once a minute. A question
(`why`, `status`, `wait`, ...) takes in first what is there, so a caller can read what it wrote (`tocsind.ipc.catching_up` says how long it
waits for that), and a hand-off over the socket names the records that come before it.

A turn takes in what was there when it began, to the end of each outbox; what changes meanwhile is for the next turn. So a turn ends,
however busy the writers are, and a question waits for the end of one turn, or of two where something changed during the first.

A daemon is there as long as it holds the lock of the file `.daemon`, which each start makes afresh; what the file contains is why nothing
is taken, so a client's receipt says `spooled` while the disk is at its reserve. The records wait in their outboxes meanwhile.

Whom the daemon trusts. A record counts as a frame on the socket does. There SO_PEERCRED says who sent it; here the file's owner does,
which the kernel keeps and no user without privilege can give away. It becomes the signal's uid (its pid is 0). In a private folder only
root's files and the daemon's own count; into a shared one (sticky, tocsin.spool) members hand in as themselves. Links are never followed,
nothing but a regular file with one name is read, none that is larger than an outbox can be, and no name or time is believed: order is each
outbox's own sequence, and times only say which outbox is read first. A file that cannot be read is remembered by inode, time and size, and
looked at again when it differs: 50,000 empty files cost one listing a minute.

    found                                  what follows
    a checksum that is wrong, at the end   a record that was not finished: it is waited for, and ends with its owner
    one with a valid record behind it      what is valid is taken; a copy goes into quarantine; log, status and an alarm give the reason
    a record that is no JSON of signals    SignalRefused; counted, logged
    a `to` that there is not               the alert goes by the routes, and says so (Unaddressed)
    an id of another user's signal         it is stored under a fresh one (ForeignId)
    another version of the format          put aside; the program goes on writing to it, and its receipts say that nothing is confirmed
    the disk at its reserve, or full       nothing is taken, `.daemon` says why; tried again when there is room, or in BLIND_ROUND seconds
"""

from .importer import SpoolImporter

__all__ = ["SpoolImporter"]
