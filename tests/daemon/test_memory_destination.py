"""The shipped destination that answers by a script."""

from __future__ import annotations

import trio

from tocsin.signals import Signal
from tocsind.destinations import Destination
from tocsind.policy.batch import Share
from tocsind.policy.delivery import Delivery, Priority
from tocsind.policy.outcomes import Deferred, Delivered, Place, Refused, Report, Told
from tocsind.testing.memory import Answer, MemoryDestination

BATCH = [Delivery(number, Signal(f"{number}"), "d", Priority.LOW, 0.0, company=number) for number in (1, 2)]


async def test_a_line_of_the_script_is_one_outcome_for_all_or_one_for_each_or_the_whole_report(
    autojump_clock: trio.testing.MockClock,
) -> None:
    whole = Report((Delivered(), Refused("400")), Told(5, 0, 2.0), invalid=True)
    script: list[Answer] = [Deferred("503"), (Delivered("m"), Refused("400")), whole]
    destination: Destination = MemoryDestination(script, otherwise=Refused("404"), most=2)
    assert [await destination.deliver(BATCH) for _ in range(4)] == [
        Report((Deferred("503"), Deferred("503"))),
        Report((Delivered("m"), Refused("400"))),
        whole,
        Report((Refused("404"), Refused("404"))),
    ]


async def test_it_leads_where_its_script_says_and_then_to_its_channel() -> None:
    gone = Place(trouble=Refused("404", disable=True))
    destination = MemoryDestination(places=[gone], channel="123")
    assert [await destination.locate() for _ in range(2)] == [gone, Place("123")]
    assert len(destination.located) == 2
    assert await MemoryDestination().locate() == Place()


def test_a_delivery_takes_what_it_is_said_to_take() -> None:
    plain, sized = (
        MemoryDestination(),
        MemoryDestination(room=10, size=lambda each: each.number, key=lambda each: each.id),
    )
    assert [plain.share(each) for each in BATCH] == [Share(company=1), Share(company=2)]
    assert [sized.share(each) for each in BATCH] == [Share(each.number, each.id, each.number) for each in BATCH]
    assert (sized.room, sized.most) == (10, 1)


def test_a_preview_shows_what_would_go() -> None:
    assert MemoryDestination().preview(BATCH)["payload"] == {"titles": ["1", "2"]}
