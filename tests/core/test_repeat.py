"""Alerts that are posted again until they are acknowledged, on a real journal and a clock that tests step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.core.fixture import PEER, CoreFixture, config, opened
from tests.core.test_quiet import QUIET, claim_all, story

from tocsind.config import Config
from tocsind.events import AcknowledgedBy, Repeated, Unacknowledged
from tocsind.journal import Journal, queries
from tocsind.policy.delivery import Delivery
from tocsind.policy.repeat import Repeat
from tocsind.policy.routes import Route

EVERY = 300.0


def repeating(most: int = 2, routes: tuple[Route, ...] = (Route(("a",)),)) -> Config:
    known = config(routes)
    options = {
        name: msgspec.structs.replace(each, repeat=Repeat(urgent=EVERY, most=most)) if name != "c" else each
        for name, each in known.destinations.items()
    }
    return msgspec.structs.replace(known, destinations=options)


async def later(
    fixture: CoreFixture, seconds: float = EVERY + 1, destination: str = "a", **request: Any
) -> list[Delivery]:
    """So many seconds later: what is due is done, and posted."""
    fixture.clock.step(seconds)
    await fixture.core.store.expire()
    await fixture.core.timekeeper.tick()
    return await claim_all(fixture, destination, **request)


async def first(fixture: CoreFixture, **fields: Any) -> str:
    """An urgent alert that has been posted once."""
    id_ = await fixture.accept("FIRE", **{"priority": "urgent", **fields})
    assert [each.id for each in await claim_all(fixture)] == [id_]
    return id_


async def test_alert_is_repeated_and_then_the_fallback_is_told_once(tmp_path: Path) -> None:
    async with opened(tmp_path, repeating()) as fixture:
        id_ = await first(fixture)
        assert await later(fixture, EVERY - 10) == []
        assert [each.repeats for each in [*await later(fixture, 11), *await later(fixture)]] == [1, 2]
        assert await fixture.states(id_) == {"a": "sent"}
        assert await later(fixture) == []
        (told,) = await claim_all(fixture, "b")
        assert told.id == id_
        assert await later(fixture) == await later(fixture, destination="b") == []  # b repeats too, but not this
        assert fixture.events_of(Unacknowledged) == [Unacknowledged(id_, "a", 2, "b")]
        assert len(fixture.events_of(Repeated)) == 2
        deliveries = (await story(fixture, id_))["deliveries"]
        assert deliveries[0]["reason"] == "not acknowledged after 2 repetitions: told b"
        assert len(deliveries[0]["attempts"]) == 3


async def test_only_the_configured_priorities_are_repeated(tmp_path: Path) -> None:
    async with opened(tmp_path, repeating()) as fixture:
        await first(fixture, priority="high")
        assert await later(fixture) == []


async def test_ack_by_id_ends_the_repetitions_everywhere(tmp_path: Path) -> None:
    async with opened(tmp_path, repeating(routes=(Route(("a", "b")),))) as fixture:
        id_ = await first(fixture)
        assert len(await claim_all(fixture, "b")) == 1
        done = await fixture.core.operator.acknowledge(id_.lower(), PEER)
        assert done is not None
        assert (done.id, done.key, done.stopped) == (id_, None, 2)
        assert await later(fixture) == await later(fixture, destination="b") == []
        assert fixture.events_of(AcknowledgedBy) == [AcknowledgedBy(id_, None, 2, PEER.uid, PEER.pid)]
        assert (await story(fixture, id_))["acknowledged"]["uid"] == PEER.uid


async def test_ack_between_two_requests_takes_the_repetition_back(tmp_path: Path) -> None:
    async with opened(tmp_path, repeating()) as fixture:
        id_ = await first(fixture)
        fixture.clock.step(EVERY + 1)
        await fixture.core.timekeeper.tick()
        assert await fixture.states(id_) == {"a": "queued"}
        await fixture.core.operator.acknowledge(id_, PEER)
        assert await fixture.states(id_) == {"a": "sent"}
        assert await claim_all(fixture) == []


async def test_ack_before_the_first_message_means_no_repetition(tmp_path: Path) -> None:
    async with opened(tmp_path, repeating()) as fixture:
        id_ = await fixture.accept("FIRE", priority="urgent")
        await fixture.core.operator.acknowledge(id_, PEER)
        assert len(await claim_all(fixture)) == 1
        assert await later(fixture) == []


async def test_ack_of_an_unknown_id_or_key_is_none(tmp_path: Path) -> None:
    async with opened(tmp_path, repeating()) as fixture:
        assert await fixture.core.operator.acknowledge("trade-1", PEER) is None


async def test_ack_by_key_covers_the_story_until_it_ends(tmp_path: Path) -> None:
    async with opened(tmp_path, repeating()) as fixture:
        id_ = await first(fixture, key="disk")
        done = await fixture.core.operator.acknowledge("disk", PEER)
        assert done is not None
        assert (done.id, done.key, done.stopped) == (None, "disk", 1)
        await first(fixture, key="disk")
        assert await later(fixture) == []
        await first(fixture, key="disk", done=True)
        assert await later(fixture) == []
        again = await first(fixture, key="disk")  # another story
        assert [each.id for each in await later(fixture)] == [again]
        assert "acknowledged" in await story(fixture, id_)
        assert "acknowledged" not in await story(fixture, again)


async def test_end_of_the_story_ends_the_repetitions(tmp_path: Path) -> None:
    async with opened(tmp_path, repeating()) as fixture:
        await first(fixture, key="disk")
        await first(fixture, key="disk", done=True)
        assert await later(fixture) == []


async def test_newer_signal_of_a_key_takes_over(tmp_path: Path) -> None:
    async with opened(tmp_path, repeating()) as fixture:
        await first(fixture, key="disk")
        newer = await first(fixture, key="disk")
        assert [each.id for each in await later(fixture)] == [newer]


async def test_repetition_of_a_live_message_is_posted_again(tmp_path: Path) -> None:
    async with opened(tmp_path, repeating()) as fixture:
        await fixture.accept("FIRE", priority="urgent", key="disk")
        (posted,) = await claim_all(fixture, edits_at="hook")
        (again,) = await later(fixture, edits_at="hook")
        assert posted.update is not None
        assert again.update is not None
        assert again.update.is_repost
        assert again.update.edits is None


async def test_expired_alert_is_not_repeated(tmp_path: Path) -> None:
    async with opened(tmp_path, repeating()) as fixture:
        id_ = await first(fixture, expires=EVERY)
        assert await later(fixture) == []
        assert await fixture.states(id_) == {"a": "sent"}


async def test_repetition_waits_for_the_end_of_quiet_hours_that_name_urgent(tmp_path: Path) -> None:
    async with opened(tmp_path, repeating()) as fixture:
        id_ = await first(fixture)
        rule = msgspec.structs.replace(QUIET, when={"priority": ("urgent",)})
        fixture.core.config.current = msgspec.structs.replace(fixture.core.config.current, quiet=(rule,))
        assert await later(fixture) == []
        assert await fixture.states(id_) == {"a": "sent"}
        assert [each.repeats for each in await later(fixture, 7 * 3600)] == [1]


async def test_reload_without_repeat_ends_the_repetitions(tmp_path: Path) -> None:
    async with opened(tmp_path, repeating()) as fixture:
        await first(fixture)
        fixture.core.config.current = config()
        assert await later(fixture) == []


async def test_repetition_survives_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path, repeating()) as fixture:
        id_ = await first(fixture)
    async with Journal(tmp_path) as journal:
        again = CoreFixture(journal, tmp_path, repeating())
        assert [each.id for each in await later(again)] == [id_]


@pytest.mark.parametrize("most", [1, 5])
async def test_most_counts_the_repetitions(tmp_path: Path, most: int) -> None:
    async with opened(tmp_path, repeating(most)) as fixture:
        await first(fixture)
        posted = [each.repeats for _ in range(most + 3) for each in await later(fixture)]
        assert posted == list(range(1, most + 1))
        assert {each.state for each in await fixture.journal.run(queries.counts)} == {"sent", "queued"}
