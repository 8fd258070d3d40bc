"""An engine that loses data: the last commands before a replica takes its place, or everything, also when a host dies."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from tests.shared.conftest import RedisServer
from tests.shared.fleet import BATCH, Fleet, freeze, fresh_fleet

pytestmark = pytest.mark.slow
NUMBERS = count()


@pytest.fixture(scope="module")
def module_fleet() -> Iterator[Fleet]:
    with fresh_fleet() as found:
        yield found


@pytest.fixture
def fleet(module_fleet: Fleet) -> Fleet:
    module_fleet.heal()
    return module_fleet


def lose_tail(fleet: Fleet) -> tuple[list[str], RedisServer]:
    """Titles that a replica knows as waiting, and the replica: cut off before 40 of them arrived."""
    replica = fleet.engine.replica(fleet.folder / f"replica{next(NUMBERS)}")
    titles = fleet.handed_over(40)
    fleet.await_known(replica, titles)
    replica.command("REPLICAOF", "127.0.0.1", "1")
    fleet.fake.release()
    fleet.await_arrived(titles, 40)
    return titles, replica


def test_a_failover_that_forgets_the_last_steps_loses_nothing_and_doubles_nothing_but_one_request(
    fleet: Fleet,
) -> None:
    titles, replica = lose_tail(fleet)
    holder = fleet.holder()
    fleet.fail_over(replica)
    again = fleet.check(titles)
    if fleet.holder() is holder:  # on a machine that stands still for seconds another host may have come first
        assert max(again, fleet.marks(titles)) <= BATCH


def test_a_failover_that_forgets_the_last_steps_and_the_death_of_the_holder_doubles_nothing_unmarked(
    fleet: Fleet,
) -> None:
    titles, replica = lose_tail(fleet)
    holder = fleet.holder()
    holder.kill()
    fleet.fail_over(replica)
    fleet.await_settled(titles)
    holder.start()
    assert fleet.check(titles, limited=True) > 0


def test_an_engine_that_forgets_everything_at_the_death_of_the_holder_loses_nothing(fleet: Fleet) -> None:
    titles = fleet.handed_over(40)
    fleet.fake.release()
    fleet.await_arrived(titles, 40)
    holder = fleet.holder()
    freeze(holder.process)
    fleet.engine.command("FLUSHALL")
    holder.kill()
    fleet.await_arrived(titles, 60)
    holder.start()
    fleet.check(titles, limited=True)
