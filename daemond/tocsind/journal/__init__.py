"""The journal: the durable record of signals and deliveries. SQLite, WAL, synchronous=FULL.

One connection on one thread serves the whole process (`writer`). A caller hands the journal thread a job, a function of the connection, and
waits. The thread takes all waiting jobs and runs them in one transaction, so that a hundred callers share one sync and a single caller
pays for one. It answers a job only after the commit.

    schema           the tables, and their versions
    opening          how the file is opened
    records          what goes in and comes out, frozen
    files            the files from outside: whether they are still there, and the space that is reserved for outcomes
    writer           the thread and the group commit; what a failing disk means
    commit_mark      how many commits the journal has seen, noted outside of it, so that a loss is noticed; a job: write_test
    recovery         the examination on opening, and what follows from damage (write_ahead_log, row_recovery)
    backup           a consistent copy for `tocsin backup`
    redo_log         imports the log that an earlier version may have left
    queue            jobs: insert (append), feed; sequences
    attempts         jobs: begin, settle, replay
    limiter_state    jobs: save, load_lane, load_limit, requests: what lanes and limits must know after a restart
    live_messages    live messages within the jobs above, and a job: preview
    messages         jobs: load, save
    digests          jobs: make_digest, replaced_by
    elsewhere        a job: accepted_by; which deliveries other hosts accepted
    held             jobs: hold, gather, finish, release_delayed: what quiet hours and delays hold back
    repeats          jobs: due, again, tell_fallback: alerts that are posted again
    acknowledgements a job: acknowledge; what ends repetitions, within the jobs above
    maintenance      jobs: expire, retry, drop, delete_old
    epochs           jobs: account, offer_again, feed_own, doubt: what the hosts' engine may have forgotten
    shared           jobs: leaving, handed_over, begun, ended, told, ...: what several hosts send together
    shared_arrivals  job take_in: what other hosts handed over
    shared_news      jobs: under_way, record: news that has to wait, and what follows it
    leftovers        jobs: left, give_back, feed, ...: deliveries that the engine has of destinations that are no longer shared
    withdrawals      jobs: waiting, overdue, own, taken_back, ...: deliveries that go to a fallback, or end here, instead of at other hosts
    stories          jobs: story, adopt: live messages that go on at another host
    shared_view      jobs: waiting, note_loss; what `why` tells of that, within the jobs above
    rerouting        jobs: divert, reroute, return_to_origin: to fallbacks and back
    expectations     jobs: load, save, delete, last_signal
    silences         jobs: add, end, settle, active, ended, reported; count and delete_old within jobs above
    loss_reports     jobs: unseen, reported, open_alarms: what reports and alarms must know after a restart
    queries          jobs: why, queue, counts
    recent           jobs: search, minutes: recent signals, and the last hour

So a caller writes `await journal.run(queue.insert, arrivals, marks)`.

How it holds together. A delivery's `state` column is the single truth about it, and every change of it is one of the jobs above. `begin`
is the claim: it moves `queued` to `sending` and opens an attempt in one commit, and only then does a request leave. `tally` counts
deliveries by destination, priority and state; triggers maintain it, so that no job can forget to, and status over a million rows reads a
dozen. `make_digest` is the other claim: it moves `queued` to `digested` and queues the digest in one commit; `begin` cannot claim these
deliveries any more. `begin` also records the request as open until `settle`, which records what the response showed; so a crash leaves no
request uncounted. Times are Unix seconds on the steady clock (`clock`), which no step of the wall clock changes. Only `signals.accepted` is
on the wall clock; `skew` beside it is how far the steady clock was ahead.
"""

from .backup import Copy, CopyFailed
from .digests import FIRST
from .files import RESERVE
from .opening import SQLITE_VERSION
from .records import (
    Acknowledged,
    Arrival,
    Count,
    DigestResult,
    ExpectationRow,
    HeldGroup,
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
from .writer import Connection, Journal

__all__ = [
    "FIRST",
    "RESERVE",
    "SQLITE_VERSION",
    "Acknowledged",
    "Arrival",
    "Connection",
    "Copy",
    "CopyFailed",
    "Count",
    "DigestResult",
    "ExpectationRow",
    "HeldGroup",
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
