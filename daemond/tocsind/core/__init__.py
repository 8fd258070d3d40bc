"""Accepting and settling: the two promises of the daemon, and the state that belongs to neither lanes nor connections.

    dispatch         accepts signals into the journal, hands deliveries to lanes, records outcomes
    admission        what the configuration makes of a signal: priority, destinations, deadline
    disk_guard       whether signals are accepted at present: not below the disk's reserve, not after a failed write
    operator         what people decide: retry, drop; and deliveries whose destination left the configuration
    waiters          clients that wait for the end of a signal (`send --wait`)
    client_webhooks  webhooks that programs bring along, where the configuration allows it

Law 1, written before promised: a receipt is made from what the journal answers after its commit. Law 3, attempt before request: `begin`
commits the attempt before a lane sends, `settle` commits the outcome before the lane forgets the delivery.
"""
