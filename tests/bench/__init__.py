"""How fast, and against what. Nothing here gates a test run: machines are noisy, so a figure means something only beside another one
that was measured a moment before, on the same disk, in the same process.

    a bench         a module with `measure(size) -> Table`; runs alone (`python -m tests.bench.b1_handoff`) or with the others
    a handoff       something that takes a body and has it safe when `put` returns: the daemon, the floor, a peer
    the floor       the least that the promise costs on this machine in this language: no queue, no journal, no checks
    a peer          another program that makes the same promise, in its durable mode; left out by name where it is not installed

Three rules keep the figures honest. What is compared is interleaved (A B C A B C ...), so that a busy minute hits all alike, and a
ratio is taken within its round; what is told is the median over the rounds. What a handoff still does behind its caller's back is
waited for (`rest`) before the next one is measured. And the measuring process is a plain program as a user's would be: it loads
nothing that would make the client faster (msgspec), which is why this package uses the standard library where the rest of the house
would not.
"""
