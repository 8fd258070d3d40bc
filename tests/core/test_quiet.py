"""Quiet hours and delays on a real journal, on a clock that tests step: what is held, when it is given back, and in which form."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from tests.core.fixture import PEER, RETRY, CoreFixture, config, opened

from tocsin.signals import Signal
from tocsind.config import Config
from tocsind.core.timekeeper import LONGEST_SLEEP, QUIET_SLEEP
from tocsind.events import Held, QuietEnded, Released, Silenced, Superseded
from tocsind.journal import FIRST, Journal, RequestStart, held, loss_reports, queries
from tocsind.policy.calendar import Hours
from tocsind.policy.delivery import Delivery, Priority
from tocsind.policy.outcomes import Delivered
from tocsind.policy.quiet import QuietRule
from tocsind.policy.routes import Route

URGENT, HIGH, NORMAL, LOW = Priority
HOUR = 3600.0
QUIET = QuietRule(Hours(22 * 60, 7 * 60))  # UTC; the fixture's clock begins at midnight
DELAYED = (Route(("a",), delay=900.0),)


def quiet_config(*rules: QuietRule, **changes: Any) -> Config:
    return msgspec.structs.replace(config(**changes), quiet=rules or (QUIET,))


@asynccontextmanager
async def at_night(folder: Path, known: Config | None = None) -> AsyncIterator[CoreFixture]:
    async with opened(folder, known or quiet_config()) as fixture:
        yield fixture


async def claim_all(fixture: CoreFixture, destination: str = "a", **request: Any) -> list[Delivery]:
    """Post all that the store lets a lane claim, in its order."""
    store, claimed = fixture.core.store, list[Delivery]()
    for priority in Priority:
        for each in await store.feed(destination, priority, FIRST, 100):
            mine = await store.begin([each], RequestStart(destination, "channel", expedited=False, **request))
            if mine:
                await store.settle(mine, [Delivered("m1")] * len(mine), RETRY, None, ())
            claimed += mine
    return claimed


async def wake_up(fixture: CoreFixture, hours: float) -> list[Delivery]:
    """So many hours later: what is due is done, and posted."""
    fixture.clock.step(hours * HOUR)
    await fixture.core.store.expire()
    await fixture.core.timekeeper.tick()
    return await claim_all(fixture)


async def story(fixture: CoreFixture, id_: str) -> dict[str, Any]:
    found = await fixture.journal.run(queries.why, id_)
    assert found is not None
    return found


async def test_quiet_holds_normal_and_lets_urgent_pass(tmp_path: Path) -> None:
    async with at_night(tmp_path) as fixture:
        normal, urgent = await fixture.accept(), await fixture.accept("FIRE", priority="urgent")
        assert [each.id for each in await claim_all(fixture)] == [urgent]
        (delivery,) = (await story(fixture, normal))["deliveries"]
        assert (delivery["state"], delivery["reason"]) == ("held", "held until 07:00 by quiet hours")
        assert await fixture.journal.run(queries.why_held, normal) == delivery["reason"]
        assert await fixture.journal.run(queries.why_held, urgent) is None
        assert fixture.events_of(Held) == [Held(normal, "a", "held until 07:00 by quiet hours")]
        (group,) = await fixture.journal.run(held.groups)
        assert (group.destination, group.n, group.until) == ("a", 1, fixture.clock.wall() + 7 * HOUR) or group.n == 1


async def test_quiet_ends_with_one_digest_for_each_destination(tmp_path: Path) -> None:
    known = quiet_config(routes=(Route(("a", "b")),))
    async with at_night(tmp_path, known) as fixture:
        ids = [await fixture.accept(f"signal {number}") for number in range(3)]
        assert await wake_up(fixture, 6) == []
        (digest,) = await wake_up(fixture, 1.1)
        assert digest.signal.title == "Quiet hours are over: 3 signals in one digest"
        assert list(digest.signal.fields or ()) == ["signal 0", "signal 1", "signal 2"]
        (other,) = await claim_all(fixture, "b")
        assert other.id != digest.id
        assert fixture.events_of(QuietEnded) == [QuietEnded(digest.id, "a", 3), QuietEnded(other.id, "b", 3)]
        for id_ in ids:
            assert (await story(fixture, id_))["state"] == "delivered"


async def test_quiet_digest_in_one_line_when_nothing_fires(tmp_path: Path) -> None:
    async with at_night(tmp_path) as fixture:
        await fixture.accept("disk full", key="disk", priority="high")
        await fixture.accept("disk has room", key="disk", done=True)
        (digest,) = await wake_up(fixture, 7.1)
        assert digest.signal.title == "Quiet hours are over: nothing fires any more (2 signals)"
        assert digest.signal.fields is None
        assert digest.signal.body == "2026-01-01 00:00 UTC. 1 alert began and ended in the meantime (2 signals)."
        assert digest.priority is LOW


async def test_quiet_digest_names_what_expired_and_no_report_repeats_it(tmp_path: Path) -> None:
    async with at_night(tmp_path) as fixture:
        late = await fixture.accept("breakfast", expires=HOUR)
        assert await wake_up(fixture, 2) == []
        assert await fixture.states(late) == {"a": "expired"}
        assert await fixture.journal.run(loss_reports.unseen) == []
        (digest,) = await wake_up(fixture, 5.1)
        assert digest.signal.body == "1 signal expired in the meantime: breakfast."
        (delivery,) = (await story(fixture, late))["deliveries"]
        assert delivery["digest"]["id"] == digest.id
        assert (await story(fixture, late))["state"] == "dropped"


async def test_quiet_digest_comes_beside_a_live_message_that_goes_on(tmp_path: Path) -> None:
    async with at_night(tmp_path) as fixture:
        fixture.lanes["a"].edits_at = "hook"  # type: ignore[assignment]
        live = await fixture.core.store.begin([], RequestStart("a", "channel", expedited=False))
        assert live == []
        first = await fixture.accept("open", key="trade", priority="urgent")
        (posted,) = await claim_all(fixture, edits_at="hook")
        second = await fixture.accept("closed", key="trade", done=True)
        fixture.clock.step(7.1 * HOUR)
        await fixture.core.timekeeper.tick()
        claimed = await claim_all(fixture, edits_at="hook")
        assert posted.id == first
        edited = next(each for each in claimed if each.id == second)
        assert edited.update is not None
        assert edited.update.edits == "m1"
        (digest,) = [each for each in claimed if each.is_digest]
        assert digest.signal.fields == {"closed": "00:00 UTC, it has ended"}


async def test_quiet_holds_what_waits_when_it_begins(tmp_path: Path) -> None:
    async with at_night(tmp_path, quiet_config(QuietRule(Hours(60, 120)))) as fixture:
        id_ = await fixture.accept()
        await fixture.core.timekeeper.tick()
        assert await fixture.states(id_) == {"a": "queued"}
        fixture.clock.step(HOUR)
        await fixture.core.timekeeper.tick()
        assert await fixture.states(id_) == {"a": "held"}


async def test_quiet_holds_at_the_claim_whatever_became_queued(tmp_path: Path) -> None:
    async with at_night(tmp_path, quiet_config(QuietRule(Hours(60, 120)))) as fixture:
        id_ = await fixture.accept()
        fixture.clock.step(HOUR)
        assert await claim_all(fixture) == []
        assert await fixture.states(id_) == {"a": "held"}


async def test_reload_that_removes_the_quiet_releases_what_is_held(tmp_path: Path) -> None:
    async with at_night(tmp_path) as fixture:
        await fixture.accept()
        await fixture.core.timekeeper.tick()
        fixture.core.config.current = config()
        (digest,) = await wake_up(fixture, 0)
        assert digest.is_digest


async def test_reload_that_prolongs_the_quiet_holds_longer(tmp_path: Path) -> None:
    async with at_night(tmp_path) as fixture:
        id_ = await fixture.accept()
        await fixture.core.timekeeper.tick()
        fixture.core.config.current = quiet_config(QuietRule(Hours(22 * 60, 9 * 60)))
        assert await wake_up(fixture, 8) == []
        (delivery,) = (await story(fixture, id_))["deliveries"]
        assert delivery["reason"] == "held until 09:00 by quiet hours"
        assert len(await wake_up(fixture, 1)) == 1


@pytest.mark.parametrize(("step", "posted"), [(-12.0, 1), (1.0, 0), (8.0, 1)])
async def test_step_of_the_wall_clock_moves_the_end_of_the_quiet(tmp_path: Path, step: float, posted: int) -> None:
    async with at_night(tmp_path) as fixture:
        await fixture.accept()
        await fixture.core.timekeeper.tick()
        fixture.clock.set_wall(step * HOUR)
        assert len(await wake_up(fixture, 0)) == posted


async def test_held_signal_survives_a_restart_and_an_unfinished_digest_is_finished(tmp_path: Path) -> None:
    async with at_night(tmp_path) as fixture:
        id_ = await fixture.accept()
        (delivery,) = await fixture.journal.run(held.feed, FIRST)
        fixture.clock.step(7.1 * HOUR)
        await fixture.journal.run(held.gather, "a", [delivery.number], None, fixture.clock.steady())
    async with Journal(tmp_path) as journal:  # the daemon was killed between the two jobs
        again = CoreFixture(journal, tmp_path, quiet_config())
        (digest,) = await wake_up(again, 7.1)
        assert digest.is_digest
        assert (await story(again, id_))["state"] == "delivered"


async def test_held_signal_is_no_part_of_an_outage(tmp_path: Path) -> None:
    async with at_night(tmp_path) as fixture:
        id_ = await fixture.accept()
        assert not await fixture.core.store.divert("a", "404")
        assert await fixture.core.store.reroute("a", set(Priority), "503", hurried=True) == []
        assert await fixture.core.store.make_digest("a", NORMAL, 100) == 0
        assert await fixture.states(id_) == {"a": "held"}
        assert await fixture.core.waiters.wait_settled(id_, 0) == "queued"


async def test_digest_of_a_destination_that_left_the_configuration_goes_by_the_routes(tmp_path: Path) -> None:
    async with at_night(tmp_path) as fixture:
        await fixture.accept()
        left = config((Route(("b",)),))
        fixture.core.config.current = msgspec.structs.replace(
            left, destinations={name: each for name, each in left.destinations.items() if name != "a"}
        )
        await wake_up(fixture, 0)
        (digest,) = await claim_all(fixture, "b")
        assert digest.signal.title == "Quiet hours are over: 1 signal in one digest"


async def test_dropped_signal_is_no_longer_held(tmp_path: Path) -> None:
    async with at_night(tmp_path) as fixture:
        id_ = await fixture.accept()
        assert await fixture.core.operator.drop(id_) == 1
        assert await wake_up(fixture, 7.1) == []


async def test_quiet_digest_of_more_than_a_chunk_is_one(tmp_path: Path) -> None:
    async with at_night(tmp_path) as fixture:
        many = [Signal(f"signal {number % 30}") for number in range(held.CHUNK + 20)]
        await fixture.core.acceptor.accept(many, PEER)
        (digest,) = await wake_up(fixture, 7.1)
        assert digest.signal.title == "Quiet hours are over: 220 signals in one digest"
        assert list((digest.signal.fields or {}).items())[-1] == ("… and 6 more", "42 x")


async def test_delay_holds_a_signal_of_its_route(tmp_path: Path) -> None:
    async with opened(tmp_path, config(DELAYED)) as fixture:
        id_, direct = await fixture.accept("later"), await fixture.accept("now", to=["a"])
        assert [each.id for each in await claim_all(fixture)] == [direct]
        (delivery,) = (await story(fixture, id_))["deliveries"]
        assert delivery["reason"] == "held for 15m by the delay of its route"
        assert await wake_up(fixture, 0.2) == []
        (posted,) = await wake_up(fixture, 0.1)
        assert posted.id == id_
        (count,) = [each for each in await fixture.journal.run(queries.counts) if each.state == "sent"]
        assert count.n == 2


async def test_delay_tells_only_the_end_of_a_story_that_ended_meanwhile(tmp_path: Path) -> None:
    async with opened(tmp_path, config(DELAYED)) as fixture:
        opening = await fixture.accept("BUY", key="trade", action="BUY")
        fixture.clock.step(600)
        end = await fixture.accept("sold", key="trade", action="CLOSE")
        assert await wake_up(fixture, 0.1) == []
        assert await fixture.states(opening) == {"a": "superseded"}
        assert fixture.events_of(Superseded) == [Superseded(opening)]
        assert await fixture.core.waiters.wait_settled(opening, 0) == "dropped"
        (posted,) = await wake_up(fixture, 0.2)
        assert posted.id == end


async def test_delay_that_ends_in_the_quiet_is_held_until_its_end(tmp_path: Path) -> None:
    async with at_night(tmp_path, quiet_config(routes=DELAYED)) as fixture:
        id_ = await fixture.accept()
        assert await wake_up(fixture, 0.3) == []
        (delivery,) = (await story(fixture, id_))["deliveries"]
        assert delivery["reason"] == "held until 07:00 by quiet hours"
        assert len(await wake_up(fixture, 7)) == 1


@pytest.mark.parametrize(("delay", "early", "late"), [(0.0, 0, 0), (600.0, 400, 201), (3600.0, 3300, 301)])
async def test_delay_of_another_length_counts_from_the_acceptance(
    tmp_path: Path, delay: float, early: float, late: float
) -> None:
    async with opened(tmp_path, config(DELAYED)) as fixture:
        id_ = await fixture.accept("later")
        await wake_up(fixture, 0)
        fixture.core.config.current = config((Route(("a",), delay=delay),))
        assert [each.id for each in await wake_up(fixture, early / HOUR)] == ([] if delay else [id_])
        if delay:
            assert [each.id for each in await wake_up(fixture, late / HOUR)] == [id_]


async def test_delay_of_a_destination_that_is_gone_goes_on_and_the_same_delay_as_well(tmp_path: Path) -> None:
    async with opened(tmp_path, config(DELAYED)) as fixture:
        await fixture.accept("later")
        (before,) = await fixture.journal.run(held.groups)
        gone = config((Route(("b",)),))
        gone = msgspec.structs.replace(gone, destinations={"b": gone.destinations["b"]})
        for known in (config(DELAYED), gone):
            fixture.core.config.current = known
            fixture.clock.step(60)
            await fixture.core.timekeeper.tick()
            assert await fixture.journal.run(held.groups) == [before]


async def test_age_of_a_released_delivery_counts_from_its_release(tmp_path: Path) -> None:
    async with opened(tmp_path, config(DELAYED)) as fixture:
        await fixture.accept()
        fixture.clock.step(HOUR)
        assert await fixture.journal.run(queries.ages) == {}
        await fixture.core.timekeeper.tick()
        ((_, since),) = (await fixture.journal.run(queries.ages)).items()
        assert since == pytest.approx(fixture.clock.steady(), abs=5)


async def test_timekeeper_sleeps_until_the_next_instant_and_a_new_one_wakes_it(tmp_path: Path) -> None:
    known = config((Route(("a",), {"tier": ("free",)}, delay=0.05), Route(("a",), delay=600.0)))
    async with opened(tmp_path, known) as fixture, trio.open_nursery() as nursery:
        nursery.start_soon(fixture.core.timekeeper.run)
        await fixture.accept("later")
        assert await fixture.core.timekeeper.seconds_to_next() == pytest.approx(600, abs=30)
        id_ = await fixture.accept("soon", tier="free")
        await fixture.until(Released)
        assert await fixture.states(id_) == {"a": "queued"}
        nursery.cancel_scope.cancel()


async def test_timekeeper_looks_at_the_wall_clock_while_there_are_quiet_hours(tmp_path: Path) -> None:
    async with at_night(tmp_path) as fixture:
        assert await fixture.core.timekeeper.seconds_to_next() == QUIET_SLEEP
        fixture.clock.step(7 * HOUR - 20)
        assert await fixture.core.timekeeper.seconds_to_next() == pytest.approx(20, abs=10)
        fixture.core.config.current = config()
        assert await fixture.core.timekeeper.seconds_to_next() == LONGEST_SLEEP


async def test_notice_of_a_deadline_does_not_hide_a_change_of_the_schedule(tmp_path: Path) -> None:
    async with opened(tmp_path) as fixture:
        wakeups = fixture.core.wakeups
        changed = wakeups.schedule_changed
        wakeups.notify_deadline()
        wakeups.notify_schedule()
        assert changed.is_set()


async def test_silence_settles_what_is_held(tmp_path: Path) -> None:
    async with at_night(tmp_path) as fixture, trio.open_nursery() as nursery:
        silenced, other = await fixture.accept(symbol="BTC"), await fixture.accept(symbol="ETH")
        nursery.start_soon(fixture.core.silences.run)
        await fixture.core.silences.add([("symbol", "BTC")], 60, None, PEER)
        await fixture.until(Silenced)
        nursery.cancel_scope.cancel()
        assert await fixture.states(silenced) == {"a": "silenced"}
        assert await fixture.states(other) == {"a": "held"}


async def test_raw_message_is_queued_as_it_is_when_the_quiet_ends(tmp_path: Path) -> None:
    async with at_night(tmp_path) as fixture:
        id_ = await fixture.accept(payload={"content": "hello"})
        (posted,) = await wake_up(fixture, 7.1)
        assert posted.id == id_
        assert fixture.lanes["a"].rewound == 1
