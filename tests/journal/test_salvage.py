"""Silences and expectations outlive a damaged journal; a row that cannot be understood does not."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.journal.factories import NOW

from tocsind.journal import ExpectationRow, expectations, silences
from tocsind.journal.opening import create, open_journal
from tocsind.journal.row_recovery import salvage
from tocsind.policy.silence import Silence

SILENCE = Silence("01J9Z3NDEKTSV4RRFFQ69G5FAV", (("symbol", "BTC"), ("tier", "free")), 1000, NOW, NOW + 60, "deploy")
EXPECTED = ExpectationRow(
    1000,
    "bot",
    60.0,
    6.0,
    "high",
    '["ops"]',
    NOW,
    NOW,
    None,
    "waiting",
    None,
    None,
    "m",
    7,
    8,
    "boot",
    None,
    None,
    "[]",
)


def test_salvage_keeps_silences_and_expectations_that_make_sense(tmp_path: Path) -> None:
    with (
        closing(open_journal(tmp_path)) as damaged,
        closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh,
    ):
        create(fresh)
        silences.add(damaged, SILENCE)
        expectations.save(damaged, [EXPECTED])
        damaged.execute(
            "INSERT INTO silences SELECT 'x', 'no JSON', uid, since, until, NULL, NULL, 0, NULL, NULL FROM silences"
        )
        for change in ("stage = 'lost'", "destinations = '{'", "alarmed = '7'"):
            name = change.partition(" ")[0]
            row = {each: getattr(EXPECTED, each) for each in EXPECTED.__struct_fields__} | {"name": name}
            expectations.save(damaged, [ExpectationRow(**row)])
            damaged.execute(f"UPDATE expectations SET {change} WHERE name = ?", (name,))
        assert salvage(damaged, fresh, NOW, in_doubt=False).unreadable == 4
        assert silences.active(fresh, NOW) == [SILENCE]
        assert expectations.load(fresh) == [EXPECTED]
