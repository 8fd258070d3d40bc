"""The spool's other end: what clients wrote while we were away comes in through `dispatch.accept`, as if they had knocked.

    folder     the folder and its files: who is trusted, what a file says, and the quarantine; plain system calls, run in a thread
    letters    what a file says: a signal a line
    watch      waits for the kernel to tell that a file was renamed into the folder (inotify)
    intake     the task: when to look, in which order things happen

How files are written, and so what may be relied on, stands in `tocsin.spool`.

When: at the start, before the door opens if that takes moments, so that old comes before new; then whenever a file appears, and once a
minute all the same. An idle daemon wakes once a minute for it; where the kernel cannot tell (no inotify left) it looks every two seconds.
A nudge from the client would not do: it spools because we do not answer.

Once: a file is deleted behind the commit of all that it says, never before. A crash between the two means that it is read again, and
every id in it is a duplicate. Lines without an id, which only people write, get one that follows from the file's name.

In time: `expires` counts from when the file was written, not from when it was found, and a signal without a timestamp was raised then.

Whom we trust. A line in a file is as good as a frame on the socket, so the same question stands before it: who says so? The socket's
answer is SO_PEERCRED, the file's is its owner, which the kernel keeps and nobody without privilege can give away; it becomes the signal's
uid (its pid is 0: nobody knows it any more). In a private folder, where nobody else may write, only root's files and our own are taken:
what else lies there was put there by mistake. A folder with the sticky bit that is open to a group was shared by an administrator on
purpose, and whoever may write into it may hand in, as whoever may open the socket may. The sticky bit is what makes that safe: without
it each could delete or swap the others' signals, so a folder that is open to others without it is not used at all. Links are never
followed, symbolic or hard, and nothing but a regular file is read: else a member of the group could make us read, as root, what is not
his.
"""

from .intake import Spool

__all__ = ["Spool"]
