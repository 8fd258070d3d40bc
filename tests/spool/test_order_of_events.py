"""Order of events: when an event is emitted, the status already shows the state that it names."""

from __future__ import annotations

from pathlib import Path

import trio
from tests.core.fixture import config, opened
from tests.daemon.inprocess import importer

from tocsin import Client
from tocsind.events import Event, SpoolImported, SpoolProblem, SpoolRecovered


async def test_spool_problem_is_cleared_before_spool_imported_is_emitted(tmp_path: Path) -> None:
    seen: list[tuple[type[Event], bool]] = []
    taken = trio.Event()

    def note(event: Event) -> None:
        seen.append((type(event), spool.place is None))
        if isinstance(event, SpoolImported):
            taken.set()

    Client(str(tmp_path / "no-daemon"), spool=tmp_path / "spool").send("waits")
    async with opened(tmp_path) as fixture, trio.open_nursery() as nursery:
        fixture.core.config.current = config(reserve=2**62)
        spool = importer(tmp_path / "spool", fixture.journal, fixture.core, fixture.clock, note)
        nursery.start_soon(spool.run)
        await spool.first_pass_done.wait()
        fixture.core.config.current = config(reserve=0)
        await spool.catch_up()
        with trio.fail_after(30):
            await taken.wait()
        nursery.cancel_scope.cancel()
    assert [each for each in seen if each[0] in {SpoolProblem, SpoolRecovered, SpoolImported}] == [
        (SpoolProblem, True),
        (SpoolRecovered, False),
        (SpoolImported, False),
    ]
