"""The report of a silence's end: by the routes, once, also after a restart and on a full disk."""

from __future__ import annotations

from math import inf
from pathlib import Path

from tests.core.fixture import PEER
from tests.daemon.inprocess import InProcess, destination, in_process

from tocsin.signals import Signal
from tocsind.events import SilenceReported
from tocsind.journal import queries
from tocsind.observe.alarm_routes import AlarmRoutes
from tocsind.observe.silence_reports import SilenceReports


def reports(here: InProcess) -> SilenceReports:
    core = here.core
    routes = AlarmRoutes(core.config, here.lanes)
    return SilenceReports(core.silences, core.acceptor, routes, config=core.config, clock=here.clock, emit=here.record)


async def reported(here: InProcess) -> list[dict[str, object]]:
    """The signals that report an end."""
    ids = [event.id for event in here.events if isinstance(event, SilenceReported)]
    stories = [await here.journal.run(queries.why, id_) for id_ in ids]
    return [story["signal"] for story in stories if story]


async def silence(here: InProcess, signals: int) -> str:
    """The id of a silence of a minute that is over, with so many signals."""
    made = await here.core.silences.add([("symbol", "BTC")], 60, "deploy", PEER)
    await here.accept(*(f"signal {n}" for n in range(signals)), symbol="BTC", priority="high")
    here.clock.step(61)
    return made.id


async def test_report_counts_the_signals_and_names_owner_and_reason(tmp_path: Path) -> None:
    async with in_process(tmp_path) as here:
        await here.apply(destination("a"))
        await silence(here, 14)
        assert await reports(here).send_due() == inf
        (report,) = await reported(here)
        assert report["title"] == "Silence over: 14 signals silenced"
        assert report["body"] == (
            "symbol=BTC, by uid 1000, for 1m.\nReason: deploy\n"
            "The highest priority was high.\nWhich they are: tocsin queue --state silenced"
        )
        assert (report["source"], report["priority"], report["to"]) == ("tocsin", "normal", ["a"])  # no route takes it


async def test_report_of_an_unused_silence_is_low(tmp_path: Path) -> None:
    async with in_process(tmp_path) as here:
        await here.apply(destination("a"))
        await silence(here, 0)
        await reports(here).send_due()
        (report,) = await reported(here)
        assert (report["title"], report["priority"]) == ("Silence over: no signal matched", "low")


async def test_report_comes_once_for_each_count(tmp_path: Path) -> None:
    async with in_process(tmp_path) as here:
        await here.apply(destination("a"))
        await silence(here, 1)
        for _ in range(2):
            await reports(here).send_due()
        (ended,) = [event.silence for event in here.events if isinstance(event, SilenceReported)]
        late = "UPDATE silences SET signals = 2 WHERE id = ?"  # a commit that came after the report
        await here.journal.run(lambda connection: connection.execute(late, (ended,)).rowcount)
        await reports(here).send_due()
        titles = [report["title"] for report in await reported(here)]
        assert titles == ["Silence over: 1 signal silenced", "Silence over: 2 signals silenced"]


async def test_report_waits_for_the_end(tmp_path: Path) -> None:
    async with in_process(tmp_path) as here:
        await here.apply(destination("a"))
        await here.core.silences.add([("symbol", "BTC")], 60, None, PEER)
        assert 50 < await reports(here).send_due() <= 60
        assert not await reported(here)


async def test_killed_run_reports_once(tmp_path: Path) -> None:
    """The report was stored, and its mark was not: the next run stores the same id again, which the journal has."""
    async with in_process(tmp_path) as here:
        await here.apply(destination("a"))
        await silence(here, 1)
        await reports(here).send_due()
        unmarked = "UPDATE silences SET reported = NULL"
        await here.journal.run(lambda connection: connection.execute(unmarked).rowcount)
        await reports(here).send_due()
        first, second = [event for event in here.events if isinstance(event, SilenceReported)]
        assert first.id == second.id
        count = "SELECT count(*) FROM signals WHERE id = ?"
        assert await here.journal.run(lambda connection: connection.execute(count, (first.id,)).fetchone()) == (1,)
        assert Signal("x").id != first.id
