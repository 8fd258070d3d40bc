"""What hosts say of themselves, on the engine in memory and in virtual time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

import msgspec
import pytest
import trio
from hypothesis import example, given
from hypothesis import strategies as st

from tocsind.events import Event, HostForgotten, HostFound, HostMissing
from tocsind.secret import Secret
from tocsind.shared.engine import MAX_HOSTS, EngineAway, Noted
from tocsind.shared.identity import Identity
from tocsind.shared.presence import MAX_TEXT, MAX_TEXTS, NOTE_SECONDS, READ_SECONDS, Part, Presence, note_of, read_note
from tocsind.testing.clock import SteppedClock
from tocsind.testing.engine import MemoryEngine

PART = Part(["t"])
NOTHING: Mapping[str, int] = {}


class Host:
    """A host that says every few seconds what it does."""

    def __init__(
        self, engine: MemoryEngine, name: str, problems: Sequence[str] = (), queued: int = 0, target: str = "t"
    ) -> None:
        self.targets = [target]
        self.events: list[Event] = []
        self.presence = Presence(engine, Identity(name), SteppedClock(), self.events.append)
        self.problems = problems
        self.queued = queued
        self.presence.describe = self._describe

    async def _describe(self) -> tuple[str, Sequence[str], Mapping[str, int]]:
        return "degraded" if self.problems else "ok", self.problems, {"urgent": self.queued}

    async def run(self) -> None:
        while True:
            with suppress(EngineAway):
                await self.presence.step(Part(self.targets, ["d"], self.queued))
            await trio.sleep(NOTE_SECONDS)

    async def states(self) -> dict[str, str]:
        _, _, hosts = await self.presence.view(PART)
        return {each["host"]: each["state"] for each in hosts}


async def test_each_host_sees_the_others_and_itself_first(autojump_clock: trio.abc.Clock) -> None:
    engine = MemoryEngine()
    a, b = Host(engine, "a"), Host(engine, "b", ["the disk is full"], queued=3)
    await a.presence.step(Part(["t"], ["d", "e"]))
    await b.presence.step(Part(["t"], [], 2))
    await trio.sleep(4)
    age, failed, (first, second) = await b.presence.view(Part(["t"], ["f"], 2))
    assert (age, failed) == (0, None)
    assert (first["host"], first["here"], first["state"], first["seen_seconds"]) == ("b", True, "present", 0)
    assert (first["sends_for"], first["kept"], first["problems"]) == (["f"], 2, ["the disk is full"])
    assert (second["host"], second["here"], second["state"], second["seen_seconds"]) == ("a", False, "present", 4)
    assert (second["sends_for"], second["health"]) == (["d", "e"], "ok")


async def test_a_host_that_says_nothing_is_absent_and_one_that_stops_is_not(autojump_clock: trio.abc.Clock) -> None:
    engine = MemoryEngine()
    a, b, c = (Host(engine, name) for name in "abc")
    for each in (a, b, c):
        await each.presence.step(PART)
    await c.presence.leave()
    await trio.sleep(10)
    await a.presence.step(PART)
    assert await a.states() == {"a": "present", "b": "absent", "c": "stopped"}


async def test_last_known_hosts_are_shown_while_the_engine_is_away(autojump_clock: trio.abc.Clock) -> None:
    engine = MemoryEngine()
    a, b = Host(engine, "a"), Host(engine, "b")
    engine.away = True
    assert (await a.presence.view(PART))[0] is None
    assert await a.states() == {"a": "present"}
    engine.away = False
    await b.presence.step(PART)
    await a.presence.step(PART)
    engine.away = True
    await trio.sleep(30)
    age, failed, (_, other) = await a.presence.view(PART)
    assert failed is not None
    assert (age, other["state"], other["seen_seconds"]) == (30, "unknown", 30)


async def test_one_host_reports_a_missing_one_and_its_return(autojump_clock: trio.abc.Clock) -> None:
    engine = MemoryEngine()
    found = [Host(engine, name, queued=number) for number, name in enumerate("abc")]
    async with trio.open_nursery() as nursery:
        for each in found[:2]:
            nursery.start_soon(each.run)
        with trio.CancelScope() as life:
            with trio.move_on_after(100):
                await found[2].run()
            life.cancel()
        await trio.sleep(55)
        assert not [event for each in found for event in each.events]
        await trio.sleep(9)
        (missing,) = [event for each in found for event in each.events]
        assert isinstance(missing, HostMissing)
        assert (missing.host, missing.kept, missing.queued) == ("c", 2, 2)
        assert 60 <= missing.seconds < 66
        await found[2].presence.step(PART)
        await trio.sleep(4)
        assert [event for each in found for event in each.events] == [missing, HostFound("c")]
        nursery.cancel_scope.cancel()


async def test_a_host_of_others_that_use_the_same_engine_is_not_reported(autojump_clock: trio.abc.Clock) -> None:
    engine = MemoryEngine()
    a, b, c = Host(engine, "a"), Host(engine, "b", target="of others"), Host(engine, "c")
    await b.presence.step(Part(b.targets))
    await c.presence.step(Part(c.targets))
    with trio.move_on_after(200):
        await a.run()
    assert [event.host for event in a.events if isinstance(event, HostMissing)] == ["c"]


async def test_view_of_hosts_does_not_wait_for_an_engine_that_hangs(autojump_clock: trio.abc.Clock) -> None:
    class Hanging(MemoryEngine):
        async def hosts(self) -> list[Noted]:
            await trio.sleep(3600)
            return []

    began = trio.current_time()
    assert await Host(Hanging(), "a").states() == {"a": "present"}
    assert trio.current_time() - began <= 2


async def test_notes_of_other_hosts_are_not_older_than_half_a_minute(autojump_clock: trio.abc.Clock) -> None:
    engine = MemoryEngine()
    a, b = Host(engine, "a"), Host(engine, "b")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(a.run)
        nursery.start_soon(b.run)
        await trio.sleep(1000)
        engine.away = True
        age, _, (_, other) = await a.presence.view(PART)
        assert age is not None
        assert age <= READ_SECONDS + NOTE_SECONDS
        assert other["state"] == "unknown"
        nursery.cancel_scope.cancel()


async def test_a_host_that_stopped_as_it_should_is_not_reported(autojump_clock: trio.abc.Clock) -> None:
    engine = MemoryEngine()
    a, b = Host(engine, "a"), Host(engine, "b")
    await b.presence.step(PART)
    await b.presence.leave()
    with trio.move_on_after(200):
        await a.run()
    assert a.events == []


async def test_no_host_is_reported_right_after_an_outage_of_the_engine(autojump_clock: trio.abc.Clock) -> None:
    engine = MemoryEngine()
    a, b = Host(engine, "a"), Host(engine, "b")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(a.run)
        nursery.start_soon(b.run)
        await trio.sleep(100)
        engine.away = True
        await trio.sleep(300)
        engine.away = False
        await trio.sleep(100)
        nursery.cancel_scope.cancel()
    assert a.events + b.events == []


async def test_a_host_that_stays_away_for_a_day_is_not_looked_for_any_more(autojump_clock: trio.abc.Clock) -> None:
    engine = MemoryEngine()
    a, b = Host(engine, "a"), Host(engine, "b")
    await b.presence.step(PART)
    for _ in range(1500):
        await a.presence.step(PART)
        await trio.sleep(60)
    assert [type(event) for event in a.events] == [HostMissing, HostForgotten]
    assert await a.states() == {"a": "present"}


async def test_the_note_of_a_stranger_or_another_version_is_named(autojump_clock: trio.abc.Clock) -> None:
    engine = MemoryEngine()
    await engine.note("b", b"\xff no note")
    await engine.note("not a name!", b"")
    _, _, hosts = await Host(engine, "a").presence.view(PART)
    assert [(each["host"], bool(each["problems"])) for each in hosts] == [("a", False), ("b", True)]


async def test_the_engine_in_memory_keeps_the_latest_hosts_only(autojump_clock: trio.abc.Clock) -> None:
    engine = MemoryEngine()
    for number in range(MAX_HOSTS + 1):
        await engine.note(f"h{number}", b"")
        await trio.sleep(0.01)
    assert len(await engine.hosts()) == MAX_HOSTS
    assert "h0" not in {each.host for each in await engine.hosts()}


def test_a_note_has_no_secret() -> None:
    secret = Secret("a-password-of-the-engine")
    note = note_of(("degraded", [f"refused {secret.reveal()}"], NOTHING), Part(["t"], ["d"]))
    assert secret.reveal().encode() not in msgspec.msgpack.encode(note)


@given(st.lists(st.text(max_size=400), max_size=40), st.lists(st.text(max_size=400), max_size=40))
def test_a_note_is_small_and_comes_back_as_it_was(problems: list[str], names: list[str]) -> None:
    note = note_of(("ok", problems, {"urgent": 1, "low": 10**9}), Part(["t"], names, 7))
    assert read_note(msgspec.msgpack.encode(note)) == note
    assert max(len(note.problems), len(note.sends_for)) <= MAX_TEXTS
    assert all(len(text) <= MAX_TEXT for text in (*note.problems, *note.sends_for))


@example(b"\x91\xa1\x80")  # a text that is none
@given(st.binary(max_size=60))
def test_no_bytes_break_the_reader(packed: bytes) -> None:
    note = read_note(packed)
    assert note is None or all(len(text) <= MAX_TEXT for text in note.problems)


@pytest.mark.parametrize("texts", [["x" * 10_000], ["x"] * 10_000])
def test_a_note_of_another_host_is_cut(texts: list[str]) -> None:
    note = read_note(
        msgspec.msgpack.encode(["v" * 999, "ok", texts, texts, [1, 2, 3, 4, 5, 6], 0, False, texts, "a new field"])
    )
    assert note is not None
    assert len(note.version) == MAX_TEXT
    assert max(len(note.problems), len(note.sends_for)) <= MAX_TEXTS
