"""The policy against models of Discord's rate limits, in virtual time: one second simulates fifteen minutes of trading.

    world      virtual time: a heap of events, and the one source of random numbers; a seed determines a run
    server     counts as Discord may: a limit for each webhook, shown by headers or not, and one for the channel, which is never shown
    wire       latency: the server counts a request at some instant between its sending and its response
    workload   the signals that programs hand over, and when
    sender     the code under test: `tocsin` (policy, with the rules of a lane), on a `host` that keeps its journal across power
               cuts; and `baselines`, which send as other programs do
    scenario   one run of all these; `many` runs use all processors
    record     arrivals with times; refusals by scope; signals that were lost, overtaken or sent twice
    floor      the least time in which a burst can be sent

Discord does not publish how it counts, and the ways differ at the edge of a window: so a scenario names one of the models
of `tocsind.testing.limits` for the webhook and one for the channel, and the goals must hold for all of them. The server's clock
differs from the daemon's by up to an hour, which moves the edges of its windows and must change nothing else.

No trio, no sockets, no real clock. `python -m tests.simulator --seed N --model ... --workload ...` prints the events of one run; a failing
test prints that line.
"""
