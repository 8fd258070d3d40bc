"""The demo: daemon, fake Discord and producers on loopback, in a temporary folder, in about ten seconds, with two failures.

    scenario       a fake Discord in this process; the daemon and three producers as processes of their own
    producer       one producer: a strategy that sends a signal every few milliseconds, and repeats it until it is stored
    progress_line  what the terminal shows meanwhile
    verdict        afterwards: looks every stored signal up at the fake, by its id

Discord answers 503 for a moment, and later the daemon is killed with -9 and started again. The verdict does not rely on the daemon: it
compares the producers' receipts with the messages that the fake has accepted.
"""

from .scenario import main

__all__ = ["main"]
