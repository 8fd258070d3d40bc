"""Benchmarks, each measured beside a reference. They decide no test run: machines are noisy, so only the ratio to a figure
measured a moment before, on the same disk, in the same process, means anything.

    a bench         a module with `measure(size) -> Table`; runs alone (`python -m tests.bench.b1_handoff`) or with the others
    a handoff       a queue whose `put` returns when the body is stored: the daemon, the floor, a peer
    the floor       the least that the guarantee costs on this machine in this language: no queue, no journal, no checks
    a peer          another program with the same guarantee, in its durable mode; skipped by name if it is not installed

Three rules keep the figures honest. What is compared is interleaved (A B C A B C ...), so that a busy minute hits all alike, and a
ratio is taken within its round; tables show the median over the rounds. Work that a handoff does after its return is
waited for (`rest`) before the next one is measured. And the measuring process is a plain program as a user's would be: it loads
nothing that would make the client faster (msgspec), which is why this package uses the standard library where the rest of the house
would not.
"""
