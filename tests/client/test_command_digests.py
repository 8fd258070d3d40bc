"""What `why` and `queue` say of signals that were told in sum."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.client.servers import Serve, answering

from tocsin.cli import main

Capture = pytest.CaptureFixture[str]
ID, DIGEST = "01J9Z3NDEKTSV4RRFFQ69G5FAV", "01J9Z3NDEKTSV4RRFFQ69G5FAW"

ORIGINAL: dict[str, Any] = {
    "schema": 1,
    "id": ID,
    "signal": {"title": "BUY"},
    "accepted": 1_700_000_000.25,
    "uid": 1000,
    "pid": 42,
    "state": "delivered",
    "deliveries": [
        {
            "destination": "free",
            "priority": "low",
            "state": "digested",
            "reason": f"replaced by digest {DIGEST}",
            "since": 1_700_000_002.0,
            "message": "m1",
            "digest": {"id": DIGEST, "state": "delivered"},
            "attempts": [],
        }
    ],
}


@pytest.fixture(autouse=True)
def greenwich(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.localtime", __import__("time").gmtime)


def test_command_why_names_the_digest_and_its_state(serve: Serve, capsys: Capture) -> None:
    path = serve(answering(lambda _: {"ok": True, "why": ORIGINAL})).path
    assert main(["why", ID, "--socket", path]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "  2023-11-14 22:13:20.250  accepted from uid 1000, pid 42; it is delivered",
        "",
        "free (low)",
        f"  2023-11-14 22:13:22.000  digested: replaced by digest {DIGEST}, message m1",
        f"                           that digest is delivered: `tocsin why {DIGEST}`",
    ]


def test_command_why_of_a_digest_counts_its_signals(serve: Serve, capsys: Capture) -> None:
    story = {**ORIGINAL, "id": DIGEST, "stands_for": 480, "deliveries": []}
    assert main(["why", DIGEST, "--socket", serve(answering(lambda _: {"ok": True, "why": story})).path]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "  a digest of 480 signals"


def test_command_queue_lists_digested_deliveries(serve: Serve, capsys: Capture) -> None:
    heard: list[Any] = []

    def answer(request: Any) -> Any:
        heard.append(request)
        return {"ok": True, "deliveries": [], "more": False}

    assert main(["queue", "--state", "digested", "--json", "--socket", serve(answering(answer)).path]) == 0
    assert heard[0]["state"] == "digested"
    assert json.loads(capsys.readouterr().out)["deliveries"] == []
