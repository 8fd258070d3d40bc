"""The shipped destination that answers by a script."""

from __future__ import annotations

import trio

from tocsin.signals import Signal
from tocsind.destinations import Destination
from tocsind.policy.batch import Footprint
from tocsind.policy.delivery import Delivery, Priority
from tocsind.policy.outcomes import ChannelInfo, Deferred, Delivered, RateHeaders, Refused, Report
from tocsind.testing.memory import Answer, MemoryDestination

BATCH = [Delivery(number, Signal(f"{number}"), "d", Priority.LOW, 0.0, max_batch=number) for number in (1, 2)]


async def test_memory_destination_script_line_is_an_outcome_or_a_report(
    autojump_clock: trio.testing.MockClock,
) -> None:
    whole = Report((Delivered(), Refused("400")), RateHeaders(5, 0, 2.0), invalid=True)
    script: list[Answer] = [Deferred("503"), (Delivered("m"), Refused("400")), whole]
    destination: Destination = MemoryDestination(script, otherwise=Refused("404"), most=2)
    assert [await destination.deliver(BATCH) for _ in range(4)] == [
        Report((Deferred("503"), Deferred("503"))),
        Report((Delivered("m"), Refused("400"))),
        whole,
        Report((Refused("404"), Refused("404"))),
    ]


async def test_memory_destination_finds_scripted_channels_first() -> None:
    gone = ChannelInfo(problem=Refused("404", disable=True))
    destination = MemoryDestination(places=[gone], channel="123")
    assert [await destination.discover() for _ in range(2)] == [gone, ChannelInfo("123")]
    assert len(destination.located) == 2
    assert await MemoryDestination().discover() == ChannelInfo()


def test_memory_destination_footprint_is_as_configured() -> None:
    plain, sized = (
        MemoryDestination(),
        MemoryDestination(room=10, size=lambda each: each.number, key=lambda each: each.id),
    )
    assert [plain.footprint(each) for each in BATCH] == [Footprint(max_batch=1), Footprint(max_batch=2)]
    assert [sized.footprint(each) for each in BATCH] == [Footprint(each.number, each.id, each.number) for each in BATCH]
    assert (sized.max_chars, sized.max_items) == (10, 1)


def test_memory_destination_preview_shows_what_would_be_sent() -> None:
    assert MemoryDestination().preview(BATCH)["payload"] == {"titles": ["1", "2"]}
