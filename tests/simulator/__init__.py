"""Policy against servers that count, in virtual time: what the gate does in fifteen minutes of trading is known in a second of testing.

    world      virtual time: a heap of what will happen, and the one source of chance; a seed is a whole run, to be had again
    server     counts as Discord may: a limiter for each webhook, told by headers or not, and the channel's, which nothing tells
    wire       between the two: latency, and the server counts a request at some instant between its sending and its answer
    workload   who hands over which signals and when
    sender     what is tested: `tocsin` (policy, with the rules of a lane around it), on a `host` that keeps its journal over power
               cuts; and `baselines`, which do what others do
    scenario   one run of all that; `many` are run on all processors
    book       what arrived when; what was refused by whom; who was lost, overtaken or sent twice
    floor      the arithmetic: how soon could it have been over at all?

Nobody outside knows how Discord counts, and the ways differ exactly at the edge of a window: so a scenario names one of the models
of `tocsind.testing.limits` for the webhook and one for the channel, and what is claimed is claimed for all of them. The server's clock
stands up to an hour off ours, which moves the edges of its windows and must move nothing else.

No trio, no sockets, no real clock. `python -m tests.simulator --seed N --model ... --workload ...` tells the story of one run; a failing
test prints that line.
"""
