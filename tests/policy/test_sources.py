"""The source "tocsin" is reserved for the daemon; a client's signal that claims it gets another one."""

from __future__ import annotations

import pytest

from tocsin.signals import Signal
from tocsind.policy.sources import DAEMON_SOURCE, is_reserved, note, without_reserved_source


@pytest.mark.parametrize(
    "source",
    [
        "tocsin",
        "Tocsin",
        " tocsin ",
        "tocsin:",
        "TOCSIND",
        "t\u200bocsin",
        "\uff54ocsin",
        "t\u043e\u0441sin",
        "\u03c4ocs\u03b9n",
    ],
)
def test_source_that_looks_like_the_daemons_is_reserved(source: str) -> None:
    assert is_reserved(source)


@pytest.mark.parametrize("source", [None, "", "backup", "tocsin-backup", "my tocsin", "tocsins"])
def test_other_sources_are_not_reserved(source: str | None) -> None:
    assert not is_reserved(source)


def test_signal_with_reserved_source_gets_one_that_names_its_sender() -> None:
    came = [Signal("a", source=DAEMON_SOURCE, priority="high"), Signal("b", source="backup")]
    taken = without_reserved_source(came, 12345)
    assert [signal.source for signal in taken] == ["tocsin (sent by uid 12345)", "backup"]
    assert {**taken[0].as_dict(), "source": DAEMON_SOURCE} == came[0].as_dict()
    assert not is_reserved(taken[0].source)
    assert (
        note(came[0], taken[0])
        == "source 'tocsin' is reserved to tocsin itself: it is 'tocsin (sent by uid 12345)' now"
    )
    assert note(came[1], taken[1]) is None


def test_signals_without_reserved_source_are_unchanged() -> None:
    signals = [Signal("a"), Signal("b", source="backup")]
    assert without_reserved_source(signals, 0) is signals
