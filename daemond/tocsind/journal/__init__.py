"""The journal: the durable record of what was promised and what became of it. SQLite, WAL, synchronous=FULL.

One connection on one thread for the whole process (`writer`). Whoever wants something hands the thread a job, a function of the
connection, and waits; the thread takes all jobs that wait at that moment and runs them in one transaction, so that a hundred callers
share one sync and a single caller pays for one. An answer leaves only after its commit.

    schema     the tables, their versions, how the file is opened
    records    what goes in and comes out, frozen
    files      the files from outside: whether they are still there, and the space that is kept for outcomes
    writer     the thread and the group commit; what a failing disk means
    mark       how many commits it has seen, noted outside of it, so that lost ones are missed; a job: touch
    recovery   what is looked at when it is opened, and what follows from damage: put aside, rebuilt (logfile), read out (salvage)
    copying    a consistent copy for `tocsin backup`
    redo       what an earlier version may have left beside the tables
    intake     jobs: enter (append), feed; sequences
    attempts   jobs: begin, settle, replay
    memory     jobs: keep, recall, recall_scope, requests: what must be known after a restart
    living     what all those jobs know of living messages, and a job: foreseen
    digests    jobs: fold, instead: many deliveries told in sum
    upkeep     jobs: expire, retry, drop, forget
    rerouting  jobs: divert, give_way: to the fallbacks
    reports    jobs: unseen, reported, open_alarms: what people are told of
    reading    jobs: why, queue, counts

So a caller reads `await journal.run(intake.enter, arrivals, marks)`.

How it holds together. A delivery's `state` column is the single truth about it, and every change of it is one of the jobs above. `begin`
is the claim: it moves `queued` to `sending` and opens an attempt in one commit, and only then does a request leave. `tally` counts
deliveries by destination, priority and state; triggers keep it, so that no job can forget to, and status over a million rows reads a
dozen. `fold` is the other claim: it moves `queued` to `digested` and queues the digest in one commit, and `begin` finds nothing there any
more. `begin` also notes the request, open until `settle`, which notes what was learned; so a crash leaves no request uncounted. Times in
here are Unix seconds on the steady clock (`clock`), which no step of the wall clock changes; only `signals.accepted` is what the wall
clock said, and `skew` beside it is how far the steady clock was ahead.
"""

from .backup import Copy, CopyFailed
from .digests import FIRST
from .files import RESERVE
from .records import (
    Arrival,
    Count,
    DigestResult,
    LaneState,
    LimitState,
    OpenAlarm,
    OutboxPosition,
    RequestRecord,
    RequestStart,
    Reroute,
    SettledAttempt,
    UnseenSignals,
)
from .recovery import Recovered, Replaced
from .schema import SQLITE_VERSION
from .writer import Connection, Journal

__all__ = [
    "FIRST",
    "RESERVE",
    "SQLITE_VERSION",
    "Arrival",
    "Connection",
    "Copy",
    "CopyFailed",
    "Count",
    "DigestResult",
    "Journal",
    "LaneState",
    "LimitState",
    "OpenAlarm",
    "OutboxPosition",
    "Recovered",
    "Replaced",
    "RequestRecord",
    "RequestStart",
    "Reroute",
    "SettledAttempt",
    "UnseenSignals",
]
