"""The tables and their versions. `user_version` counts the migrations that a file has seen; a fresh file runs them all.

`waiting` is the queue: a partial index in the very order in which a feeder reads; digests, numbered below zero, come first in it. UNIQUE
(signal, destination) is the loop guard of fallbacks, and with the id's uniqueness it makes acceptance idempotent. AUTOINCREMENT, because a
number that retention freed must not be used again: feeders remember how far they read. Numbers below zero do not affect it.
"""

from __future__ import annotations

_FIRST = """
CREATE TABLE signals (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT NOT NULL UNIQUE,
    accepted    REAL NOT NULL,
    uid         INTEGER NOT NULL,
    pid         INTEGER NOT NULL,
    body        BLOB NOT NULL               -- the signal's fields, MessagePack
) STRICT;
CREATE INDEX ages ON signals (accepted);    -- for retention, which would else read every signal

CREATE TABLE deliveries (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    signal      INTEGER NOT NULL,
    destination TEXT NOT NULL,
    priority    INTEGER NOT NULL,
    state       TEXT NOT NULL,
    since       REAL NOT NULL,              -- when it entered this state
    reason      TEXT,                       -- and why
    deadline    REAL,
    attempts    INTEGER NOT NULL DEFAULT 0,
    first_try   REAL,
    doubt       INTEGER NOT NULL DEFAULT 0,
    unknowns    INTEGER NOT NULL DEFAULT 0,
    message     TEXT,                       -- the server's id
    UNIQUE (signal, destination)
) STRICT;
CREATE INDEX waiting ON deliveries (destination, priority, number) WHERE state = 'queued';
CREATE INDEX in_flight ON deliveries (number) WHERE state = 'sending';
CREATE INDEX dead ON deliveries (destination, number) WHERE state = 'dead';
CREATE INDEX deadlines ON deliveries (deadline) WHERE state = 'queued' AND deadline IS NOT NULL;

CREATE TABLE attempts (
    delivery    INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    started     REAL NOT NULL,
    ended       REAL,
    outcome     TEXT,
    reason      TEXT,
    PRIMARY KEY (delivery, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE requests (                     -- when the last request went to each channel; pacing must know it after a restart
    channel     TEXT NOT NULL,
    at          REAL NOT NULL,
    PRIMARY KEY (channel, at)
) STRICT, WITHOUT ROWID;

CREATE TABLE lanes (
    destination     TEXT PRIMARY KEY,
    about           TEXT NOT NULL,
    disabled        TEXT,
    failures        INTEGER NOT NULL,
    rests           INTEGER NOT NULL,
    rest_until      REAL,
    reason          TEXT,
    blocked_until   REAL,
    blocked_because TEXT,
    trips           INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tally (
    destination TEXT NOT NULL,
    priority    INTEGER NOT NULL,
    state       TEXT NOT NULL,
    n           INTEGER NOT NULL,
    PRIMARY KEY (destination, priority, state)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER count_new AFTER INSERT ON deliveries BEGIN
    INSERT INTO tally VALUES (NEW.destination, NEW.priority, NEW.state, 1)
        ON CONFLICT (destination, priority, state) DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER count_change AFTER UPDATE OF state ON deliveries WHEN NEW.state <> OLD.state BEGIN
    UPDATE tally SET n = n - 1 WHERE (destination, priority, state) = (OLD.destination, OLD.priority, OLD.state);
    INSERT INTO tally VALUES (NEW.destination, NEW.priority, NEW.state, 1)
        ON CONFLICT (destination, priority, state) DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER count_gone AFTER DELETE ON deliveries BEGIN
    UPDATE tally SET n = n - 1 WHERE (destination, priority, state) = (OLD.destination, OLD.priority, OLD.state);
END;
"""

