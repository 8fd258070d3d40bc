"""What people and programs read: `status`, `why`, `queue`, `tail`, and what `retry`, `drop` and `enable` answer."""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.client.servers import Serve, Visit, answering, refusing, silent

from tocsin.cli import main
from tocsin.cli.layout import NARROWEST, folded, wrapped
from tocsin.cli.output import counted, format_number, paint, plain
from tocsin.cli.queue import queue_lines
from tocsin.cli.status_lines import status_lines
from tocsin.cli.tail_lines import event_lines

Capture = pytest.CaptureFixture[str]
ID = "01J9Z3NDEKTSV4RRFFQ69G5FAV"

STATUS: dict[str, Any] = {
    "schema": 1,
    "ok": True,
    "version": "0.1.0",
    "pid": 7,
    "uptime_seconds": 3661.0,
    "health": "degraded",
    "configuration": "/etc/tocsin/alerts.toml",
    "problems": ["premium is failing: 503"],
    "counters": {"queue_depth": 3},
    "queue": {"depth": 3, "oldest_seconds": 65.2, "by_priority": {"urgent": 1, "high": 0, "normal": 2, "low": 0}},
    "destinations": [
        {
            "name": "premium",
            "kind": "discord",
            "condition": "failing",
            "reason": "503",
            "until_seconds": 9.5,
            "failing_seconds": 65.2,
            "oldest_seconds": 65.2,
            "fallback": ["local"],
            "fallback_in_seconds": {"urgent": 0.0, "high": None, "normal": 20.0, "low": None},
            "queued": {"urgent": 1, "normal": 2},
            "sent": 5,
            "failed": 2,
            "dead": 0,
            "last_error": "503",
        },
        {
            "name": "local",
            "kind": "file",
            "condition": "ready",
            "reason": None,
            "until_seconds": None,
            "last_error": "disk was full",
        },
    ],
    "storage": {"healthy": False, "bytes": 0, "free_bytes": 0},
}

