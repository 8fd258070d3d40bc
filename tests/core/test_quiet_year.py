"""A year of quiet hours and delays in virtual time, in three zones, over both changes of the clocks, on a real journal.

The destination is the simplest that there is: what the store lets it claim is posted. So the test sees what is let through, and
the oracle of quiet hours is a clock in the zone (`tests.policy.test_calendar`), not the daemon's own calendar.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import msgspec
import pytest
from tests.core.fixture import RETRY, CoreFixture, config, opened
from tests.harness import memory_folder
from tests.policy.test_calendar import NIGHT, comes_twice, shows_quiet

from tocsind.journal import FIRST, RequestStart, held, queries
from tocsind.policy.calendar import Hours
from tocsind.policy.delivery import Delivery, Priority
from tocsind.policy.outcomes import Delivered
from tocsind.policy.quiet import QuietRule
from tocsind.policy.routes import Route

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
NEXT_YEAR = datetime(2027, 1, 1, tzinfo=UTC).timestamp()
DELAY = 10_000.0
ROUTES = (Route(("a",), continues=True), Route(("b",), {"tier": ("free",)}, delay=DELAY))
KEYS = (None, None, None, "disk", "btc")


class Year:
    """The world: signals come, time passes, and what may be posted is posted."""

    def __init__(self, fixture: CoreFixture, hours: Hours, seed: int) -> None:
        self.fixture, self.hours, self.random = fixture, hours, Random(seed)
        self.sent: dict[str, tuple[str, Priority]] = {}
        self.posted = list[tuple[Delivery, float]]()
        fixture.clock.step(NEW_YEAR - fixture.clock.wall())

    async def pass_time(self) -> None:
        """Until the next change of the quiet, or for some hours."""
        now = self.fixture.clock.wall()
        until = min(self.hours.next_change(now), now + self.random.expovariate(1 / 15_000))
        self.fixture.clock.step(until - now)
        await self.settle()

    async def settle(self) -> None:
        """The daemon does what is due, and all that may be posted is posted."""
        await self.fixture.core.store.expire()
        await self.fixture.core.timekeeper.tick()
        for each in await self.fixture.journal.run(queries.counts):
            while each.state == "queued" and (found := await self._queue(each.destination, each.priority)):
                await self.post(each.destination, found)

    async def _queue(self, destination: str, priority: Priority) -> list[Delivery]:
        return await self.fixture.core.store.feed(destination, priority, FIRST, 10)

    async def post(self, destination: str, found: list[Delivery]) -> None:
        store = self.fixture.core.store
        claimed = await store.begin(found, RequestStart(destination, "channel", expedited=False))
        self.posted += [(each, self.fixture.clock.wall()) for each in claimed]
        if claimed:
            await store.settle(claimed, [Delivered()] * len(claimed), RETRY, None, ())

    async def send(self) -> None:
        priority, key = self.random.choice(list(Priority)), self.random.choice(KEYS)
        id_ = await self.fixture.accept(
            f"signal {len(self.sent)}",
            priority=priority.label,
            key=key,
            tier=self.random.choice(["free", None]),
            done=self.random.random() < 0.3 or None if key else None,
            expires=self.random.choice([None, None, None, 3600, 40_000]),
        )
        self.sent[id_] = id_, priority


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
async def test_a_year_of_quiet_nights_loses_nothing_and_posts_nothing_at_night(zone: str) -> None:
    with memory_folder() as folder:
        await live_through_a_year(folder, zone)


async def live_through_a_year(folder: Path, zone: str) -> None:
    hours = Hours(*NIGHT, zone=ZoneInfo(zone))
    known = msgspec.structs.replace(config(ROUTES), quiet=(QuietRule(hours),))
    async with opened(folder, known) as fixture:
        year = Year(fixture, hours, seed=len(zone))
        while fixture.clock.wall() < NEXT_YEAR:
            await year.pass_time()
            if year.random.random() < 0.6:
                await year.send()
        while await fixture.journal.run(held.groups):
            await year.pass_time()
        await year.settle()

        for delivery, at in year.posted:
            assert delivery.priority is Priority.URGENT or not shows_quiet(hours, at) or comes_twice(hours.zone, at)
            assert delivery.deadline is None or at < delivery.deadline
        ends = Counter[str]()
        for id_ in year.sent:
            ends.update((await fixture.states(id_)).values())
        assert set(ends) <= {"sent", "digested", "expired", "superseded"}
        assert min(ends.values()) > 1
        await assert_digests_are_complete(year)


async def assert_digests_are_complete(year: Year) -> None:
    """Each digest counts what points to it, and names what still fires."""
    digests = {each.id: each.signal for each, _ in year.posted if each.is_digest}
    members: dict[str, int] = Counter()
    for id_ in year.sent:
        story = await year.fixture.journal.run(queries.why, id_)
        assert story is not None
        for each in story["deliveries"]:
            if "digest" in each:
                members[each["digest"]["id"]] += 1
                assert each["digest"]["state"] == "delivered"
    assert members.keys() == digests.keys()
    assert len(digests) > 300
    for id_, signal in digests.items():
        story = await year.fixture.journal.run(queries.why, id_)
        assert story is not None
        assert story["stands_for"] == members[id_]
        assert f"{members[id_]} signal" in signal.title
