"""Expectations: programs that should beat at least every so often, and the alarm when one does not.

    register   the owner of all expectations: beats, goodbyes, configuration, and the one task that notices what is due
    entry      one expectation: its state (policy.expectation), its settings, its row in the journal and its view
    watches    a task for each watched process
    process    the process behind an expectation: its identity, its end (pidfd), how it ended
    texts      the alarm and the all-clear

A beat is a request on the socket. It names the process that sent it (SO_PEERCRED), if that is to be watched: when it ends without a
goodbye, its pidfd becomes readable and the alarm follows at once. Pid, identity and boot id find it again after a restart of the daemon,
which opens its pidfd once more. A process that ended while the daemon was down is not reported as such, because its goodbye may have been
lost as well: the next beat is due instead. After a reboot of the machine no process of before is watched.

Written before done: a new expectation is in the journal before its client gets the answer; that one is late is committed before the alarm
is stored, and the alarm's id follows from that commit, so a kill between any two of these neither loses an alarm nor repeats one. Beats are
committed at most ten times in `every` (and once a second), because a lost one costs nothing: after a restart the daemon assumes that it was
away when a beat came.

The alarm is a signal of the routes whose source is the expectation's name, by which it can be routed and silenced. Its all-clear goes where
the alarm went, and ends the story of its key: repetitions stop, quiet hours and delays send the end only.
"""

from .register import Beat, Expectations, ExpectRefused

__all__ = ["Beat", "ExpectRefused", "Expectations"]
