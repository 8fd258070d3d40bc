"""B1: how long a caller waits until its signal is on disk, beside the floor and beside peers with the same guarantee.

The headline is `tocsin stored`: a daemon that at the same time delivers each signal to a file. `lane off` is the same daemon with that
destination switched off, so the difference is the cost of delivery; `stopped` and `hung` have no daemon that answers. `to Discord` and the
two rows after it compare a daemon alone with one that shares its channel with other hosts, and with one whose engine hangs.
B3 (`received`, `none`) and
B2's `send_many` are measured in the same rounds, beside the floor with their guarantee, a trio echo without a disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from .command import Size, main
from .daemons import SWITCHED_OFF, Tocsin, TocsinHung, TocsinMany, TocsinSocket, TocsinStopped
from .floors import DurableFloor, TrioFloor
from .handoff import BODY_BYTES, Handoff, interleaved
from .peers import PEERS
from .sharing import EngineDown, Shared, ToDiscord
from .table import Row, Table, over_rounds, percentile

HEADLINE = "tocsin stored"
ALONE = "tocsin stored, to Discord"
MANY = 100
_MICRO = 1e6
_COUNTS = {Size.TINY: (1, 3), Size.QUICK: (5, 100), Size.FULL: (15, 200)}  # rounds, puts in each


@dataclass(frozen=True)
class Measured:
    """Seconds of a handoff by round, and those of its reference."""

    thing: Handoff
    rounds: list[list[float]]
    floor: list[list[float]]

    def row(self) -> Row:
        """Median over the rounds; the ratio is taken within each."""
        figures = {
            "p50 us": over_rounds(self.rounds, 50) * _MICRO,
            "p99 us": over_rounds(self.rounds, 99) * _MICRO,
            **{
                f"p{rank} x floor": median(
                    percentile(own, rank) / percentile(floor, rank)
                    for own, floor in zip(self.rounds, self.floor, strict=True)
                )
                for rank in (50, 99)
            },
        }
        if isinstance(self.thing, TocsinMany):
            figures["signals per s"] = self.thing.each * _MICRO / figures["p50 us"]
        return Row(self.thing.name, figures)


def measure(size: Size) -> Table:
    """The table of B1, B2's send_many and B3."""
    rounds, puts = _COUNTS[size]
    durable = [
        DurableFloor(),
        Tocsin(HEADLINE),
        Tocsin("tocsin stored, lane off", config=SWITCHED_OFF),
        TocsinStopped("tocsin spooled, daemon stopped"),
        TocsinHung("tocsin, daemon hung"),
        TocsinSocket("tocsin stored, over the socket"),
    ]
    durable_peers = [*shared(), *(peer() for peer in PEERS)]
    quick = [TrioFloor(), Tocsin("tocsin received", ack="received"), Tocsin("tocsin none", ack="none")]
    many = [TocsinMany(f"tocsin send_many({MANY}) stored", MANY)]
    present = [thing for thing in durable_peers if not thing.missing()]
    with standing([*durable, *present, *quick, *many]) as things:
        seconds = interleaved(things, rounds, puts)
        daemons = [thing for thing in things if isinstance(thing, Tocsin)]
        counts = {"sent": sum(t.sent for t in daemons), "accounted for": sum(t.accounted_for() for t in daemons)}
    floors = {id(thing): group[0].name for group in ([*durable, *present, *many], quick) for thing in group}
    return Table(
        bench="b1",
        title=f"a {BODY_BYTES}-byte signal handed over by one caller; headline: {HEADLINE}",
        rows=[Measured(t, seconds[t.name], seconds[floors[id(t)]]).row() for t in things],
        counts=counts,
        left_out={peer.name: reason for peer in durable_peers if (reason := peer.missing())},
        notes=[
            f"medians over {rounds} interleaved rounds of {puts}; received and none: x the trio echo",
            _beside(seconds),
            _steadiness(seconds[durable[0].name]),
        ],
    )


def shared() -> list[Handoff]:
    """A daemon alone, and with an engine."""
    return [ToDiscord(ALONE), Shared(f"{ALONE}, [shared]"), EngineDown(f"{ALONE}, [shared], engine hung")]


def _beside(seconds: dict[str, list[list[float]]]) -> str:
    """How rows with an engine compare with the one without."""
    found = []
    for name in (name for name in seconds if name.startswith(f"{ALONE}, ")):
        rounds = list(zip(seconds[name], seconds[ALONE], strict=True))
        ratios = [median(percentile(own, rank) / percentile(alone, rank) for own, alone in rounds) for rank in (50, 99)]
        found.append(f"{name.removeprefix(ALONE + ', ')} {ratios[0]:.2f} and {ratios[1]:.2f}")
    return f"x {ALONE}, p50 and p99: {'; '.join(found) or 'nothing to compare'}"


def _steadiness(floor: list[list[float]]) -> str:
    """Shows how steady the floor was: on a disk in use by other programs the floor varies, and the ratios are too good."""
    found = [percentile(seconds, 50) * _MICRO for seconds in floor]
    return f"the floor's own p50 went from {min(found):,.0f} to {max(found):,.0f} us between rounds; the closer, the better"


@contextmanager
def standing(things: Sequence[Handoff]) -> Iterator[Sequence[Handoff]]:
    """Start all handoffs, each in its own folder, and stop them afterwards."""
    with TemporaryDirectory() as folder, ExitStack() as stack:
        for number, thing in enumerate(things):
            own = Path(folder, str(number))
            own.mkdir()
            stack.callback(thing.stop)
            thing.start(own)
        yield things


if __name__ == "__main__":
    main({"b1": measure})