# Limits: a block is the webhook's and not the lane's, so it moves to the webhook's row; two names may have led to one webhook.
# Requests: the old time was that of sending, and the best that is known of the answer's.
_SECOND = """
ALTER TABLE deliveries ADD COLUMN plain INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN digest INTEGER;       -- number of the digest's signal
CREATE INDEX digested ON deliveries (digest) WHERE digest IS NOT NULL;
ALTER TABLE signals ADD COLUMN stands_for INTEGER;      -- a digest: number of its originals

CREATE TABLE scopes (                       -- webhooks, channels, addresses: their blocks and learned limits
    scope           TEXT PRIMARY KEY,
    blocked_until   REAL,
    blocked_because TEXT,
    count           INTEGER,
    per             REAL,
    learned_at      REAL
) STRICT, WITHOUT ROWID;
INSERT INTO scopes (scope, blocked_until, blocked_because)
    SELECT 'endpoint:' || about, max(blocked_until), blocked_because FROM lanes WHERE blocked_until IS NOT NULL GROUP BY about;
ALTER TABLE lanes DROP COLUMN blocked_until;
ALTER TABLE lanes DROP COLUMN blocked_because;
ALTER TABLE lanes ADD COLUMN strikes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE lanes ADD COLUMN channel TEXT;

ALTER TABLE requests RENAME TO asked;
CREATE TABLE requests (                     -- the requests of each destination; pacing must know them after a restart
    number      INTEGER PRIMARY KEY,
    channel     TEXT NOT NULL,              -- the destination's channel at the time
    destination TEXT NOT NULL,
    sent        REAL NOT NULL,
    answered    REAL,
    pressing    INTEGER NOT NULL
) STRICT;
INSERT INTO requests (channel, destination, sent, answered, pressing) SELECT channel, channel, at, at, 0 FROM asked ORDER BY at;
DROP TABLE asked;
CREATE INDEX askers ON requests (destination, number);
CREATE INDEX unanswered ON requests (destination) WHERE answered IS NULL;
"""

_THIRD = """
CREATE TABLE redo (                         -- one row: the log's salt, and which of its records are in the tables
    salt        BLOB NOT NULL,
    applied     INTEGER NOT NULL
) STRICT;
INSERT INTO redo VALUES (randomblob(16), 0);
"""

# Live messages. Deliveries that wait already have no key here: each of them is sent by itself, in its order.
_FOURTH = """
ALTER TABLE deliveries ADD COLUMN key TEXT;             -- the signal's, to find other waiting deliveries of it
CREATE INDEX keyed ON deliveries (destination, key, signal) WHERE state = 'queued' AND key IS NOT NULL;
ALTER TABLE attempts ADD COLUMN edits TEXT;             -- the message; an attempt that edits is never ambiguous

CREATE TABLE living (                       -- the live message of one key at one destination
    destination TEXT NOT NULL,
    key         TEXT NOT NULL,
    about       TEXT NOT NULL,              -- hash of the webhook: a new one under an old name starts afresh
    message     TEXT,                       -- the server's id; none: the next state is posted
    newest      INTEGER NOT NULL,           -- number of the signal whose state it shows
    lines       BLOB NOT NULL,              -- the last states, MessagePack
    earlier     INTEGER NOT NULL,           -- states before those
    doubt       INTEGER NOT NULL,
    PRIMARY KEY (destination, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX shown ON living (newest);      -- retention deletes a key with its last state
"""

# Two clocks: the wall clock alone stamped all earlier rows; their skew is zero.
_FIFTH = """
ALTER TABLE signals ADD COLUMN skew REAL NOT NULL DEFAULT 0;    -- steady clock minus wall clock, at acceptance
DROP INDEX ages;
CREATE INDEX ages ON signals (accepted + skew);
CREATE TABLE boots (                        -- one row: the boot of the machine that this journal last ran in
    id          TEXT NOT NULL,
    base        REAL NOT NULL               -- the Unix time at which its boot clock was zero
) STRICT;
"""

# The length of a block when it was set: after a reboot the clock may be another one, and must not make a block longer.
_SIXTH = """
ALTER TABLE scopes ADD COLUMN blocked_for REAL;         -- seconds
"""

# Patience (policy.patience). Deliveries that wait at a fallback already have their patience there.
_SEVENTH = """
ALTER TABLE lanes ADD COLUMN failing_since REAL;        -- when the outage began
ALTER TABLE lanes ADD COLUMN failing_because TEXT;
ALTER TABLE deliveries ADD COLUMN hurried INTEGER NOT NULL DEFAULT 0;   -- patience was over at the destination before
"""

_EIGHTH = """
CREATE TABLE commits (                      -- one row: which journal this is, and how many commits it has seen (`mark`)
    id          BLOB NOT NULL,
    n           INTEGER NOT NULL,
    copied      REAL                        -- in a backup: when it was made
) STRICT;
INSERT INTO commits VALUES (randomblob(16), 0, NULL);
"""

