"""`tocsin run -- CMD`: the command as if we were not there, and a word about how it ended."""

from __future__ import annotations

import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.client.servers import Serve, Server, answering, silent, stored
from tests.harness import PATIENCE

from tocsin.cli.job_name import job_name
from tocsin.origin import unit_of

RUN = [sys.executable, "-m", "tocsin", "run"]


def run(path: str, *words: str, **settings: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*RUN, "--socket", path, *words], capture_output=True, timeout=30, check=False, **settings)


def shell(script: str) -> list[str]:
    return ["--", "sh", "-c", script]


def told(server: Server) -> dict[str, Any]:
    [request] = server.requests
    signal_: dict[str, Any] = request["signal"]
    return signal_


def test_command_run_reports_a_failure_with_code_duration_and_last_lines(serve: Serve) -> None:
    server = serve()
    done = run(server.path, *shell("echo fine; echo broken >&2; exit 3"))
    assert (done.returncode, done.stdout, done.stderr) == (3, b"fine\n", b"broken\n")
    alert = told(server)
    assert alert["title"].startswith("sh failed with exit code 3 after ")
    assert sorted(alert["body"].split("\n")) == ["broken", "fine"]
    assert (alert["priority"], alert["source"], alert["fields"]["exit code"]) == ("high", "sh", 3)
    assert alert["fields"]["duration"].endswith("s")


def test_command_run_reports_success_only_with_on_always(serve: Serve) -> None:
    server = serve()
    assert run(server.path, "--", "true").returncode == 0
    assert server.requests == []
    assert run(server.path, "--on", "always", "--", "true").returncode == 0
    assert (told(server)["title"][:15], told(server)["priority"]) == ("true succeeded ", "low")


def test_command_run_options_set_the_signals_fields(serve: Serve) -> None:
    server = serve()
    words = [
        "--title",
        "Backup",
        "-p",
        "urgent",
        "--tier",
        "t",
        "--key",
        "k",
        "--tag",
        "a",
        "--tag",
        "b",
        "--to",
        "d",
        "--lines",
        "1",
    ]
    run(server.path, *words, *shell("echo one; echo two; false"))
    alert = told(server)
    assert {name: alert[name] for name in ("title", "priority", "tier", "key", "tags", "to", "body")} == {
        "title": "Backup", "priority": "urgent", "tier": "t", "key": "k", "tags": ["a", "b"], "to": ["d"], "body": "two",
    }  # fmt: skip


def test_command_run_hides_options_and_possible_passwords(serve: Serve) -> None:
    server = serve()
    run(server.path, "--", "/usr/bin/env", "false", "SECRET=1", "--password", "hunter2")
    assert told(server)["title"].startswith("false failed")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_command_run_exits_with_128_and_the_signals_number(serve: Serve, number: signal.Signals) -> None:
    server = serve()
    assert run(server.path, *shell(f"kill -{number.value} $$")).returncode == 128 + number
    assert f"was ended by {number.name}" in told(server)["title"]


@pytest.mark.parametrize(("command", "code"), [("no-such-command", 127), ("/etc/passwd", 126), ("/", 126)])
def test_command_run_exits_126_or_127_like_a_shell(serve: Serve, command: str, code: int) -> None:
    server = serve()
    done = run(server.path, "--", command)
    assert done.returncode == code
    assert done.stderr.startswith(f"tocsin: cannot run {command}: ".encode())
    signal = told(server)
    assert signal["title"].endswith(" could not be started")
    assert "duration" not in signal["fields"]


@pytest.mark.parametrize("words", [["make"], ["--"], ["--on", "never", "--", "make"], ["--lines", "-1", "--", "make"]])
def test_command_run_runs_nothing_after_a_usage_error(folder: Path, words: list[str]) -> None:
    assert run(str(folder / "s"), *words).returncode == 64


def test_command_run_without_a_daemon_keeps_the_commands_exit_code(folder: Path) -> None:
    env = {**os.environ, "TOCSIN_SPOOL": "/dev/null/spool"}
    done = run(str(folder / "s"), *shell("echo out; exit 3"), env=env)
    assert (done.returncode, done.stdout) == (3, b"out\n")
    assert done.stderr.startswith(b"tocsin: no signal was sent: dropped: no daemon")


def test_command_run_with_a_hung_daemon_takes_at_most_the_timeout(serve: Serve, spool: Path) -> None:
    assert run(serve(silent).path, "--timeout", "50ms", "--", "false").returncode == 1
    assert len(list(spool.iterdir())) == 1


def test_command_run_passes_output_on_unchanged(serve: Serve) -> None:
    script = "import os; [os.write(1, bytes(range(256)) * 256) for _ in range(64)]; os.write(2, b'\\xff' * 5)"
    done = run(serve().path, "--", sys.executable, "-c", script)
    assert (done.returncode, done.stdout, done.stderr) == (0, bytes(range(256)) * 256 * 64, b"\xff" * 5)


