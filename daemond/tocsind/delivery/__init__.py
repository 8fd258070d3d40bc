"""Lanes: the queue of each destination, and the tasks that send it.

supervisor     starts, stops and replaces lanes when the configuration changes
lane           one destination: restore, discover its channel, serve, divert while disabled
condition      ready, limited, failing, probing or disabled: decides the word and the reason
lane_view      what observers may know of a lane: a frozen snapshot
attempt        one turn: claim a batch, deliver, learn, settle
feedback       what a response changes: breaker, limits, outage, refusals
discovery      asks for the channel; the same query is the probe during an outage
senders        the four senders of a lane
sender         one priority of a lane: reads the journal into a window (`policy.window`), waits in the turn queue
turns          lanes that share a channel send one request at a time: expedited priorities first, then the longest wait
batcher        which deliveries share the next batch
limiters       which destinations share a rate limit, and what of a limit is saved over a restart
rerouting      moves deliveries to a fallback when patience is over, and finds out when the destination is back
trouble        why a lane does not deliver, for hosts that share its destination
housekeeping   deadlines, retention, disk space, digests
store          what lanes and limiters need of the journal, as protocols
"""
