"""The law: this room decides and never acts.

No trio, httpx, os, sqlite, logging, random or clock is imported here; `now` and jitter are parameters, and every question about time
is one question: when? `ready_at(now)` answers `now` for yes, a later instant for not before, and infinity for "ask me after something
happens". Asking changes nothing; `take`, `succeeded` and `failed` do. So the whole room is tested with plain numbers, and nothing waits.

    outcomes   how an attempt ended: four words; and what its answer told of pace
    delivery   what a delivery is, its states, and what each outcome makes of it
    backoff    how long until the next try
    bucket     at most so many in so long, and an even pace within it
    reserve    how much of it is kept for those who press
    scopes     whose limit it is: an endpoint's, a channel's, an address's; blocks, and what they taught
    gate       when may this priority send: all of these at once
    window     which deliveries of a lane are in memory, and when to read more
    batch      which deliveries share a message
    living     what shares a message over time, edited in place
    telling    the deliveries that such a message tells
    digest     what is told in sum when there is too much to tell
    breaker    when they fail in a row: rest, then one probe
    patience   when they fail for long: fallbacks deliver what waits, and who of them
    refusals   when they say that a destination refuses everything
    progress   whether what ought to move does
    alarms     which trouble of ours is told, and when again
    heartbeat  whether deliveries work
    routes     which destinations, which priority, which fallback

Pace (gate) and health (breaker) are kept apart on purpose: a rate limit never trips a breaker, and a broken far end never teaches the
gate anything. The lane asks both and takes the later answer.
"""