def test_command_run_passes_output_on_at_once(serve: Serve) -> None:
    words = [*RUN, "--socket", serve().path, *shell("echo first; read line; echo $line")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        assert running.stdout.readline() == b"first\n"
        running.stdin.write(b"second\n")
        running.stdin.flush()
        assert running.stdout.readline() == b"second\n"
        assert running.wait(PATIENCE) == 0


def test_command_run_reports_only_the_end_of_a_long_output(serve: Serve) -> None:
    server = serve()
    run(server.path, "--", sys.executable, "-c", "print('x' * 1_000_000); [print(n) for n in range(999)]; exit(1)")
    assert told(server)["body"].split("\n") == [str(n) for n in range(979, 999)]
    server.requests.clear()
    run(server.path, "--", sys.executable, "-c", "print('x' * 1_000_000); exit(1)")
    assert told(server)["body"] == "x" * 2999


@pytest.mark.parametrize("name", ["TERM", "HUP", "INT", "USR1"])
def test_command_run_passes_signals_on(serve: Serve, name: str) -> None:
    words = [
        *RUN,
        "--socket",
        serve().path,
        *shell(f"trap 'echo got; exit 7' {name}; echo up; while :; do sleep 0.01; done"),
    ]
    with subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"up\n"
        running.send_signal(getattr(signal, f"SIG{name}"))
        assert running.stdout.read() == b"got\n"
        assert running.wait(PATIENCE) == 7


_COUNTING = """
import signal, time
heard = []
signal.signal(signal.SIGINT, lambda *_: heard.append(1))
print("up", flush=True)
while not heard:
    time.sleep(0.01)
end = time.monotonic() + 0.3  # a second one would come within microseconds of the first
while time.monotonic() < end:
    time.sleep(0.01)
print("got", len(heard), flush=True)
"""


def test_command_run_passes_ctrl_c_at_a_terminal_once(serve: Serve) -> None:
    path = serve().path
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [*RUN, "--socket", path, "--", sys.executable, "-c", _COUNTING])
    with os.fdopen(terminal, "rb", buffering=0) as screen:
        said = b""
        while b"up" not in said:
            said += screen.read(100)
        os.write(terminal, b"\x03")
        while not re.search(rb"got \d", said):
            said += screen.read(100)
    os.waitpid(pid, 0)
    assert b"got 1" in said


