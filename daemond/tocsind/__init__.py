"""tocsind, the daemon. This page is the map: the words, the path of a signal, and which package may import which.

Glossary. Code, log, status and documentation use one word for each thing.

    signal        an alert that a program raised (tocsin.signals)
    receipt       what the program got back: stored, spooled, duplicate, refused or dropped, with the reason
    outbox        a file in the spool to which one client process appends its signals (tocsin.outbox)
    spool         the folder of outboxes, and of the files that come with signals
    journal       the durable queue and ledger: SQLite
    delivery      one signal owed to one destination
    destination   where deliveries go: discord, file
    lane          the queue of one destination: four senders (one per priority), one limiter, one circuit breaker
    limiter       says when the next request may leave: rate limits by scope (webhook, channel, host), a reserve for urgent signals
    turn queue    lets lanes that share a channel send one request at a time
    batch         the deliveries that share one message
    attempt       one request for a batch, on record before it leaves
    outcome       how an attempt ended: delivered, deferred, refused, unknown
    settle        to record an outcome
    dead          a delivery given up on and kept for a person; `tocsin retry` requeues it
    live message  the message that tells the story of one key and is edited in place
    story         the signals of one key, until one ends it
    quiet hours   a daily time in which matching signals are held; one digest for each destination when it ends
    delay         how long a route holds its signals
    repetition    an alert posted again, because it is not acknowledged
    silence       keys and a time; signals that match are stored and not sent
    expectation   a program that is expected to beat; its beats; an alarm when one does not come, or the process dies
    digest        one message that sums up many signals
    fallback      a destination that stands in; patience says how long its own destination may fail first
    event         something that happened: log, metrics, feed and alarms observe events
    condition     what is wrong with the daemon or a destination, from when on, and why; an alarm reports it

The path of a signal:

    program -- tocsin.send() --> its outbox: write, sync, receipt --inotify--> spool --> core.accept
    a message over HTTP  --> http --> the daemon's own outbox: write, sync, 204 --inotify--> spool --> core.accept
    a client's first signal, and other languages  --frame--> ipc --> core.accept          (one task per connection)
                                                            | policy.routes: which destinations, which priority
                                                            | journal: append, one group commit for all waiting jobs
                          receipt of a frame, confirmation <-'  '-> the lanes are woken
    journal --> sender(priority): window (64) --> turn queue --> turn: limiter, breaker --> journal: attempt on record
                                                 '--> destination.deliver(batch) --> outcome --> core.settle

The journal is the queue, and memory is a window on it: each sender reads queued deliveries in order into a bounded window
(`policy.window`), whether they came a moment ago or before a restart. A delivery in memory is only a hint: `begin` claims it in the
journal, and a delivery that was dropped, expired or rerouted in the meantime cannot be claimed. A change of a delivery is therefore always
a change of the journal.

The packages:

    core          accepts signals and settles deliveries; the two laws are proved here
    delivery      lanes: wait, take a turn, send, learn
    spool         imports outboxes
    shared        several hosts, one channel: the engine, leases, what is handed over; imported only with [shared]
    expectations  reports programs that do not beat
    ipc           the Unix socket: connections, requests, answers
    http          the HTTP listener: routes, tokens, monitoring, the page
    page          what the page at `/` shows: overview, last hour, search
    observe       reads everything and changes nothing: status, metrics, log, alarms, heartbeat
    journal       SQLite: schema, jobs, recovery, backup
    policy        pure decisions on plain numbers
    destinations  one module per kind, its table of answers, the HTTP client
    rendering     deliveries as messages
    attachments   files that come with signals
    config        alerts.toml
    host          the machine: systemd, Unix socket files, state folder, process limits
    service       `tocsind service install`
    setup         `tocsind init` and `tocsind check`
    discord_api   what Discord's webhook API accepts, and its answers to the rest
    testing       the fake Discord, memory stores and clocks, for the demo and the tests only
    demo          `tocsin demo`

Two modules start all of it: `daemon` (start order, reload, shutdown) and `components` (makes each component, with what it needs).

Imports go downwards only (tests/test_layers.py checks this table):

    start
    __main__
    demo
    daemon, testing, service, setup
    components
    http, ipc
    page
    observe
    delivery, expectations, shared, spool
    core
    journal, destinations
    host, attachments, rendering
    config
    clock, events, policy, discord_api
    secret, errors, http_server
    tocsin

Packages on one line do not import each other; only demo and tests import `testing`.

`policy` is pure. Only `clock` reads a clock, httpx is imported by `destinations/http.py` alone, sqlite3 by `journal/` alone, and `daemon`
connects the observers to the events.
"""

__version__ = "0.1.0"
