"""Makes the parts by which a host takes part, for `components`. The engine is Redis or Valkey."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from tocsind.clock import Clock
from tocsind.config import SharedOptions
from tocsind.config.shared import EngineAddress, address_of
from tocsind.core.active_config import ActiveConfig
from tocsind.core.hosts import Hosts
from tocsind.core.operator import Operator
from tocsind.core.settle import JournalStore
from tocsind.events import Emit
from tocsind.journal import Journal

from .engine import Engine
from .hub import Hub
from .identity import identity_of
from .leases import Lanes
from .redis_engine import RedisEngine
from .store import SharedStore
from .targets import Targets


def address(options: SharedOptions) -> EngineAddress:
    """Where the engine of a configuration with one is."""
    found = address_of(options.url.reveal()) if options.url else None
    assert found is not None, "the configuration was checked"
    return msgspec.structs.replace(found, ca=options.ca)


def store_maker(
    options: SharedOptions, folder: Path, clock: Clock, engine: Engine | None = None
) -> Callable[..., SharedStore]:
    """Makes the store of the lanes from the parts that JournalStore takes. `engine` replaces that of the configuration."""

    def targets(config: ActiveConfig) -> Targets:
        return Targets(config, clock, degrades=options.on_outage == "degrade")

    identity = identity_of(folder)
    return partial(SharedStore, engine=engine or RedisEngine(address(options)), targets=targets, identity=identity)


def make_hub(
    options: SharedOptions,
    journal: Journal,
    store: JournalStore,
    lanes: Lanes,
    *,
    hosts: Hosts,
    operator: Operator,
    clock: Clock,
    emit: Emit,
) -> Hub:
    """The tasks of this host. `store` is the one that `store_maker` made."""
    assert isinstance(store, SharedStore), "store_maker made it"
    return Hub(journal, store, lanes, clock, emit, name=address(options).name, hosts=hosts, operator=operator)
