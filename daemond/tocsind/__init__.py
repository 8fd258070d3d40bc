"""tocsind, the daemon. This is the map: every noun, who owns it, and the walk of a signal.

    signal        what a program raised (tocsin.signals)        receipt       what its caller got back
    delivery      one signal owed to one destination            destination   discord, file, ...
    lane          all that waits for one destination            gate          says when the lane may send next
    channel       where lanes that share a far end take turns   scope         whose limit it is, and what it taught
    batch         what shares one message                       digest        many told in sum, when there are too many
    key           what makes signals one story                  living        the message that tells it, edited in place
    outcome       how an attempt ended                          breaker       rests a far end that fails
    settle        to write an outcome down                      dead          given up on, kept for a person
    journal       the durable record: SQLite                    fact          what happened, for log, metrics and tail
    trouble       what people should know of us                 alarm         the signal that tells them, by another road
    attachment    a file that goes along with a signal
    spool         the folder of outboxes                        outbox        a file to which one client process appends (tocsin.outbox)

The walk of a signal:

    program -- tocsin.send() --> its outbox: write, sync, receipt --inotify--> spool --> dispatch.take_in
    the first of a client, and what only we can judge --frame--> ipc --> dispatch.accept         (a task per connection)
                                                            | policy.routes: which destinations, which priority
                                                            | journal: enter, one group commit for all who wait
                          receipt of a frame, confirmation <-'  '-> the lanes are woken
    journal --> feeder --> channel (64) --> sender(priority) --> turn: gate, breaker --> journal: attempt on record
                                                 '--> destination.deliver(batch) --> outcome --> dispatch.settle

The journal is the queue, and memory is a window on it: a feeder reads what is queued in order into a bounded channel, whether it came
a moment ago or before a restart. A delivery in memory is only a hint; `dispatch.begin` claims it in the journal, and what was
dropped, expired or rerouted meanwhile is not there to be claimed. So whoever changes a delivery changes the journal, and nothing else.

Who may import whom, downwards only (tests/test_layers.py keeps it):

    start
    __main__
    demo
    daemon, testing
    monitor
    ipc
    status, keeper, alarms, last_alarm, heartbeat, preview, progress, watchdog
    reports
    roads, lanes, face, spool, metrics, exposition, troubles, log, tail, requests, state, systemd, process, service, versions
    dispatch, lane
    batches, gates, decisions
    sender, channel, rerouting, watchers, intake, reception, lending
    books
    journal, destinations
    rendering, config, attachments, accept_loop, sources
    clock, events, policy, damage
    secret, errors, form, webserver, loopback, log_writer, interrupts
    tocsin

What stands on one line knows nothing of its neighbours; `testing` is for demo and tests alone.

`policy` is pure. `dispatch` is the only place where journal and lanes meet (what people decide it hands to `decisions`), so that "written
before promised, settled before forgotten" can be proved by reading one file. Only `clock` reads a clock, every httpx import stands in
`destinations/http.py`, every sqlite3 import in `journal/`, and `log` and `metrics` observe `events`; `daemon` plugs them in.
"""

__version__ = "0.1.0"
