"""Pure decisions. This package never acts.

It imports no trio, httpx, os, sqlite, logging, random or clock. `now` and jitter are parameters. Every question about time is one question:
when? `ready_at(now)` returns `now` for "now", a later instant for "not before", and infinity for "only after another event". Questions
change nothing; methods such as `acquire`, `succeeded` and `failed` do. So all tests of this package use plain numbers and never wait.

    outcomes        how an attempt ended: four cases; and what the response says about pace
    delivery        a delivery, its states, and the next state after each outcome
    late_news       what another host's news of a delivery changes, also when it had ended here
    backoff         how long until the next attempt
    bucket          at most so many requests in so long, at an even pace
    reserve         how many tokens of a bucket are kept for URGENT and HIGH
    rate_limits     limits by scope (webhook, channel, host); blocks; limits learned from responses
    limiter         when a request of this priority may leave: all limits together
    window          which deliveries of a lane are in memory, and when to read more
    batch           which deliveries share a message
    live_message    one message per key, edited in place
    live_update     the deliveries that one update of such a message shows
    digest          which deliveries one digest replaces when too many wait
    breaker         failures in a row: rest, then one probe
    patience        long outages: which deliveries move to fallbacks, and when
    refusals        when refusals show that the destination itself refuses
    liveness        whether what should move does move
    alarm_throttle  when an alarm is due, and when again
    heartbeat       whether deliveries work
    expectation     when a program that should beat is late, and when it is back
    calendar        hours of the day in a time zone, as instants
    quiet           which signals quiet hours hold, and until when
    quiet_digest    what the digest at their end contains
    story           which signal ends the story of a key
    repeat          when an alert is posted again until it is acknowledged
    routes          which destinations, which priority, which fallback
    silence         which signals are stored and not sent for a while
    sources         the source names that are reserved for the daemon

Limiter and breaker are separate on purpose: a rate limit never opens a breaker, and a failing server never changes a limit. The lane asks
both and uses the later instant.
"""