def test_command_run_exits_before_a_background_process_and_keeps_its_output(serve: Serve, folder: Path) -> None:
    os.mkfifo(folder / "go")
    script = f"(read line < {folder / 'go'}; echo later) & echo now; exit 5"
    with subprocess.Popen([*RUN, "--socket", serve().path, *shell(script)], stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.wait(PATIENCE) == 5
        assert running.stdout.readline() == b"now\n"
        (folder / "go").write_text("\n")
        assert running.stdout.read() == b"later\n"


def test_command_run_passes_a_broken_pipe_on(serve: Serve) -> None:
    server = serve()
    words = [*RUN, "--socket", server.path, "--on", "always", "--", "yes"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.read(10)
        running.stdout.close()
        assert running.wait(PATIENCE) == 128 + signal.SIGPIPE
    assert "SIGPIPE" in told(server)["title"]


def test_command_run_passes_ignored_signals_on(serve: Serve) -> None:
    script = "import signal; print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)"
    done = run(
        serve().path,
        "--",
        sys.executable,
        "-c",
        script,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    assert done.stdout == b"True\n"


def test_command_run_takes_the_options_of_send(serve: Serve) -> None:
    server = serve()
    words = "--body restore --field db=orders --field rows=3 --link https://wiki.example/x --expires 5m --symbol S --host h --source o"
    run(server.path, *words.split(), "-p", "CRITICAL", *shell("echo out; false"))
    alert = told(server)
    assert alert["fields"] | {"duration": ""} == {"exit code": 1, "duration": "", "db": "orders", "rows": "3"}
    assert (alert["body"], alert["link"], alert["symbol"]) == ("restore\n\nout", "https://wiki.example/x", "S")
    assert (alert["host"], alert["source"], alert["priority"]) == ("h", "o", "urgent")
    assert alert["expires"] == 300


@pytest.mark.parametrize("words", [["--body", "-"], ["--field", "x"], ["--expect", ""]])
def test_command_run_runs_nothing_after_a_wrong_option(folder: Path, words: list[str]) -> None:
    done = run(str(folder / "s"), *words, "--", "touch", str(folder / "ran"))
    assert (done.returncode, (folder / "ran").exists()) == (64, False)


def test_command_run_reports_by_the_routes_when_to_is_unknown(serve: Serve) -> None:
    def answer(request: dict[str, Any]) -> dict[str, Any]:
        if request.get("signal", {}).get("to"):
            return {"ok": False, "error": {"kind": "invalid-signal", "message": "to: there is no destination 'd'"}}
        return stored(request)

    done = run(serve(answering(answer)).path, "--to", "d", "--", "false")
    assert (done.returncode, b"goes by the routes" in done.stderr) == (1, True)
    assert b"no signal was sent" not in done.stderr


def test_command_run_wait_keeps_the_commands_exit_code(serve: Serve) -> None:
    def answer(request: dict[str, Any]) -> dict[str, Any]:
        return {"ok": True, "state": "dead"} if request["op"] == "wait" else stored(request)

    done = run(serve(answering(answer)).path, "--wait", "5", "--", "sh", "-c", "exit 3")
    assert (done.returncode, done.stdout) == (3, b"")
    assert b" is dead; see `tocsin why " in done.stderr


def test_command_run_strict_spools_nothing(folder: Path, spool: Path) -> None:
    done = run(str(folder / "s"), "--strict", "--", "false")
    assert (done.returncode, b"no signal was sent: dropped" in done.stderr) == (1, True)
    assert not spool.exists() or not list(spool.iterdir())


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_command_run_works_with_closed_streams(serve: Serve, folder: Path, closed: str) -> None:
    server = serve()
    command = f"{sys.executable} -m tocsin run --socket {server.path} -- sh -c 'echo out; exit 3' {closed}"
    assert subprocess.run(["sh", "-c", command], timeout=30, check=False, capture_output=True).returncode == 3
    assert told(server)["body"] == "out"


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("sh -c 'backup.sh --x'", "backup.sh"),
        ("bash /path/x.sh", "x.sh"),
        ("python -m pkg", "pkg"),
        ("env FOO=1 cmd", "cmd"),
        ("timeout -s KILL 5 cmd", "cmd"),
        ("nice -n 5 make backup", "make backup"),
        ("sudo -u db timeout 5m python3.11 -m reports daily --token x", "reports daily"),
        ("bash -euo pipefail -c 'cd /srv; export A=1\nif ! rsync a b 2>&1 | tee log; then exit 1; fi'", "rsync a b"),
        ("flock /run/lock -c 'backup.sh'", "backup.sh"),
        ("sh -c 'echo fine >&2; exit 3'", "sh"),
        ("sh -c 'cd /x && backup.sh'", "backup.sh"),
        ("sh -c 'set -e; ./job'", "job"),
        ("sh -c 'exec job'", "job"),
        ("sh -c '. env; job'", "job"),
        ("sh -c 'VAR=1 job'", "job"),
        ("sh -c 'A=$(date) B=`date` exec job'", "job"),
        ("sh -c 'cd \"$(dirname x)\" && ./job'", "job"),
        ("bash -c '[[ -f x ]] || exit; shopt -s x; declare -x A=1; alias a=b; eval job'", "job"),
        ("sh -c 'command -v gzip >/dev/null || exit 1; command job'", "job"),
        ("sh -c 'TOKEN=abc curl -H x https://a'", "curl"),
        ("perl -lane 'print 1' x", "perl"),
        ('sh -c "open \'quote"', "sh"),
        ("env false SECRET=1 --password x", "false"),
        ("/", "/"),
    ],
)
def test_job_name_is_that_of_the_script(command: str, name: str) -> None:
    assert job_name(shlex.split(command)) == name


@given(
    st.lists(
        st.sampled_from(
            ("sh", "env", "sudo", "-c", "-u", "python", "-m", "timeout", "--", "5", "A=b", "cd /; ./y", "'", "")
        ),
        min_size=1,
    )
)
def test_job_name_exists_for_any_command(command: list[str]) -> None:
    assert len(job_name(command)) <= 100


@pytest.mark.parametrize(
    ("cgroups", "unit"),
    [
        ("0::/system.slice/backup.service\n", "backup.service"),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/sync.service\n", "sync.service"),
        ("0::/user.slice/user-1000.slice/user@1000.service\n", None),
        ("0::/user.slice/user-1000.slice/session-3.scope\n", None),
        ("0::/system.slice/docker.service/libpod-1.scope\n", None),
        ("9:name=systemd:/system.slice/cron.service\n8:pids:/\n", "cron.service"),
        ("0::/\n", None),
        ("", None),
        ("nonsense", None),
    ],
)
def test_unit_is_the_innermost_service(cgroups: str, unit: str | None) -> None:
    assert unit_of(cgroups) == unit


def test_command_run_names_cron_as_the_starter(serve: Serve, folder: Path) -> None:
    server = serve()
    shutil.copy(shutil.which("sh") or "/bin/sh", folder / "cron")
    job = f"{sys.executable} -m tocsin run --socket {server.path} -- false; true"
    subprocess.run([str(folder / "cron"), "-c", job], timeout=30, check=True)
    assert told(server)["fields"]["started by"] == "cron"