# Reports (journal.loss_reports). What ended before this version is not reported.
_NINTH = """
CREATE INDEX hurrying ON deliveries (destination, priority, number) WHERE state = 'queued' AND hurried = 1;
CREATE TABLE unseen (                       -- deliveries that ended without arriving, until they are reported
    delivery    INTEGER PRIMARY KEY
) STRICT;
CREATE TRIGGER unseen_new AFTER INSERT ON deliveries WHEN NEW.state = 'dead' BEGIN
    INSERT OR IGNORE INTO unseen VALUES (NEW.number);
END;
CREATE TRIGGER unseen_ended AFTER UPDATE OF state ON deliveries
    WHEN NEW.state IN ('expired', 'dead', 'dropped') AND NEW.state <> OLD.state BEGIN
    INSERT OR IGNORE INTO unseen VALUES (NEW.number);
END;
CREATE TRIGGER unseen_again AFTER UPDATE OF state ON deliveries
    WHEN OLD.state IN ('expired', 'dead', 'dropped') AND NEW.state NOT IN ('expired', 'dead', 'dropped') BEGIN
    DELETE FROM unseen WHERE delivery = NEW.number;
END;
CREATE TRIGGER unseen_gone AFTER DELETE ON deliveries WHEN OLD.state IN ('expired', 'dead', 'dropped') BEGIN
    DELETE FROM unseen WHERE delivery = OLD.number;
END;
CREATE TABLE alarms (                       -- raised alarms, until their all-clear
    kind        TEXT NOT NULL,
    about       TEXT NOT NULL,
    since       REAL NOT NULL,              -- when the condition began
    told        REAL NOT NULL,
    road        TEXT NOT NULL,              -- the destination of the alarm
    PRIMARY KEY (kind, about)
) STRICT, WITHOUT ROWID;
"""

_TENTH = """
CREATE TABLE outboxes (                     -- position of each, written in the commit of its signals
    id          BLOB NOT NULL,              -- random
    uid         INTEGER NOT NULL,           -- of the owner: another user cannot use the id
    sequence    INTEGER NOT NULL,           -- the last record in the journal
    at          REAL NOT NULL,
    PRIMARY KEY (id, uid)
) STRICT, WITHOUT ROWID;
"""

# Silences (policy.silence). Times are on the steady clock.
_ELEVENTH = """
CREATE TABLE silences (
    id          TEXT PRIMARY KEY,
    keys        TEXT NOT NULL,              -- [[key, value], ...] as JSON
    uid         INTEGER NOT NULL,           -- of its owner
    since       REAL NOT NULL,
    until       REAL NOT NULL,
    reason      TEXT,
    ended_by    INTEGER,                    -- uid that ended it early
    signals     INTEGER NOT NULL DEFAULT 0, -- silenced by it
    highest     INTEGER,                    -- the highest priority among them
    reported    INTEGER                     -- how many of them the report of its end counted; none: it was not reported
) STRICT, WITHOUT ROWID;
"""

# Raw messages (rendering.raw). Before this version there were none.
_TWELFTH = """
ALTER TABLE signals ADD COLUMN raw INTEGER NOT NULL DEFAULT 0;  -- it goes as it is, and into no digest
"""

# Expectations (policy.expectation). Times are on the steady clock.
_THIRTEENTH = """
CREATE TABLE expectations (
    uid          INTEGER NOT NULL,          -- of the owner; -1: of alerts.toml
    name         TEXT NOT NULL,
    every        REAL NOT NULL,
    grace        REAL NOT NULL,
    priority     TEXT NOT NULL,
    destinations TEXT NOT NULL,             -- its own `to`, JSON
    counted      REAL NOT NULL,
    since        REAL NOT NULL,
    last         REAL,
    stage        TEXT NOT NULL,
    cause        TEXT,
    gap          REAL,
    message      TEXT,
    pid          INTEGER,                   -- of the watched process, with its start in ticks and the boot they belong to
    started      INTEGER,
    boot         TEXT,
    ending       TEXT,
    alarm        TEXT,                      -- id of the last alarm, and its destinations (JSON)
    alarmed      TEXT NOT NULL,
    PRIMARY KEY (uid, name)
) STRICT, WITHOUT ROWID;
"""

