"""Accepting and settling: the daemon's two promises, and the state that belongs to neither lanes nor connections.

    accept           stores signals in the journal and makes receipts
    settle           the lanes' store: claims deliveries, records outcomes, moves deliveries to fallbacks
    saved_state      the part of it that saves and loads what outlives a restart
    quiet            what quiet hours and the delays of routes hold back, now
    timekeeper       does what is due at an instant: quiet hours begin and end, delays end, alerts are repeated
    wakeups          the running lanes, and the ways to wake them
    admission        what the configuration makes of a signal: priority, destinations, deadline
    hosts            which hosts signals come from
    active_config    the configuration in force
    disk_guard       whether the daemon accepts signals: not below the disk's reserve, not after a failed write
    operator         retry and drop; new destinations for deliveries whose destination left the configuration
    silences         which silence applies to a signal; begins and ends silences
    waiters          clients that wait until a signal is settled (`send --wait`)
    client_webhooks  webhooks that programs bring along, where the configuration allows it
    assembly         makes these parts and connects them

Law 1, written before promised: a receipt is made from what the journal answers after its commit. Law 3, attempt before request: `begin`
commits the attempt before a lane sends, `settle` commits the outcome before the lane forgets the delivery.

The parts share no object that leads to all the others: a component outside the core gets the parts that it needs, and the journal, in
its constructor (tests/test_layers.py checks that no module reaches the journal through another object).
"""