WHY: dict[str, Any] = {
    "schema": 1,
    "id": ID,
    "signal": {"title": "BUY\x1b[2J", "price": 1.5, "tier": "premium"},
    "accepted": 1_700_000_000.25,
    "uid": 1000,
    "pid": 42,
    "state": "delivered",
    "deliveries": [
        {
            "destination": "premium",
            "priority": "urgent",
            "state": "sent",
            "reason": None,
            "since": 1_700_000_002.0,
            "message": "m1",
            "attempts": [
                {
                    "number": 1,
                    "started": 1_700_000_000.5,
                    "ended": 1_700_000_001.0,
                    "outcome": "deferred",
                    "reason": "503",
                },
                {"number": 2, "started": 1_700_000_001.5, "ended": None, "outcome": None, "reason": None},
            ],
        }
    ],
}


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Local time is UTC."""
    monkeypatch.setattr("time.localtime", time.gmtime)


@pytest.fixture
def path(serve: Serve) -> Callable[..., str]:
    """The socket of a server that gives each request this reply."""
    return lambda **reply: serve(answering(lambda _: {"ok": True, **reply})).path


@pytest.mark.parametrize(
    ("health", "code"), [("ok", 0), ("degraded", 1), ("failing", 2), ("a-word-from-the-future", 2)]
)
def test_command_status_quiet_exits_with_the_health(path: Callable[..., str], health: str, code: int) -> None:
    assert main(["status", "-q", "--socket", path(status={**STATUS, "health": health})]) == code


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_command_status_exits_0_with_any_health(path: Callable[..., str], flags: list[str]) -> None:
    assert main(["status", *flags, "--socket", path(status={**STATUS, "health": "failing"})]) == 0


def test_command_status_json_is_the_daemons_object(path: Callable[..., str], capsys: Capture) -> None:
    main(["status", "--json", "--socket", path(status=STATUS)])
    assert json.loads(capsys.readouterr().out) == STATUS


def test_command_status_without_a_daemon_names_the_spool(folder: Path, spool: Path, capsys: Capture) -> None:
    assert main(["status", "--socket", str(folder / "s")]) == 69
    assert "spool" not in capsys.readouterr().err
    main(["send", "BUY", "--socket", str(folder / "s")])
    capsys.readouterr()
    assert main(["status", "--socket", str(folder / "s"), "--json"]) == 69
    said = capsys.readouterr()
    assert said.err.endswith(f"; the spool {spool} has 1 file for the next daemon\n")
    assert json.loads(said.out)["schema"] == 1


def test_command_names_what_is_no_socket(folder: Path, capsys: Capture) -> None:
    (folder / "file").touch()
    for path in (folder, folder / "file"):
        assert main(["status", "--socket", str(path)]) == 69
        assert f"no daemon at {path}: that is no socket; name the daemon's with --socket" in capsys.readouterr().err


def test_command_question_without_an_answer_speaks_of_no_signal(serve: Serve, capsys: Capture) -> None:
    assert main(["status", "--timeout", "50ms", "--socket", serve(silent).path]) == 69
    assert "did not answer within 0.05 s; see its log" in capsys.readouterr().err


def test_command_status_quiet_prints_nothing(path: Callable[..., str], capsys: Capture) -> None:
    assert main(["status", "-q", "--socket", path(status=STATUS)]) == 1
    assert main(["status", "-q", "--socket", "/nowhere/s"]) == 69
    assert capsys.readouterr() == ("", "")


def test_command_status_shows_health_problems_queue_and_destinations(path: Callable[..., str], capsys: Capture) -> None:
    main(["status", "--socket", path(status=STATUS)])
    assert capsys.readouterr().out.splitlines() == [
        "tocsind 0.1.0 is degraded, up 1h1m1s, pid 7",
        "  configuration: /etc/tocsin/alerts.toml",
        "  ! premium is failing: 503",
        "",
        "queued  urgent 1  high 0  normal 2  low 0  (the oldest for 1m5s)",
        "",
        "DESTINATION  KIND     CONDITION  QUEUED  SENT  FAILED  DEAD",
        "premium      discord  failing    3       5     2       0",
        "    503; failing for 1m5s; next attempt in 10s; waiting: 1 urgent, 2 normal, the",
        "    oldest for 1m5s; local takes urgent now, normal in 20s",
        "local        file     ready      0       -     -       -",
        "    last error: disk was full",
        "",
        "storage is unhealthy: see the problems above",
    ]


LONG = "the-team-that-is-on-call-in-berlin-and-paris-during-nights-and-weekends"


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_command_status_fits_the_columns(
    path: Callable[..., str], capsys: Capture, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    windows = [{"name": name, "left": 27, "count": 30, "kept": 4} for name in ("ours", "webhook", "channel", "address")]
    limits = {"windows": windows, "ready_seconds": {"low": 7.0}, "waits_for": {"low": "the window of the channel"}}
    broken = {**STATUS["destinations"][0], "reason": f"cannot connect {'very ' * 40}{'x' * 300}", "limits": limits}
    destinations = [
        {**broken, "name": name} for name in ("a", "signals-premium-production-europe", LONG[: columns - 4])
    ]
    monkeypatch.setenv("COLUMNS", str(columns))
    status = {**STATUS, "destinations": destinations, "problems": [f"{LONG} is failing: {'very ' * 40}"]}
    main(["status", "--socket", path(status=status)])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines[1:])) <= columns
    assert "x" * 300 in "".join(line.strip() for line in lines)


def test_command_status_hides_zeros(path: Callable[..., str], capsys: Capture) -> None:
    main(["status", "--socket", path(status={**STATUS, "uptime_seconds": 0.2})])
    said = capsys.readouterr().out
    assert "is degraded, just started, pid 7" in said
    assert "0ms" not in said


@given(st.lists(st.text("ab", min_size=1, max_size=9), min_size=1), st.integers(NARROWEST, 60))
def test_folded_lines_fit_and_lose_no_word(words: list[str], width: int) -> None:
    coloured = [f"\x1b[31m{word}\x1b[0m" for word in words]
    lines = folded("  " + " ".join(coloured), width, "    ")
    assert all(len(re.sub(r"\x1b\[\d+m", "", line)) <= width for line in lines)
    assert [word for line in lines for word in line.split()] == coloured


def test_folded_keeps_a_line_that_fits() -> None:
    assert folded("  two  spaces   stay", 80, "    ") == ["  two  spaces   stay"]


@given(st.text(max_size=200), st.integers(NARROWEST, 100))
def test_wrapped_lines_fit_and_lose_no_word(text: str, width: int) -> None:
    lines = wrapped(text, width)
    assert all(len(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(plain(text).split())


def test_command_status_accepts_an_incomplete_object(path: Callable[..., str], capsys: Capture) -> None:
    assert main(["status", "--socket", path(status={"health": "ok"})]) == 0
    assert "no destinations" in capsys.readouterr().out


def test_command_why_prints_attempts_with_times(
    path: Callable[..., str], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.localtime", __import__("time").gmtime)
    assert main(["why", ID.lower(), "--socket", path(why=WHY)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        rf"{ID}  BUY\x1b[2J",
        "  tier premium  price 1.5",
        "  2023-11-14 22:13:20.250  accepted from uid 1000, pid 42; it is delivered",
        "",
        "premium (urgent)",
        "  2023-11-14 22:13:20.500  attempt 1: deferred after 0.500 s: 503",
        "  2023-11-14 22:13:21.500  attempt 2: in flight",
        "  2023-11-14 22:13:22.000  sent, message m1",
    ]


def test_command_why_shows_fields_tags_and_link(path: Callable[..., str], capsys: Capture) -> None:
    more = {"fields": {"rsi": 33, "size": 0.00001}, "tags": ["a", "b"], "link": "https://x", "host": "db1"}
    main(["why", ID, "--socket", path(why={**WHY, "signal": {**WHY["signal"], **more}})])
    assert capsys.readouterr().out.splitlines()[1:5] == [
        "  tier premium  price 1.5  host db1",
        "  fields rsi=33, size=0.00001",
        "  tags a, b",
        "  link https://x",
    ]


def test_command_why_of_a_signal_without_destinations(path: Callable[..., str], capsys: Capture) -> None:
    main(["why", ID, "--socket", path(why={**WHY, "deliveries": []})])
    assert "no destination" in capsys.readouterr().out


def test_command_why_json_is_the_daemons_object(path: Callable[..., str], capsys: Capture) -> None:
    assert main(["why", ID, "--json", "--socket", path(why=WHY)]) == 0
    assert json.loads(capsys.readouterr().out) == {"ok": True, **WHY}


def test_command_why_exits_65_for_an_unknown_id(serve: Serve, capsys: Capture) -> None:
    assert main(["why", ID, "--json", "--socket", serve(answering(refusing("not-found"))).path]) == 65
    assert json.loads(capsys.readouterr().out)["error"] == {"kind": "not-found", "message": "told not-found"}


ROW = {
    "id": ID,
    "title": "BUY",
    "destination": "d",
    "priority": "low",
    "state": "dead",
    "reason": "404",
    "since": 0.0,
    "attempts": 3,
}


def test_command_queue_prints_a_table(
    path: Callable[..., str], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["queue", "--socket", path(deliveries=[ROW], more=True)]) == 0
    out, err = capsys.readouterr()
    head, row = (line.split() for line in out.splitlines())
    assert head == ["ID", "PRIORITY", "DESTINATION", "STATE", "SINCE", "TRIES", "TITLE", "WHY"]
    assert [*row[:4], *row[5:]] == [ID, "low", "d", "dead", "3", "BUY", "404"]
    assert "--limit 1000" in err


def test_queue_lines_fit_a_narrow_terminal() -> None:
    rows = [
        {**ROW, "destination": "operations-on-call-berlin", "reason": "503 " * 30},
        {**ROW, "reason": "d is failing"},
    ]
    lines = queue_lines(rows, 60.0, 80)
    assert lines[0].split() == ["ID", "PRIORITY", "STATE", "SINCE", "TRIES"]
    assert lines[2].startswith("    BUY -> operations-on-call-berlin: 503 503 ")
    assert lines[-1] == "    BUY -> d is failing"
    assert max(map(len, lines)) <= 80
    assert len(queue_lines(rows, 60.0, 1000)) == 3


def test_command_queue_prints_no_data_when_empty(path: Callable[..., str], capsys: Capture) -> None:
    assert main(["queue", "--socket", path(deliveries=[], more=False)]) == 0
    assert capsys.readouterr() == ("", "tocsin: no deliveries\n")


def test_command_queue_passes_its_options_on_and_prints_json(serve: Serve, capsys: Capture) -> None:
    heard: list[Any] = []

    def answer(request: Any) -> Any:
        heard.append(request)
        return {"ok": True, "deliveries": [ROW], "more": False}

    words = ["queue", "--state", "dead", "--destination", "d", "--limit", "5", "--json"]
    assert main([*words, "--socket", serve(answering(answer)).path]) == 0
    assert heard == [{"op": "queue", "v": 1, "state": "dead", "destination": "d", "limit": 5}]
    assert json.loads(capsys.readouterr().out) == {"schema": 1, "ok": True, "deliveries": [ROW], "more": False}


@pytest.mark.parametrize(
    ("words", "request_", "said"),
    [
        (["retry", ID.lower()], {"op": "retry", "id": ID}, "1 delivery requeued"),
        (
            ["retry", "--all", "--destination", "d"],
            {"op": "retry", "all": True, "destination": "d"},
            "1 delivery requeued",
        ),
        (["drop", ID], {"op": "drop", "id": ID}, "1 delivery dropped"),
        (["enable", "d"], {"op": "enable", "destination": "d"}, "d is in service again"),
    ],
)
def test_command_retry_drop_and_enable_send_requests_and_print_results(
    serve: Serve, words: list[str], request_: Any, said: str, capsys: Capture
) -> None:
    heard: list[Any] = []

    def answer(request: Any) -> Any:
        heard.append(request)
        return {"ok": True, "destination": "d"} if request["op"] == "enable" else {"ok": True, "deliveries": 1}

    socket = serve(answering(answer)).path
    assert main([*words, "--socket", socket]) == 0
    assert (heard[0], capsys.readouterr().out) == ({"v": 1, **request_}, f"{said}\n")
    assert main([*words, "--json", "--socket", socket]) == 0
    assert json.loads(capsys.readouterr().out)["schema"] == 1


def _two_facts(visit: Visit) -> None:
    visit.hear()
    visit.tell(
        {
            "ok": True,
            "event": {
                "event": "sent",
                "at": 1.5,
                "level": "debug",
                "id": ID,
                "title": "BUY",
                "destination": "d",
                "attempts": 3,
                "seconds": 0.34,
                "message": None,
            },
        }
    )
    visit.tell(
        {
            "ok": True,
            "event": {
                "event": "disabled",
                "at": 2.0,
                "level": "error",
                "reason": "401 for a while",
                "names": ["a", "b"],
            },
        }
    )


@pytest.mark.usefixtures("utc")
def test_command_tail_prints_one_line_an_event(serve: Serve, capsys: Capture) -> None:
    assert main(["tail", "--socket", serve(_two_facts).path]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.split() == [
        "1970-01-01",
        "00:00:01",
        "sent",
        "BUY",
        "->",
        "d:",
        "3",
        "attempts,",
        "after",
        "340ms",
        ID,
    ]
    assert second.endswith("!! disabled        401 for a while, names a, b")


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            {
                "event": "deferred",
                "level": "warning",
                "title": "Disk\x1b[2J",
                "destination": "d",
                "wait": 2.0,
                "reason": "503",
            },
            r"00:01:40 !  deferred        Disk\x1b[2J -> d: 503, next attempt in 2s",
        ),
        (
            {
                "event": "destination-note",
                "level": "warning",
                "destination": "d",
                "note": "no ids",
                "is_problem": False,
            },
            "00:01:40 !  destination-note d: note no ids",
        ),
        (
            {
                "event": "accepted",
                "id": ID,
                "title": "x" * 99,
                "priority": "urgent",
                "destinations": ["a", "b"],
                "uid": 0,
            },
            f"00:01:40    accepted        {'x' * 59}… -> a, b: URGENT  {ID}",
        ),
        (
            {"event": "breaker-opened", "destination": "d", "rest": 90.0},
            "00:01:40    breaker-opened  d: next attempt in 1m30s",
        ),
        ({"event": "all-clear", "seconds": 0.25}, "00:01:40    all-clear       for 250ms"),
        (
            {"event": "future", "flag": True, "share": 0.5, "empty": [], "none": None},
            "00:01:40    future          flag yes, share 0.5",
        ),
        ({"event": "reloaded", "destinations": 5}, "00:01:40    reloaded        destinations 5"),
        ({}, "00:01:40    None"),
    ],
)
@pytest.mark.usefixtures("utc")
def test_event_line_has_title_and_human_numbers(event: dict[str, Any], line: str) -> None:
    assert event_lines({"at": 100.0, **event}, 200.0) == [line]


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "event",
                "level",
                "id",
                "title",
                "destination",
                "destinations",
                "reason",
                "seconds",
                "wait",
                "attempts",
                "x",
            ]
        ),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text()
        | st.lists(st.text() | st.integers()),
    )
)
def test_event_line_exists_for_any_event(event: dict[str, Any]) -> None:
    assert all(line.isprintable() for line in event_lines(event, 200.0, 80))


@pytest.mark.usefixtures("utc")
def test_event_line_of_another_day_has_the_date() -> None:
    assert event_lines({"at": 100.0, "event": "stopped"}, 9e5) == ["1970-01-01 00:01:40    stopped"]


@pytest.mark.usefixtures("utc")
def test_event_lines_fit_a_terminal() -> None:
    event = {
        "event": "rerouted",
        "title": "Backup failed",
        "destination": "ops-berlin",
        "reason": "503 " * 20,
        "id": ID,
        "at": 1.0,
    }
    lines = event_lines(event, 200.0, 80)
    assert lines[0].startswith("00:00:01    rerouted        Backup failed -> ops-berlin: 503 503")
    assert all(line.startswith(" " * 12 + "503") or line.endswith(ID) for line in lines[1:])
    assert max(map(len, lines)) <= 80


def test_command_tail_json_prints_one_object_a_line(serve: Serve, capsys: Capture) -> None:
    assert main(["tail", "--json", "--socket", serve(_two_facts).path]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(each["schema"], each["event"]) for each in told] == [(1, "sent"), (1, "disabled")]


def test_command_tail_follow_exits_69_when_the_daemon_stops(serve: Serve, capsys: Capture) -> None:
    assert main(["tail", "-f", "--socket", serve(_two_facts).path]) == 69
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 2
    assert "the daemon closed the connection" in told.err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_output_is_coloured_for_terminals_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert paint("ok", "green", Terminal()) == "\x1b[32mok\x1b[0m"
    assert paint("ok", "green", io.StringIO()) == "ok"
    assert paint("ok", None, Terminal()) == "ok"
    monkeypatch.setenv("TERM", "dumb")
    assert paint("ok", "green", Terminal()) == "ok"
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert paint("ok", "green", Terminal()) == "ok"


def test_output_escapes_control_characters_of_signals() -> None:
    assert plain("a\x1b[2J\nb\tc\x00\N{RIGHT-TO-LEFT OVERRIDE}ü") == "a\\x1b[2J b c\\x00\\u202eü"


def test_counted_uses_singular_and_plural() -> None:
    assert [counted(n, "delivery") for n in (0, 1, 2000)] == ["0 deliveries", "1 delivery", "2,000 deliveries"]
    assert counted(2, "signal") == "2 signals"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1.234e-05, "0.00001234"),
        (-5e-07, "-0.0000005"),
        (1e-20, "0.00000000000000000001"),
        (64000.5, 64000.5),
        (0.0, 0.0),
        ("x", "x"),
    ],
)
def test_output_of_a_small_price_has_no_exponent(value: object, shown: object) -> None:
    assert format_number(value) == shown


def test_status_shows_what_the_operator_should_know_of_a_destination() -> None:
    noted = {"name": "premium", "kind": "discord", "condition": "ready", "note": "messages go without mentions"}
    assert any(
        "messages go without mentions" in line for line in status_lines({"destinations": [noted]}, "/nowhere", 100)
    )