# Time (policy.quiet, policy.story, policy.repeat). `ends` of earlier deliveries is not known: their stories have not ended.
_FOURTEENTH = """
ALTER TABLE deliveries ADD COLUMN quiet_until REAL;     -- held by quiet hours; wall clock, because people set it
ALTER TABLE deliveries ADD COLUMN delayed_until REAL;   -- held by the delay of its route
ALTER TABLE deliveries ADD COLUMN released REAL;        -- when it was queued after it had been held
ALTER TABLE deliveries ADD COLUMN ends INTEGER NOT NULL DEFAULT 0;      -- it ends the story of its key
ALTER TABLE deliveries ADD COLUMN repeats INTEGER NOT NULL DEFAULT 0;   -- how often it was posted again; -1: it never is
ALTER TABLE deliveries ADD COLUMN repeat_at REAL;       -- when it is posted again, unless it is acknowledged
CREATE INDEX held ON deliveries (destination, quiet_until, delayed_until) WHERE state = 'held';
CREATE INDEX quiet ON deliveries (quiet_until) WHERE state = 'held' AND quiet_until IS NOT NULL;
CREATE INDEX delayed ON deliveries (delayed_until) WHERE state = 'held' AND delayed_until IS NOT NULL;
CREATE INDEX missed ON deliveries (quiet_until) WHERE state = 'expired' AND quiet_until IS NOT NULL AND digest IS NULL;
CREATE INDEX repeating ON deliveries (repeat_at) WHERE repeat_at IS NOT NULL;
CREATE INDEX stories ON deliveries (key, signal) WHERE key IS NOT NULL;
DROP INDEX deadlines;
CREATE INDEX deadlines ON deliveries (deadline) WHERE state IN ('queued', 'held') AND deadline IS NOT NULL;
CREATE TABLE acknowledged (                 -- signals that need no repetition any more
    signal      INTEGER PRIMARY KEY,
    uid         INTEGER NOT NULL,
    at          REAL NOT NULL
) STRICT;
CREATE TABLE acknowledged_stories (         -- of a key: until its story ends
    key         TEXT PRIMARY KEY,
    uid         INTEGER NOT NULL,
    at          REAL NOT NULL,
    newest      INTEGER NOT NULL            -- number of the newest signal of the key at that time
) STRICT, WITHOUT ROWID;
"""

# Deliveries that several hosts share (journal.shared).
_FIFTEENTH = """
CREATE TABLE shared (
    delivery    INTEGER PRIMARY KEY,
    id          TEXT NOT NULL UNIQUE,       -- over all hosts
    target      TEXT NOT NULL,
    origin      TEXT NOT NULL,              -- the host that accepted it
    stage       TEXT NOT NULL,
    since       REAL NOT NULL
) STRICT;
CREATE INDEX shared_open ON shared (target) WHERE stage IN ('begun', 'waits');
"""

# Whom this host has met (journal.shared), and deliveries that it took back from the engine.
_SIXTEENTH = """
CREATE TABLE met (                          -- the first host that this one has met
    host        TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
DROP INDEX shared_open;
CREATE INDEX shared_open ON shared (target) WHERE stage IN ('begun', 'waits', 'withdrawn');
"""

# The engine's epoch in which it got a shared delivery first (journal.epochs).
_SEVENTEENTH = """
ALTER TABLE shared ADD COLUMN epoch TEXT;    -- NULL: it was not handed over yet
"""

# For people: who sent a shared delivery, what was tried there, and what came between (journal.shared_view).
_EIGHTEENTH = """
ALTER TABLE shared ADD COLUMN sender TEXT;
ALTER TABLE shared ADD COLUMN tries BLOB;
ALTER TABLE shared ADD COLUMN note TEXT;
"""

# How often an operator requeued a delivery after its end was told to other hosts: its id there has the number (shared.items).
_NINETEENTH = """
ALTER TABLE deliveries ADD COLUMN retries INTEGER NOT NULL DEFAULT 0;
"""

MIGRATIONS = (
    _FIRST,
    _SECOND,
    _THIRD,
    _FOURTH,
    _FIFTH,
    _SIXTH,
    _SEVENTH,
    _EIGHTH,
    _NINTH,
    _TENTH,
    _ELEVENTH,
    _TWELFTH,
    _THIRTEENTH,
    _FOURTEENTH,
    _FIFTEENTH,
    _SIXTEENTH,
    _SEVENTEENTH,
    _EIGHTEENTH,
    _NINETEENTH,
)
