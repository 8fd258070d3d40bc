"""The command's manners: verbs, help, exit codes, streams."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.client.servers import Serve, Visit, answering, refusing, silent
from tests.harness import PATIENCE

from tocsin import wire
from tocsin.cli import VERBS, main

Capture = pytest.CaptureFixture[str]


def command(*words: str, **settings: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tocsin", *words], capture_output=True, text=True, timeout=30, check=False, **settings
    )


def test_python_dash_m_is_the_command() -> None:
    done = command("--version")
    assert (done.returncode, done.stdout) == (0, "tocsin 0.1.0\n")


@pytest.mark.parametrize("words", [["--help"], *([verb, "--help"] for verb in VERBS)])
def test_help_starts_with_examples_and_ends_with_exit_codes(words: list[str], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as left:
        main(words)
    said = capsys.readouterr().out
    assert left.value.code == 0
    assert 0 < said.index("Examples:") < said.index("usage:") < said.index("Exit codes:")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no verb"),
        (["stats"], "did you mean status?"),
        (["zzz"], "unknown verb: zzz;"),
        (["--sockt", "x"], "did you mean --socket?"),
        (["send", "x", "--priorty", "high"], "did you mean --priority?"),
        (["send", "x", "--conf", "1"], "unrecognized argument: --conf"),  # no abbreviations
        (["send", "x", "y"], "one argument too many: y; a title of several words needs quotes"),
        (["send", "--", "x", "--to", "file"], "--to stands after `--`"),
        (["send", "x", "--field", "rsi"], "'rsi' is not K=V"),
        (["send", "x", "--field=--"], "'--' is not K=V"),
        (["send", "x", "--wait=soon"], "is not a duration"),
        (["send", "x", "--json-lines", "-"], "--json-lines excludes TITLE, --body and --wait"),
        (["why"], "ID is required"),
        (["queue", "--state", "lost"], "--state: invalid choice: lost; choose from "),
        (["queue", "--state", "deed"], "invalid choice: deed; did you mean dead?"),
        (["queue", "--state"], "--state requires a value"),
        (["send", "x", "--message", "y"], "unrecognized argument: --message; did you mean --body?"),
        (["cancel", "X"], "did you mean drop?"),
        (["help"], "did you mean `tocsin --help`?"),
        (["send", "--title", "x"], "unrecognized argument: --title; the title needs no option"),
        (["check"], "did you mean `tocsind check`?"),
        (["queue", "--limit", "0"], "whole number"),
        (["retry"], "either ID or --all is required"),
        (["retry", "X", "--all"], "either ID or --all is required"),
        (["retry", "X", "--destination", "d"], "--destination requires --all"),
        (["status", "--timeout", "5 s"], "is not a duration"),
    ],
)
def test_usage_error_exits_64_with_a_suggestion(words: list[str], said: str, capsys: Capture) -> None:
    assert main(words) == 64
    out, err = capsys.readouterr()
    assert (out, err[:8]) == ("", "tocsin: ")
    assert said in err
    assert "--help`" in err


def test_usage_error_with_json_is_an_object(capsys: Capture) -> None:
    assert main(["send", "--json", "--nonsense"]) == 64
    told = json.loads(capsys.readouterr().out)
    assert (told["schema"], told["ok"], told["error"]["kind"], told["id"], told["state"]) == (
        1,
        False,
        "usage",
        None,
        "refused",
    )
    assert told["reason"] == told["error"]["message"]


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("full", 75),
        ("busy", 75),
        ("stopping", 75),
        ("not-found", 65),
        ("bad-request", 65),
        ("invalid-signal", 65),
        ("unknown-op", 76),
        ("protocol", 76),
        ("internal", 70),
        ("a-kind-from-the-future", 70),
    ],
)
def test_error_kind_determines_the_exit_code(serve: Serve, kind: str, code: int, capsys: Capture) -> None:
    path = serve(answering(refusing(kind))).path
    assert main(["--socket", path, "drop", "X", "--json"]) == code
    out, err = capsys.readouterr()
    assert f"told {kind}" in err
    assert json.loads(out)["ok"] is False


def test_unreadable_answer_is_a_protocol_mismatch(serve: Serve, capsys: Capture) -> None:
    path = serve(lambda visit: visit.connection.sendall(b"HTTP/1.1 400\r\n")).path
    assert main(["status", "--socket", path]) == 76
    assert "one version" in capsys.readouterr().err


def test_socket_without_permission_exits_77(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def forbidden(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tocsin.connection._try", forbidden)
    assert main(["status", "--socket", "/x"]) == 77
    assert "cannot connect to /x" in capsys.readouterr().err


def test_error_without_a_daemon_says_how_to_start_one(folder: Path, capsys: Capture) -> None:
    assert main(["status", "--socket", str(folder / "s")]) == 69
    assert "tocsind run" in capsys.readouterr().err


def test_command_exits_69_when_the_daemon_hangs(serve: Serve) -> None:
    assert main(["status", "--socket", serve(silent).path, "--timeout", "50ms"]) == 69


def test_socket_is_taken_from_environment_or_option_before_or_after_the_verb(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = serve().path
    assert main(["--socket", path, "send", "a"]) == 0
    assert main(["send", "b", "--socket", path]) == 0
    assert main(["--socket", "/nowhere", "send", "c", f"--socket={path}"]) == 0
    monkeypatch.setenv("TOCSIN_SOCKET", path)
    assert main(["send", "d"]) == 0


def test_command_exits_73_when_stdout_is_on_a_full_disk(serve: Serve) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tocsin", "send", "x", "--socket", serve().path],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=30,
            check=False,
        )
    assert (done.returncode, done.stderr) == (73, "tocsin: cannot write: No space left on device\n")


def _facts_without_end(visit: Visit) -> None:
    visit.hear()
    while True:
        visit.tell({"ok": True, "event": {"event": "sent", "at": 0, "level": "info"}})


def test_command_exits_0_when_the_reader_closes_the_pipe(serve: Serve) -> None:
    words = [sys.executable, "-m", "tocsin", "tail", "-f", "--socket", serve(_facts_without_end).path]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as tail:
        assert tail.stdout is not None
        assert tail.stderr is not None
        assert b"sent" in tail.stdout.readline()
        tail.stdout.close()
        assert (tail.wait(PATIENCE), tail.stderr.read()) == (0, b"")


def test_command_exits_130_after_ctrl_c_without_a_traceback(serve: Serve) -> None:
    heard = threading.Event()

    def quiet_tail(visit: Visit) -> None:
        visit.hear()
        heard.set()
        visit.leaving.wait()

    words = [sys.executable, "-m", "tocsin", "tail", "-f", "--socket", serve(quiet_tail).path]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as tail:
        assert heard.wait(PATIENCE)
        tail.send_signal(signal.SIGINT)
        assert (*tail.communicate(timeout=PATIENCE), tail.returncode) == (b"", b"", 130)


def test_command_prints_the_traceback_of_a_bug(serve: Serve, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr("tocsin.client.Client.status", lambda _: 1 / 0)
    assert main(["status", "--socket", serve().path]) == 70
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "a bug in tocsin: ZeroDivisionError" in err


def test_verb_imports_only_its_own_modules() -> None:
    script = "import sys; from tocsin.cli import main; main(['retry']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    loaded = set(done.stdout.split())
    assert "tocsin.cli.operate" in loaded
    assert not {"tocsin.cli.send", "tocsin.cli.status", "tocsin.cli.demo", "tocsind", "trio", "difflib"} & loaded


SEND_PATH = {
    *("tocsin", "tocsin.replies", "tocsin.frames", "tocsin.client", "tocsin.connection", "tocsin.durations"),
    *("tocsin.configuration", "tocsin.lazy_import", "tocsin.notices", "tocsin.trust"),
    *("tocsin.disk_errors", "tocsin.losses"),
    *(
        "tocsin.errors",
        "tocsin.ids",
        "tocsin.paths",
        "tocsin.signals",
        "tocsin.wire",
    ),
    *("tocsin.cli", "tocsin.cli.exit_codes", "tocsin.cli.output", "tocsin.cli.parsing", "tocsin.cli.send"),
    "tocsin.cli.stdin",
    "tocsin.disk_errors",
}
HEAVY = {
    "msgspec",
    "trio",
    "httpx",
    "tocsind",
    "logging",
    "asyncio",
    "subprocess",
    "typing",
    "shutil",
    "pathlib",
    "difflib",
    "argparse",
    "json",
    "socket",
}


@pytest.mark.parametrize("spools", [False, True])
def test_command_send_imports_few_modules(
    serve: Serve, folder: Path, monkeypatch: pytest.MonkeyPatch, spools: bool
) -> None:
    monkeypatch.setenv("TOCSIN_SPOOL", str(folder / "spool"))
    script = "import sys; from tocsin.cli import main; main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    path = "/nowhere" if spools else serve().path
    package = str(Path(wire.__file__).parents[1])
    words = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = [{package!r}]; {script}", "send", "BUY"]
    done = subprocess.run([*words, "--socket", path], capture_output=True, text=True, timeout=30, check=True)
    loaded = set(done.stderr.splitlines()[-1].split())
    assert {name for name in loaded if name.partition(".")[0] == "tocsin"} == SEND_PATH | (
        {"tocsin.daemon_lock", "tocsin.outbox", "tocsin.outbox_format", "tocsin.spool"} if spools else set()
    )
    assert not loaded & HEAVY


def test_command_demo_execs_tocsind_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    became: list[Any] = []
    monkeypatch.setattr(os, "execve", lambda *given: became.append(given))
    monkeypatch.setattr("sys.stdout", sys.__stdout__)
    main(["demo", "--seconds", "3"])
    [(program, words, env)] = became
    assert (program, words) == (sys.executable, [sys.executable, "-m", "tocsind", "demo", "--seconds", "3"])
    assert env == {**os.environ, "PYTHONSAFEPATH": "1"}


def test_command_demo_without_the_daemon_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr("tocsin.cli.demo.find_spec", lambda name: None if name == "trio" else name)
    assert main(["demo"]) == 70
    assert "pip install 'tocsin[daemon]'" in capsys.readouterr().err
