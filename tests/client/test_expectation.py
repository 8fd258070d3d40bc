"""`tocsin.expect` in the program: it never raises, never blocks for longer than its timeout, and says goodbye when it should."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.client.servers import Serve, answering
from tests.harness import PATIENCE

import tocsin
from tocsin import expectation, notices

OK = {"ok": True, "expectation": {"pid": 7}}


@pytest.fixture(autouse=True)
def notes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The warnings of the client."""
    found: list[str] = []
    monkeypatch.setattr(notices, "write", found.append)
    monkeypatch.setattr(expectation, "_beating", {})  # else this process would say goodbye at its end
    return found


def kept(serve: Serve) -> tuple[str, list[dict[str, Any]]]:
    """The socket of a server that says yes, and the requests that it gets."""
    heard: list[dict[str, Any]] = []

    def answer(request: dict[str, Any]) -> Any:
        heard.append(request)
        return OK

    return serve(answering(answer)).path, heard


def test_beat_sends_what_is_expected_and_asks_to_be_watched(serve: Serve) -> None:
    path, heard = kept(serve)
    bot = tocsin.expect("bot", "1m", grace=timedelta(seconds=5), priority="urgent", to="ops", socket=path)
    assert heard == [], "nothing is asked before the first beat"
    assert bot.beat("epoch 3")
    assert bot.beat()
    common = {"op": "expect", "v": 1, "name": "bot", "every": 60, "grace": 5, "priority": "urgent", "to": ["ops"]}
    assert heard == [{**common, "message": "epoch 3", "watch": True}, {**common, "watch": True}]
    assert bot.goodbye()
    assert bot.done()
    assert [each["op"] for each in heard[2:]] == ["goodbye", "goodbye"]
    assert [each.get("forget") for each in heard[2:]] == [None, True]


def test_block_beats_at_its_beginning_and_says_goodbye_at_its_end(serve: Serve) -> None:
    path, heard = kept(serve)
    with tocsin.expect("job", every="24h", socket=path) as job:
        assert job.beat("half")
    assert [each["op"] for each in heard] == ["expect", "expect", "goodbye"]


@pytest.mark.parametrize(
    ("error", "goodbyes"),
    [
        (ValueError(), 0),
        (SystemExit(1), 0),
        (SystemExit([1]), 0),
        (SystemExit(0), 1),
        (SystemExit(), 1),
        (KeyboardInterrupt(), 1),
    ],
    ids=repr,
)
def test_block_that_fails_says_no_goodbye(serve: Serve, error: BaseException, goodbyes: int) -> None:
    path, heard = kept(serve)
    with pytest.raises(type(error)), tocsin.expect("job", every=60, socket=path):
        raise error
    assert [each["op"] for each in heard].count("goodbye") == goodbyes


def test_beat_without_a_daemon_is_false_and_logged_once(folder: Path, notes: list[str]) -> None:
    bot = tocsin.expect("bot", every=60, socket=folder / "s")
    assert [bot.beat(), bot.beat(), bot.goodbye()] == [False] * 3
    assert "no daemon at" in str(bot.reason)
    assert notes == [f"no heartbeat of 'bot' reached the daemon: {bot.reason}"]
    assert list(folder.iterdir()) == [], "nothing is spooled"


def test_beat_on_a_daemon_that_hangs_takes_its_timeout(serve: Serve) -> None:
    hung = serve(lambda visit: visit.leaving.wait(PATIENCE) and None)
    bot = tocsin.expect("bot", every=60, socket=hung.path, timeout=0.1)
    before = time.monotonic()
    assert not bot.beat()
    assert time.monotonic() - before < PATIENCE / 2


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"every": "soon"}, "is not a duration"),
        ({"every": object()}, "TypeError"),
        ({"every": 60, "grace": "x"}, "is not a duration"),
        ({"every": 60, "to": 7}, "TypeError"),
        ({"every": 60, "timeout": -1}, "ValueError"),
    ],
)
def test_unusable_settings_are_named_and_never_raise(
    serve: Serve, notes: list[str], settings: dict[str, Any], words: str
) -> None:
    path, heard = kept(serve)
    bot = tocsin.expect("bot", **settings, socket=path)
    assert not bot.beat()
    assert words in str(bot.reason)
    assert words in notes[0]
    assert heard == []


def test_refused_beat_has_the_daemons_reason(serve: Serve) -> None:
    refusal = {"ok": False, "error": {"kind": "busy", "message": "no room"}}
    bot = tocsin.expect("bot", every=60, socket=serve(answering(lambda _: refusal)).path)
    assert not bot.beat()
    assert bot.reason == "no room"


def test_process_that_is_not_watched_is_noted_once(serve: Serve, notes: list[str]) -> None:
    path = serve(answering(lambda _: {"ok": True, "expectation": {"pid": None}})).path
    bot = tocsin.expect("bot", every=60, socket=path)
    assert [bot.beat(), bot.beat()] == [True, True]
    assert notes == [
        "the daemon cannot watch the process of 'bot', as in a container: only a missing heartbeat is reported"
    ]


def test_threads_share_one_expectation(serve: Serve) -> None:
    path, heard = kept(serve)
    bot = tocsin.expect("bot", every=60, socket=path, timeout=PATIENCE)
    threads = [threading.Thread(target=bot.beat) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(heard) == 8


def test_program_says_goodbye_at_its_end_and_not_for_its_parent(serve: Serve) -> None:
    path, heard = kept(serve)
    text = (
        f"import os, sys, tocsin\nassert tocsin.expect('bot', every=60, socket={path!r}, timeout=9).beat()\n"
        "if os.fork() == 0: sys.exit()\nassert os.wait()[1] == 0\nprint(len(sys.argv))"
    )
    subprocess.run([sys.executable, "-c", text], check=True, timeout=PATIENCE, capture_output=True)
    assert [each["op"] for each in heard] == ["expect", "goodbye"]


def test_import_of_tocsin_does_not_load_expectations() -> None:
    text = "import sys, tocsin; before = set(sys.modules); tocsin.expect; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert "tocsin.expectation" in done.stdout.split()
    assert not {"typing", "asyncio", "socket", "logging"} & set(done.stdout.split())
