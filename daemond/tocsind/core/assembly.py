"""Makes the parts of the core and connects them to each other. The daemon gives every other component the parts that it needs."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tocsin import paths
from tocsind.attachments import Attachments
from tocsind.clock import Clock
from tocsind.config import Config
from tocsind.events import Emit
from tocsind.journal import Journal

from .accept import Acceptor
from .active_config import ActiveConfig
from .admission import Admission
from .disk_guard import DiskGuard
from .hosts import Hosts
from .operator import Operator
from .quiet import Quiet
from .settle import JournalStore
from .silences import Silences
from .timekeeper import Timekeeper
from .waiters import Waiters
from .wakeups import Wakeups


class Core(NamedTuple):
    """The parts. For the place that starts the daemon; a component takes single parts in its constructor, never all of them."""

    config: ActiveConfig
    acceptor: Acceptor
    store: JournalStore
    operator: Operator
    silences: Silences
    timekeeper: Timekeeper
    waiters: Waiters
    wakeups: Wakeups
    disk_guard: DiskGuard
    attachments: Attachments
    hosts: Hosts


def assemble(  # noqa: PLR0917 - called by `components` and by tests
    journal: Journal,
    config: Config,
    clock: Clock,
    emit: Emit,
    folder: Path,
    jitter: Callable[[], float] = random.random,
    make_store: Callable[..., JournalStore] = JournalStore,
) -> Core:
    """The core on an open journal in the state folder `folder`."""
    active, waiters, wakeups = ActiveConfig(config), Waiters(journal), Wakeups()
    quiet = Quiet(active, clock)
    hosts = Hosts()
    disk_guard = DiskGuard(journal, active, folder, emit)
    attachments = Attachments(folder, Path(paths.spool_folder(str(folder))))
    store = make_store(
        journal,
        active,
        disk_guard=disk_guard,
        waiters=waiters,
        wakeups=wakeups,
        quiet=quiet,
        clock=clock,
        emit=emit,
        jitter=jitter,
    )
    silences = Silences(journal, store.withdrawn, waiters, clock, emit)
    admission = Admission(active, clock, silences.matching, quiet, hosts)
    operator = Operator(journal, admission, store.withdrawn, waiters=waiters, wakeups=wakeups, clock=clock, emit=emit)
    timekeeper = Timekeeper(
        journal, active, quiet, store=store, operator=operator, waiters=waiters, wakeups=wakeups, clock=clock, emit=emit
    )
    return Core(
        active,
        Acceptor(journal, admission, disk_guard=disk_guard, attachments=attachments, wakeups=wakeups, emit=emit),
        store,
        operator,
        silences,
        timekeeper,
        waiters,
        wakeups,
        disk_guard,
        attachments,
        hosts,
    )
