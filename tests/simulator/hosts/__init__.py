"""Several hosts that share one webhook, in virtual time: the real daemon from acceptance to messages, the lanes, the hub and its leases.

    cluster    a run: hosts, workload, faults, and what became of it
    host       a disk, a clock of its own, and a daemon that can be killed, stopped and started again
    life       one run of a daemon, through which it touches the world
    journal    the journal's jobs on a database in memory, without a thread
    way        a host's way to the engine, which takes time and may be cut
    discord    the webhook: counts as a model of the server does (tests.simulator.server), and remembers what came

Only what would need a thread, a socket or a file's sync is replaced, as trio's clock jumps to the next instant when all tasks wait. The
engine is that of `tocsind.testing.engine`: tests/shared holds it and Redis to one contract.
"""
