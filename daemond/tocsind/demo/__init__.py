"""The demo: all of it on loopback, in a temporary folder, in some ten seconds, with the two nights that matter.

    stage      the play: a fake Discord in this process, the daemon and three producers as processes of their own
    producer   one producer: a strategy that raises a signal every few milliseconds and insists until it is stored
    screen     what a person sees meanwhile
    verdict    afterwards: every stored signal is looked for at the fake, by its id

In mid-play Discord answers 503 for a moment, and later the daemon is killed with -9 and started again. The verdict does not believe the
daemon: it compares what the producers hold receipts for with what the fake has accepted.
"""

from .scenario import main

__all__ = ["main"]
