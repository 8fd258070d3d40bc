"""That each bench runs, delivers what it sends, and shows it in the promised shape. Never how fast."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.bench import b1_handoff, peers
from tests.bench.__main__ import BENCHES
from tests.bench.command import Bench, Size, main
from tests.bench.table import Row, Table, over_rounds, percentile

ROWS = {
    "b1": {
        b1_handoff.HEADLINE,
        b1_handoff.ALONE,
        f"{b1_handoff.ALONE}, [shared], engine hung",
        "floor: echo + fdatasync",
        "tocsin received",
        "tocsin none",
    },
    "b2": {"tocsin stored", "tocsin send_many(100) stored"},
    "b4": {"import tocsin", "tocsin send", "python -c pass"},
    "b5": {f"1/s: {sender}" for sender in ("tocsin", "headers only", "one each")},
    "b6": {"4 a minute: tocsin", "4 a minute: first come"},
    "b7": {
        "hand-off to arrival",
        "the same while a program hands over more",
        "caller: tocsin.send",
        "caller: httpx.post",
    },
    "b8": {"daemon, idle", "daemon, 500 queued"},
    "b9": {"0 queued", "500 queued", "difference"},
    "b10": {"daemon, idle", "daemon, idle, one destination shared"},
    "b12r": {"one host", "3 hosts"},
    "b12": {"burst of 500: one host", "burst of 500: 2 hosts", "1/s: 2 hosts"},
    "b13": {
        f"{each}, {width}"
        for each in ("tocsin", "bare server that syncs", "floor: bare server")
        for width in ("one", "16")
    },
    "b11": {"30 days of hourly bars, alerts on", "one signal, until it is on disk"},
}


@pytest.mark.slow
@pytest.mark.parametrize("bench", BENCHES.values(), ids=BENCHES)
def test_bench_counts_every_signal_and_measures_every_row(bench: Bench) -> None:
    table = bench(Size.TINY)
    assert ROWS[table.bench] <= {row.name for row in table.rows}
    measured = [
        (name, figure) for row in table.rows if row.name != "difference" for name, figure in row.figures.items()
    ]
    assert all(figure >= 0 for name, figure in measured if name != "MB over idle")
    sent, arrived = table.counts.values()
    assert sent == arrived > 0


def test_missing_peer_is_skipped_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers.RedisStream, "program", "no-such-program")
    assert peers.RedisStream().missing() == "there is no no-such-program on this machine"
    monkeypatch.setattr(peers.RedisStream, "program", None)
    monkeypatch.setattr(peers.RedisStream, "package", "no_such_package")
    assert peers.RedisStream().missing() == "the package no_such_package is not installed"


def test_json_contains_machine_and_every_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("b0", "nothing", [Row("floor", {"p50 us": 1.5})], {"sent": 2}, {"peer": "not here"}, ["a note"])
    main({"b0": lambda _: table}, ["b0", "--quick", "--json", str(tmp_path / "found.json")])
    found: dict[str, Any] = json.loads((tmp_path / "found.json").read_text())
    assert found["schema"] == 1
    assert set(found["machine"]) == {"python", "kernel", "processor", "cores", "load"}
    assert found["benches"] == [
        {
            "bench": "b0",
            "title": "nothing",
            "rows": [{"name": "floor", "figures": {"p50 us": 1.5}}],
            "counts": {"sent": 2},
            "left_out": {"peer": "not here"},
            "notes": ["a note"],
        }
    ]
    assert str(table) in capsys.readouterr().out


def test_unknown_bench_is_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(BENCHES, ["b99"])
    assert f"there is no bench b99; there are {', '.join(BENCHES)}" in capsys.readouterr().err


def test_percentiles_are_measured_values() -> None:
    values = [float(n) for n in range(1, 101)]
    assert [percentile(values, at) for at in (0, 50, 99, 100)] == [1, 50, 99, 100]
    assert percentile([3.0], 99) == 3.0
    assert over_rounds([[1.0], [9.0], [2.0]], 50) == 2.0


def test_table_aligns_columns_and_leaves_missing_figures_blank() -> None:
    table = Table("b0", "two", [Row("a", {"x": 1.0}), Row("long", {"y": 12345.0})])
    assert str(table).splitlines() == ["b0  two", "", "      x       y", "a     1        ", "long     12,345"]
