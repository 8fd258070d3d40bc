"""`tocsin send`: from flags, stdin and lines to a receipt, an exit code, and perhaps an outcome."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.client.servers import Serve, answering, refusing, stored
from tests.harness import PATIENCE
from tests.outboxes import bodies, files, held

from tocsin.cli import main
from tocsin.ids import is_id

Capture = pytest.CaptureFixture[str]
Pipe = Callable[[bytes], None]


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Pipe:
    """Makes stdin a pipe that holds these bytes."""
    return lambda held: monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(held)))


def test_command_send_prints_only_the_id(serve: Serve, capsys: Capture) -> None:
    assert main(["send", "BUY", "--socket", serve().path]) == 0
    out, err = capsys.readouterr()
    assert is_id(out.strip())
    assert err == ""


def test_command_send_options_set_the_signals_fields(serve: Serve) -> None:
    server = serve()
    words = "--body b -p high --tier t --confidence 0.9 --strategy s --symbol y --action BUY --price 64000.5 --field rsi=33 --field m=a=b"
    more = (
        "--tag x --tag y --key k --expires 90s --timestamp 1700000000 --link http://l --source o --to d --to e --strict"
    )
    assert (
        main(
            ["send", "T", *words.split(), *more.split(), "--id", "01J9Z3NDEKTSV4RRFFQ69G5FAV", "--socket", server.path]
        )
        == 0
    )
    assert server.requests[0]["signal"] == {
        "title": "T", "body": "b", "priority": "high", "tier": "t", "confidence": 0.9, "strategy": "s", "symbol": "y",
        "action": "BUY", "price": 64000.5, "fields": {"rsi": "33", "m": "a=b"}, "tags": ["x", "y"], "key": "k", "expires": 90.0,
        "timestamp": 1700000000.0, "link": "http://l", "source": "o", "to": ["d", "e"], "id": "01J9Z3NDEKTSV4RRFFQ69G5FAV",
    }  # fmt: skip


def test_command_send_names_a_second_file_instead_of_losing_it(serve: Serve, spool: Path, folder: Path) -> None:
    server, files_ = serve(), [folder / name for name in ("chart.png", "trace.txt")]
    for file in files_:
        file.write_bytes(b"x")
    words = [word for file in files_ for word in ("--attach", str(file))]
    assert main(["send", "BUY", *words, "--socket", server.path]) == 0
    signal = server.requests[0]["signal"]
    assert signal["attach"].endswith("-chart.png")
    assert (spool / "attachments" / signal["attach"]).exists()
    assert "trace.txt" in signal["fields"]["attach"]


def test_command_send_json_is_one_object_on_success(serve: Serve, capsys: Capture) -> None:
    assert main(["send", "BUY", "--json", "--socket", serve().path]) == 0
    told = json.loads(capsys.readouterr().out)
    assert is_id(told.pop("id"))
    assert told == {"schema": 1, "ok": True, "state": "stored", "reason": None}


def test_command_send_spools_with_a_note_without_a_daemon(folder: Path, spool: Path, capsys: Capture) -> None:
    assert main(["send", "BUY", "--socket", str(folder / "s")]) == 0
    out, err = capsys.readouterr()
    assert err.startswith("tocsin: spooled: no daemon at ")
    assert [signal["id"] for signal in held(spool)] == [out.strip()]
    assert main(["send", "BUY", "--json", "--socket", str(folder / "s")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["state"]) == (True, "spooled")


def test_command_send_strict_spools_nothing(folder: Path, spool: Path) -> None:
    assert main(["send", "BUY", "--strict", "--socket", str(folder / "s")]) == 69
    (folder / "lines").write_text('{"title": "a"}\n')
    assert main(["send", "--strict", "--json-lines", str(folder / "lines"), "--socket", str(folder / "s")]) == 69
    assert not spool.exists()


def test_command_send_exits_with_the_daemons_error_when_the_spool_fails_too(
    folder: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("TOCSIN_SPOOL", "/dev/null/spool")
    assert main(["send", "BUY", "--socket", str(folder / "s")]) == 69
    assert "; and the spool /dev/null/spool does not take it: Not a directory" in capsys.readouterr().err
    assert main(["send", "BUY", "--socket", serve(answering(refusing("stopping"))).path]) == 75


def test_command_send_wait_goes_on_until_the_spool_is_imported(serve: Serve, capsys: Capture) -> None:
    answers = iter(
        [
            {"ok": False, "error": {"kind": "stopping", "message": "soon"}},
            {"ok": False, "error": {"kind": "not-found", "message": "who?"}},
            {"ok": True, "state": "delivered"},
        ]
    )
    assert main(["send", "BUY", "--wait", "--socket", serve(answering(lambda _: next(answers))).path]) == 0
    assert "spooled: soon" in capsys.readouterr().err


def test_command_send_json_is_one_object_on_failure(folder: Path, serve: Serve, capsys: Capture) -> None:
    assert main(["send", "BUY", "--json", "--strict", "--socket", str(folder / "s")]) == 69
    told = json.loads(capsys.readouterr().out)
    assert (told["schema"], told["ok"], told["state"], told["error"]["kind"]) == (1, False, "dropped", "unreachable")
    assert is_id(told["id"])
    assert main(["send", "BUY", "--json", "--socket", serve(answering(refusing("full"))).path]) == 75
    assert json.loads(capsys.readouterr().out)["reason"] == "told full"


@pytest.mark.parametrize(
    ("words", "field"),
    [
        (["-p", "urgnt"], "priority"),
        (["--confidence", "high"], "confidence"),
        (["--confidence", "95%"], "confidence"),
        (["--price", "64,000.50"], "price"),
        (["--price", "nan"], "price"),
        (["--expires", "soon"], "expires"),
        (["--id", "short"], "id"),
    ],
)
def test_command_send_notes_a_converted_value(serve: Serve, words: list[str], field: str, capsys: Capture) -> None:
    server = serve()
    assert main(["send", "BUY", *words, "--socket", server.path]) == 0
    assert server.requests[0]["signal"]["input_notes"][0].startswith(f"{field}: ")
    assert capsys.readouterr().out.strip() == server.requests[0]["signal"]["id"]


def test_command_send_refuses_an_empty_signal(serve: Serve, capsys: Capture) -> None:
    server = serve()
    assert main(["send", "", "-p", "high", "--json", "--socket", server.path]) == 65
    out, err = capsys.readouterr()
    assert (json.loads(out)["field"], json.loads(out)["state"]) == ("title", "refused")
    assert err.startswith("tocsin: title: is required")
    assert server.requests == [{"op": "losses", "v": 1, "refused": 1, "dropped": 0}]


def test_command_send_accepts_a_duplicate_with_a_note(serve: Serve, capsys: Capture) -> None:
    def twice(request: Any) -> Any:
        return {"ok": True, "receipt": {"id": request["signal"]["id"], "state": "duplicate", "reason": None}}

    assert main(["send", "BUY", "--socket", serve(answering(twice)).path]) == 0
    assert "duplicate: it was stored before" in capsys.readouterr().err


@pytest.mark.parametrize(("state", "code"), [("refused", 65), ("dropped", 75)])
def test_command_send_fails_with_a_refused_or_dropped_receipt(
    serve: Serve, state: str, code: int, capsys: Capture
) -> None:
    def no(request: Any) -> Any:
        return {"ok": True, "receipt": {"id": request["signal"]["id"], "state": state, "reason": "because"}}

    assert main(["send", "BUY", "--socket", serve(answering(no)).path]) == code
    assert capsys.readouterr().err == f"tocsin: {state}: because\n"


def test_command_send_takes_the_title_from_the_first_line_of_stdin(serve: Serve, pipe: Pipe) -> None:
    server = serve()
    pipe(b"\nBuild broken\n\nline 1\nline 2\n")
    assert main(["send", "--socket", server.path]) == 0
    assert server.requests[0]["signal"]["title"] == "Build broken"
    assert server.requests[0]["signal"]["body"] == "line 1\nline 2"


def test_command_send_of_one_line_has_no_body(serve: Serve, pipe: Pipe) -> None:
    server = serve()
    pipe(b"Build broken\n")
    assert main(["send", "--socket", server.path]) == 0
    assert "body" not in server.requests[0]["signal"]


def test_command_send_reads_a_body_of_any_bytes(serve: Serve, pipe: Pipe) -> None:
    server = serve()
    pipe("größe\n".encode() + b"\xff\n")
    assert main(["send", "T", "--body", "-", "--socket", server.path]) == 0
    assert server.requests[0]["signal"]["body"] == "größe\n\N{REPLACEMENT CHARACTER}\n"


@pytest.mark.parametrize("words", [["Build broken", "--body", "-"], []], ids=["body", "title and body"])
def test_command_send_keeps_the_end_of_a_long_stdin_with_a_note(
    serve: Serve, pipe: Pipe, capsys: Capture, words: list[str]
) -> None:
    server = serve()
    pipe(b"Build broken\n" + b"\xff line of the log\n" * 300_000 + b"make: *** [all] Error 2\n")
    assert main(["send", *words, "--socket", server.path]) == 0
    [signal] = [request["signal"] for request in server.requests]
    assert signal["title"] == "Build broken"
    assert len(signal["body"]) == 4096
    assert signal["body"].startswith("…")
    assert signal["body"].rstrip().endswith("make: *** [all] Error 2")
    assert "the body was cut to the last 4096 characters: stdin had 5400" in capsys.readouterr().err


def test_command_send_reads_megabytes_to_the_end(serve: Serve) -> None:
    server = serve()
    job = f"{sys.executable} -c 'print(\"x\" * 3_000_000)'"
    script = f"set -o pipefail; {job} | {sys.executable} -m tocsin send T --body - --socket {server.path}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert len(server.requests) == 1


def test_command_send_with_a_title_does_not_read_stdin(serve: Serve, pipe: Pipe) -> None:
    server = serve()
    pipe(b"not this")
    assert main(["send", "T", "--socket", server.path]) == 0
    assert "body" not in server.requests[0]["signal"]


@pytest.mark.parametrize(("held", "words", "code"), [(b"", [], 65), (b"text", ["--body", "-"], 64)])
def test_command_send_reports_stdin_without_a_title(
    folder: Path, pipe: Pipe, held: bytes, words: list[str], code: int
) -> None:
    pipe(held)
    assert main(["send", *words, "--socket", str(folder / "s")]) == code


def test_command_send_reports_a_closed_stdin(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["send", "--socket", str(folder / "s")]) == 64
    assert main(["send", "T", "--body", "-", "--socket", str(folder / "s")]) == 66
    assert main(["send", "--json-lines", "-", "--socket", str(folder / "s")]) == 66


def _settling(*states: str) -> Callable[[Any], Any]:
    """Answers hand-offs with stored and each `wait` with the next state."""
    left = iter(states)
    return lambda request: {"ok": True, "state": next(left)} if request["op"] == "wait" else stored(request)


@pytest.mark.parametrize(("state", "code"), [("delivered", 0), ("dead", 4), ("dropped", 5)])
def test_command_send_wait_exits_with_the_outcome(serve: Serve, state: str, code: int, capsys: Capture) -> None:
    path = serve(answering(_settling(state))).path
    assert main(["send", "BUY", "--wait", "--json", "--socket", path]) == code
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["outcome"], told["state"]) == (code == 0, state, "stored")


def test_command_send_wait_exits_3_when_time_runs_out(serve: Serve, capsys: Capture) -> None:
    path = serve(
        answering(lambda request: {"ok": True, "state": "queued"} if request["op"] == "wait" else stored(request))
    ).path
    assert main(["send", "BUY", "--wait", "50ms", "--socket", path]) == 3
    out, err = capsys.readouterr()
    assert f"{out.strip()} is still queued after 50ms; see `tocsin why {out.strip()}`" in err


def test_command_send_wait_says_that_the_signal_is_held(serve: Serve, capsys: Capture) -> None:
    held = {"ok": True, "state": "queued", "reason": "held until 07:00 by quiet hours"}
    path = serve(answering(lambda request: held if request["op"] == "wait" else stored(request))).path
    assert main(["send", "BUY", "--wait", "0s", "--socket", path]) == 3
    assert "is held until 07:00 by quiet hours; see `tocsin why" in capsys.readouterr().err


def test_command_send_wait_reconnects_to_a_restarted_daemon(serve: Serve) -> None:
    seen = 0

    def restarting(visit: Any) -> None:
        nonlocal seen
        while (request := visit.hear()) is not None:
            if request["op"] == "wait":
                seen += 1
                if seen < 3:
                    return
                visit.tell({"ok": True, "state": "delivered"})
            else:
                visit.tell(stored(request))

    assert main(["send", "BUY", "--wait", "20s", "--socket", serve(restarting).path]) == 0


@pytest.mark.parametrize(
    "words",
    [
        ["--wait", "BUY"],
        ["BUY", "--wait"],
        ["--wait", "10s", "BUY"],
        ["--wait", "5", "BUY"],
        ["--wait=10s", "BUY"],
        ["--wait", "--", "BUY"],
    ],
)
def test_command_send_wait_takes_no_title_for_its_duration(serve: Serve, words: list[str]) -> None:
    path = serve(answering(_settling("delivered"))).path
    assert main(["send", "--socket", path, *words]) == 0


def test_json_lines_reports_an_invalid_line_and_sends_the_others(serve: Serve, folder: Path, capsys: Capture) -> None:
    server = serve()
    lines = ['{"title": "a"}', "", "{oops", '{"title": "b", "price": "dear"}', "[]", '{"title": "c"}', "{}"]
    (folder / "lines").write_text("\n".join(lines))
    assert main(["send", "--json-lines", str(folder / "lines"), "--socket", server.path]) == 65
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 3
    assert [line.split(": ")[1] for line in err.splitlines()] == ["line 3", "line 4", "line 5", "line 7"]
    signals = [signal for request in server.requests for signal in request.get("signals", ())]
    assert [signal["title"] for signal in signals] == ["a", "b", "c"]
    assert signals[1]["fields"] == {"price": "dear"}


def test_json_lines_sends_many_lines_in_few_frames(serve: Serve, folder: Path, capsys: Capture) -> None:
    server = serve()
    (folder / "lines").write_text("".join(f'{{"title": "{n}"}}\n' for n in range(5000)))
    assert main(["send", "--json-lines", str(folder / "lines"), "--json", "--socket", server.path]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["line"] for each in told] == list(range(1, 5001))
    assert {(each["schema"], each["ok"], each["state"]) for each in told} == {(1, True, "stored")}
    assert len(server.requests) < 20


def test_json_lines_sends_a_line_at_once(serve: Serve) -> None:
    words = [sys.executable, "-m", "tocsin", "send", "--json-lines", "-", "--json", "--socket", serve().path]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as sender:
        assert sender.stdin is not None
        assert sender.stdout is not None
        for n in range(3):
            sender.stdin.write(b'{"title": "%d"}\n' % n)
            sender.stdin.flush()
            assert json.loads(sender.stdout.readline())["line"] == n + 1
        sender.stdin.close()
        assert sender.wait(PATIENCE) == 0


def test_json_lines_are_spooled_with_one_note_without_a_daemon(folder: Path, spool: Path, capsys: Capture) -> None:
    (folder / "lines").write_text("".join(f'{{"title": "{n}"}}\n' for n in range(1200)))
    assert main(["send", "--json-lines", str(folder / "lines"), "--socket", str(folder / "s")]) == 0
    out, err = capsys.readouterr()
    assert len(err.splitlines()) == 1
    assert err.startswith("tocsin: line 1 and following: spooled: ")
    kept = [signal["id"] for signal in held(spool)]
    assert kept == out.split()
    assert [len(body) for [file] in [files(spool)] for body in bodies(file)] == [500, 500, 200]


def test_json_lines_cuts_a_long_body_and_names_the_line(serve: Serve, folder: Path, capsys: Capture) -> None:
    (folder / "lines").write_text(json.dumps({"title": "a", "body": "x" * 262_100}) + '\n{"title": "b"}\n')
    assert main(["send", "--json-lines", str(folder / "lines"), "--socket", serve().path]) == 0
    out, err = capsys.readouterr()
    assert (len(out.split()), err[:29]) == (2, "tocsin: line 1: body: cut fro")


@pytest.mark.parametrize("last", [b'\n{"title": "c"}\n', b""], ids=["in the middle", "at the end"])
def test_json_lines_reports_a_line_of_megabytes_and_sends_the_others(
    serve: Serve, folder: Path, capsys: Capture, last: bytes
) -> None:
    (folder / "lines").write_bytes(b'{"title": "a"}\n{"title": "b", "body": "' + b"x" * 5_000_000 + b'"}' + last)
    assert main(["send", "--json-lines", str(folder / "lines"), "--socket", serve().path]) == 65
    out, err = capsys.readouterr()
    assert len(out.split()) == (2 if last else 1)
    assert err.startswith("tocsin: line 2: refused: line: has more than ")


def test_json_lines_stops_when_neither_daemon_nor_spool_takes_a_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("TOCSIN_SPOOL", "/dev/null/spool")
    (folder / "lines").write_text('\n{"title": "a"}\n')
    assert main(["send", "--json-lines", str(folder / "lines"), "--socket", str(folder / "s")]) == 69
    assert "lines from 2 on may not have been stored" in capsys.readouterr().err


@pytest.mark.parametrize(("state", "code"), [("refused", 65), ("dropped", 75)])
def test_json_lines_names_lines_that_the_daemon_refuses(
    serve: Serve, folder: Path, state: str, code: int, capsys: Capture
) -> None:
    def no(request: Any) -> Any:
        return {
            "ok": True,
            "receipts": [{"id": each["id"], "state": state, "reason": "because"} for each in request["signals"]],
        }

    (folder / "lines").write_text('{"title": "a"}\n')
    assert main(["send", "--json-lines", str(folder / "lines"), "--socket", serve(answering(no)).path]) == code
    assert capsys.readouterr().err == f"tocsin: line 1: {state}: because\n"


def test_json_lines_exits_66_for_a_missing_file(folder: Path, capsys: Capture) -> None:
    assert main(["send", "--json-lines", str(folder / "none"), "--socket", str(folder / "s")]) == 66
    assert "cannot read" in capsys.readouterr().err


def test_json_lines_stops_on_an_endless_device(folder: Path) -> None:
    assert main(["send", "--json-lines", "/dev/zero", "--socket", str(folder / "s")]) == 65


def test_json_lines_exits_66_for_a_folder(folder: Path) -> None:
    assert main(["send", "--json-lines", str(folder), "--socket", str(folder / "s")]) == 66


def test_command_send_cuts_a_long_line_of_stdin_to_title_and_body(serve: Serve, pipe: Pipe) -> None:
    server = serve()
    pipe(b"\0" * 100_000 + b"x" * 1_000_000 + b" the end")
    assert main(["send", "--socket", server.path]) == 0
    [signal] = [request["signal"] for request in server.requests]
    assert len(signal["title"]) == 256
    assert len(signal["body"]) == 4096
    assert signal["body"].endswith("x the end")


def test_command_send_marks_a_body_that_escaping_makes_too_long(serve: Serve, pipe: Pipe) -> None:
    server = serve()
    pipe(b"*" * 3000 + b" the end")
    assert main(["send", "T", "--socket", server.path, "--body", "-"]) == 0
    [signal] = [request["signal"] for request in server.requests]
    assert signal["body"] == "…\n" + "*" * 3000 + " the end"


def test_command_send_skips_blank_lines_before_the_title(serve: Serve, pipe: Pipe) -> None:
    server = serve()
    pipe(b"\n" * 300_000 + b"late\nbody")
    assert main(["send", "--socket", server.path]) == 0
    assert server.requests[0]["signal"]["title"] == "late"


def test_json_lines_sends_a_number_of_thousands_of_digits(serve: Serve, folder: Path) -> None:
    server = serve()
    (folder / "lines").write_text('{"title": "big", "fields": {"n": ' + "1" * 5000 + "}}\n")
    assert main(["send", "--json-lines", str(folder / "lines"), "--socket", server.path]) == 0
    assert server.requests[0]["signals"][0]["fields"]["n"].startswith("111")


@pytest.mark.parametrize(
    ("words", "title"),
    [
        (["--wait", "hello"], "hello"),
        (["--wait=5", "5"], "5"),
        (["--wait", "5", "hello"], "hello"),
        (["hello", "--wait", "5"], "hello"),
    ],
)
def test_command_send_wait_keeps_the_title(serve: Serve, words: list[str], title: str) -> None:
    sent: list[str] = []

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        if request["op"] == "wait":
            return {"ok": True, "state": "delivered"}
        sent.append(request["signal"]["title"])
        return stored(request)

    assert main(["send", *words, "--socket", serve(answering(answer)).path]) == 0
    assert sent == [title]


def test_command_send_wait_explains_a_title_that_became_the_duration(
    folder: Path, pipe: Pipe, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr("sys.stdin", None)
    assert main(["send", "--wait", "5", "--socket", str(folder / "s")]) == 64
    assert "`--wait=30s 5` has the title 5" in capsys.readouterr().err
    pipe(b"")
    assert main(["send", "--wait", "5", "--socket", str(folder / "s")]) == 64
    assert "`--wait=30s 5` has the title 5" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["--format", "markdown"], {"markdown": True}),
        (["--format=code"], {"code": True}),
        (["--code"], {"code": True}),
        (["--format", "text"], {}),
    ],
)
def test_format_says_how_the_body_is_read(serve: Serve, words: list[str], shown: dict[str, Any]) -> None:
    server = serve()
    assert main(["send", "T", "--body", "**b**", *words, "--socket", server.path]) == 0
    signal = server.requests[0]["signal"]
    assert {key: signal[key] for key in ("code", "markdown") if key in signal} == shown
