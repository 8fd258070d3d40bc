"""Several hosts, one channel: hosts that share an engine (Redis or Valkey) send to their common destinations as one.

    engine         what hosts need of the engine, as a protocol; all that is kept there
    redis_engine   it on Redis or Valkey; scripts: the steps in Lua; client: redis-py in a thread; trial: whether all steps are permitted
                   and possible. `testing.engine` is it in memory
    items          what is handed over, as bytes; what comes back is checked
    targets        what this host knows of each lease
    scopes         limits that several targets share: room for each request; scope_scripts: the engine's part
    companions     which host is to hold targets that share a limit
    store          the lanes' store: the journal, and the engine's steps around it
    reports        of the host that sends, to the engine: what ended
    leftovers      what is left at the engine of destinations that are not shared here any more
    trouble        hosts that do not get through: who should hold a lease, what is shut out (`outs`)
    taking         deliveries back from the engine: for a fallback, or before they end here
    exchange       hand over, fetch, record news; leases: tend them, take over, give back
    hub            the tasks that do so again and again, and outages
    presence       notes of all hosts in the engine, and alarms about them; view: what this host says of itself and the engine
    identity       the host's name, and the start of its daemon; naming: a new name for a copy
    assembly       makes them

Words. A *host* is a state folder. A *target* is a far end (hash of its endpoint): what shares the server's limits. The *holder* of a
target's lease sends for all hosts. An *item* is a delivery that was handed over. A *scope* is a limit that several targets may share: a
Discord channel with two webhooks, a chat with two Telegram bots, an ntfy account with two topics; by name, the limit of a turn queue.

How it holds together.

    The accepting host stays responsible. A delivery stays queued in its journal until the engine reports how it ended. What the engine
    loses is handed over again.
    One sender. Only the holder's lane is fed. It is the same lane, with the same policy and limiter, as on one host: what other hosts
    accepted is in its journal like its own. So batches, digests, live messages and pace need no second implementation.
    Alerts of one moment share their messages, as on one host, although those of other hosts reach the holder 10 to 30 ms later. The lane
    would send the holder's own ones at once, in a message of their own, which costs one of few requests. So a message that is not full
    leaves HAND_OVER_SECONDS after the acceptance of its first alert at the earliest, at any host. URGENT and HIGH never wait for that.
    Law 3 over hosts. An attempt is on record in the journal, then in the engine, and only then does its request leave. The engine refuses
    without the lease, and the record in the journal is undone. The next holder marks what has an open attempt as a possible duplicate, and
    what may have arrived in one that ended (its answer was lost). It does not mark an edit, which leaves no copy, but nothing that is in
    flight is taken back.
    The holder's own deliveries are handed over as well, or its death would delay them until it is back. An attempt for one that is not
    handed over yet is noted all the same, because the copy may arrive in the engine after the attempt began.
    The engine reports each end, by id, to the host that accepted the signal, and keeps it until that host has recorded it: until then the
    same item is not stored again. The journal of a sender keeps what ended there, so an engine that lost its memory causes no second copy.
    A lease is trusted for a shorter time than it lasts, counted from before the question. A host that was stopped and wakes up asks the
    engine before it sends, and is refused.
    Requests are noted in the engine with the engine's time; the next holder counts them in its own limiter. Blocks, learned windows,
    breaker, outage and live messages follow with each outcome. An engine without a past gives the lease at once only to the host that had
    it before; others wait for 2 s, while all hosts report the requests that they made. A host that has never met another one, as its
    journal says, takes it at once when the engine has seen no other either: then no host sent what the engine does not know. Should
    another one come all the same, which lost its engine in just these seconds, the holder counts what that one reports.
    One daemon for each name. A copied state folder has the name, the journal and the ids of another host. The lock of the folder does not
    help, as the copy has its own. So a lease belongs to a start of a host, and the engine refuses a second start: while the first one is
    seen, which keeps a daemon that was killed waiting for the end of its old lease as well; and when its journal is behind the one that the
    engine knows of. A host that is refused and sees that the other one lives takes a new name (`identity`), and hands over under it what
    waits, marked. It does not leave that to the other daemon: which one is the copy is not known, and each accepted what the other one
    does not have. It does not just wait either: what it accepts would wait for a person.
    Who counts patience: the host that accepted, by its own configuration. It knows since when the holder does not get through, from the
    holder's own outage; since when no host holds the lease; since when the engine is away. Its lane then acts as in an outage of its own,
    but for what it sends itself (`degrade`), and asks nothing of the destination. Before a delivery moves to the fallback the engine gives
    it back, unless an attempt is open. Without the engine it is marked, and taken back when the engine is there again. The holder counts
    for hosts only that were not seen of late. Not the holder for all: its fallback may be a file on a host that people do not look at.
    No end is announced that a request in flight may contradict. The accepting host ends a delivery without an attempt: its time has passed,
    an operator drops it, a silence matches it, its fallback takes it. Another host may have begun to send it just then. So the accepting
    host takes it back from the engine first, which gives it only while no attempt is open; what is in flight ends as its request does.

        the accepting host          no attempt is open          a request is in flight       the engine is away
        expires                     expired, never posted       it waits: sent, or expired   expired, "may have posted it"; marked
        drop, silence               it ends, is never posted    it is sent; drop says so     it ends, marked
        patience, fallback          the fallback has it         it waits                     the fallback has it, marked
        destination removed         where the routes lead now   it waits                     it waits
        degrade                     -                           -                            sent here after 10 s, marked
        ack, end of a story         not posted again            posted again; `why` says so  as on the left, or in the middle
        superseded in a delay       it was never handed over: a held delivery is not
        a newer state of its key    the holder claims all states of a key in one step; each ends with that attempt
        digest                      its attempt is one of each delivery in it. When one was taken back, the holder dissolves the digest
        retention                   only what has ended is deleted; later news of it changes nothing

    "Marked": it is a possible duplicate, `why` says that it may have been sent. The holder answers from its own journal, as one host does.
    News may come after such an end, because the engine was away, or forgot the attempt. `policy.late_news` says what it changes: a message
    that arrived outweighs each other end, so the delivery is `sent`, and `why` says how it had ended here before. Of two ends in the engine
    the one that arrived stays. Nothing follows a corrected end: no repetition, no fallback. A client that waited has its answer by then.
    A destination may fail for the holder alone. A holder that fails, is blocked by its address, or is disabled gives the lease back when it
    knows of a host that is not (`trouble`). What the next one learns has the old beginning of the outage, so no delivery waits through
    a second patience, but it tries at once; a block of an address stays at home.
    Room in a scope. Several hosts may hold leases of targets that share a limit, and a host may know only one of these targets. So before
    each request the holder asks the engine for room in the scope. The engine has the requests of all hosts there, counts those in flight as
    well, and refuses one that would be too many: no host has to know which others send, and a change of holders changes nothing. The answer
    shows what others sent; each host counts that in its own limiter, so that it seldom asks in vain, paces and reserves as on one host.
    Blocks and learned limits of a scope travel the same way. The engine keeps the reserve as well: a request that is not expedited needs
    room among those that are not. An expedited request that finds no room is noted, and others wait for it.
    A request in flight of a host that is not seen for 2 s counts as answered then. An engine without a past of a scope gives no room for
    2 s, in which all hosts report. After each outage they report as well, and ask 1.5 s later: the engine may have lost its last second.
    A channel that becomes known late, or is another one than before, is another scope: the host reports its requests there first. A holder
    knows the channel that the last holder knew. Scopes have keys of their own: not in the hash slot of a target, so asked by a script of
    their own, before the attempt is noted. What was given and not used is given back.
    The engine may forget. A server's process that is another one than before (restart, replica) may have lost its last steps; FLUSHALL
    loses all. Either begins another *epoch*: each host hands over again, tells once more what has ended, and gives its *account*: requests,
    open attempts. An item has the epoch in which it was first handed over. While the account of a host is missing that took part before,
    items of earlier epochs have *lapsed*: who reads one marks it, unless it sent alone all the time. So the loss of steps alone marks
    nothing, and with the death of the host that sent no copy goes unmarked.
    While the engine is away: `hold` waits. `degrade` sends URGENT and HIGH of this host, at its share of the limits; what the engine
    already has may have been sent by another host that still reaches it, so that waits for 10 s more, and is marked. Afterwards hosts first
    report what they sent, and take leases 1.5 s later.

    An engine that answers may still be of no use: full, read-only, without a permission. So each failed step has a `Cause`, which people
    read from the first failed step on, and an engine that refused one counts as there again only when a trial of all steps has worked: a
    lease that can be renewed says nothing about the rest.

Why not otherwise. Consumer groups of streams would do what the lease already does. The client library was chosen by measurement: with
this engine's steps, on loopback, redis-py in a thread makes 2,000 to 6,000 calls a second at 0.13 to 0.2 ms of processor time each, where
one destination needs fewer than ten a second. A client of our own on trio's streams made 6,000 to 11,000 (0.07 ms), hiredis' parser on
such streams 8,000 to 14,000 (0.05 ms), coredis on trio 2,600 to 5,600 (0.16 ms). All four survive a stopped proxy, a hung and a killed
server, and 200 cancelled steps, with one connection each. redis-py costs 8 MB and 50 ms at the start of a daemon with [shared]; it knows
Redis' errors, TLS and Sentinel, and other people maintain it.

To hold all targets of a scope by one host is only a preference (`companions`): as a rule it would need shares of the limit for hosts that
do not know all targets, and a share is wasted while the other host is idle, each change of their number needs an agreement, and a channel
that becomes known late moves leases while requests leave.

Known limits. Hosts that hold different targets of a scope pace less evenly than one host: each knows of the others' requests within a
second. Limits of an address (requests of one machine to one server) are not shared: each host has its own address. `ack`, `retry` and
`drop` are asked at the host that accepted the alert; others refuse, and name it. A file that comes with a signal stays on its host. A
destination without its secret is not known by its far end: that host's signals take its fallback, although other hosts could send them.
"""
