"""`tocsin expect` and `tocsin.expect` against a real daemon: programs that die, hang, leave as they should, and come back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.contracts.test_members import as_member
from tests.harness import GROUP, PATIENCE, DaemonProcess, file, public_folder, route, until

CONFIG = (
    file() + route("local-file") + '[[expect]]\nname = "nightly"\nevery = "24h"\ngrace = "30m"\npriority = "urgent"\n'
)


@pytest.fixture(scope="module")
def daemon() -> Iterator[DaemonProcess]:
    with public_folder() as folder, DaemonProcess(folder, CONFIG) as process:
        process.start()
        yield process


def written(daemon: DaemonProcess, source: str) -> list[dict[str, Any]]:
    """The delivered signals about a program."""
    path = daemon.state / "alerts.jsonl"
    lines = map(json.loads, path.read_text().splitlines() if path.exists() else [])
    return [each for each in lines if each.get("source") == source]


def alarm_of(daemon: DaemonProcess, name: str, nth: int = 1) -> dict[str, Any]:
    until(lambda: len(written(daemon, name)) >= nth)
    return written(daemon, name)[nth - 1]


def expected(daemon: DaemonProcess) -> dict[str, dict[str, Any]]:
    done = daemon.tocsin("expected", "--json")
    assert done.returncode == 0, done.stderr
    return {each["name"]: each for each in json.loads(done.stdout)["expected"]}


def program(daemon: DaemonProcess, text: str, **popen: Any) -> subprocess.Popen[str]:
    """A Python program, which prints when it is ready."""
    patient = "tocsin.expect.__kwdefaults__['timeout'] = tocsin.client._process_wide.timeout = 20"
    code = f"import tocsin, os, sys, time\n{patient}\n{text}"
    return subprocess.Popen([sys.executable, "-c", code], env=daemon.env, stdout=subprocess.PIPE, text=True, **popen)


def await_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"


def end(process: subprocess.Popen[str]) -> int:
    code = process.wait(PATIENCE)
    assert process.stdout is not None
    process.stdout.close()
    return code


@pytest.mark.parametrize(
    ("name", "how", "words"),
    [
        ("killed", "os.kill(os.getpid(), 9)", "by SIGKILL"),
        ("left", "os._exit(0)", "with exit code 0"),
        ("failed", "sys.stderr.close(); raise ValueError", "with exit code 1"),
    ],
)
def test_process_that_ends_without_a_goodbye_is_reported_at_once(
    daemon: DaemonProcess, name: str, how: str, words: str
) -> None:
    process = program(
        daemon,
        f"tocsin.expect({name!r}, every=60).beat('step 3')\ntocsin.send('BUY')\ntocsin.send('SELL')\nprint('ready', flush=True)\n{how}",
    )
    await_ready(process)
    end(process)
    alarm = alarm_of(daemon, name)
    assert alarm["title"].startswith(f"{name} ended without a goodbye")
    assert alarm["priority"] == "high"
    assert "Its last message: step 3\nIts last signal: SELL (" in alarm["body"]
    assert words in alarm["title"]
    assert f"Its process {process.pid} ended {words}." in alarm["body"]
    assert (expected(daemon)[name]["state"], expected(daemon)[name]["cause"]) == ("reported", "left")
    assert daemon.status()["expectations"]["late"].count(name) == 1
    assert name in daemon.tocsin("status").stdout.partition("late: ")[2].partition("\n\n")[0]
    assert f'tocsin_expectation_late{{name="{name}"}} 1.0' in daemon.tocsin("status", "--prometheus").stdout


def test_block_killed_inside_is_reported_and_its_next_run_brings_the_all_clear(daemon: DaemonProcess) -> None:
    text = "with tocsin.expect('block', every='24h'):\n    print('ready', flush=True)\n    sys.stdin.read()"
    process = program(daemon, text, stdin=subprocess.PIPE)
    await_ready(process)
    assert expected(daemon)["block"]["pid"] == process.pid
    process.send_signal(signal.SIGKILL)
    end(process)
    alarm = alarm_of(daemon, "block")
    again = program(daemon, text, stdin=subprocess.DEVNULL)
    await_ready(again)
    assert end(again) == 0
    back = alarm_of(daemon, "block", nth=2)
    assert back["title"].startswith("block is back after ")
    assert alarm["id"] in back["key"], "one story"
    assert (expected(daemon)["block"]["state"], expected(daemon)["block"]["pid"]) == ("waiting", None)
    if process.stdin:
        process.stdin.close()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("calm-block", "with tocsin.expect('calm-block', every=60): pass"),
        ("calm-end", "tocsin.expect('calm-end', every=60).beat()"),
        ("calm-exit", "with tocsin.expect('calm-exit', every=60): sys.exit(0)"),
        ("calm-child", "tocsin.expect('calm-child', every=60).beat()\nif os.fork() == 0: sys.exit(0)\nos.wait()"),
    ],
)
def test_process_that_ends_as_it_should_is_not_reported(daemon: DaemonProcess, name: str, text: str) -> None:
    process = program(daemon, f"{text}\n")
    assert end(process) == 0
    assert expected(daemon)[name]["pid"] is None, "the goodbye ended the watch"
    assert not written(daemon, name)


def test_block_that_fails_says_no_goodbye(daemon: DaemonProcess) -> None:
    text = "try:\n    with tocsin.expect('caught', every=60): raise ValueError\nexcept ValueError: pass"
    assert end(program(daemon, text)) == 0
    assert alarm_of(daemon, "caught")["title"].startswith("caught ended without a goodbye")


def test_hung_program_is_reported_by_its_beat_and_its_return_with_the_gap(daemon: DaemonProcess) -> None:
    text = "e = tocsin.expect('hung', every=0.5)\ne.beat('epoch 1')\nprint('ready', flush=True)\nsys.stdin.readline()\nprint(e.beat())"
    process = program(daemon, text, stdin=subprocess.PIPE)
    await_ready(process)
    alarm = alarm_of(daemon, "hung")
    assert alarm["title"].startswith("hung is silent: no heartbeat for ")
    assert f"Its process {process.pid} still runs: it may hang.\nIts last message: epoch 1" in alarm["body"]
    assert process.communicate("\n", PATIENCE)[0] == "True\n"
    assert alarm_of(daemon, "hung", nth=2)["title"].startswith("hung is back after ")
    daemon.tocsin("expect", "hung", "--done")


def test_run_expects_its_command_by_base_name_and_says_goodbye(daemon: DaemonProcess) -> None:
    assert daemon.tocsin("run", "--expect", "1h", "--", "/bin/true").returncode == 0
    found = expected(daemon)["true"]
    assert (found["every"], found["state"], found["pid"]) == (3600, "waiting", None)
    command = [sys.executable, "-m", "tocsin", "run", "--expect", "1h", "--", "/bin/cat"]
    run = subprocess.Popen(command, env=daemon.env, stdin=subprocess.PIPE)
    until(lambda: "cat" in expected(daemon))
    run.kill()
    run.wait(PATIENCE)
    alarm = alarm_of(daemon, "cat")
    assert run.stdin is not None
    run.stdin.close()
    assert alarm["title"] == "cat ended without a goodbye, by SIGKILL"
    assert not written(daemon, "true")


def test_shell_beats_and_ends_an_expectation(daemon: DaemonProcess) -> None:
    unknown = daemon.tocsin("expect", "shell")
    assert (unknown.returncode, "the first heartbeat says how often" in unknown.stderr) == (65, True)
    first = daemon.tocsin("expect", "shell", "--every", "5m", "-p", "low", "--message", "14 GB")
    assert (first.returncode, first.stdout, first.stderr) == (0, "", "")
    found = expected(daemon)["shell"]
    assert (found["every"], found["grace"], found["priority"], found["message"]) == (300, 30, "low", "14 GB")
    assert (found["uid"], found["pid"], found["configured"]) == (os.getuid(), None, False)
    assert daemon.tocsin("expect", "shell").returncode == 0
    assert json.loads(daemon.tocsin("expect", "shell", "--grace", "10", "--json").stdout)["expectation"]["grace"] == 10
    assert "shell" in daemon.tocsin("expected").stdout
    assert daemon.tocsin("expect", "shell", "--done").returncode == 0
    assert "shell" not in expected(daemon)
    assert daemon.tocsin("expect", "shell", "--done").returncode == 65


def test_ended_expectation_whose_alarm_stands_is_told(daemon: DaemonProcess) -> None:
    daemon.tocsin("expect", "gone", "--every", "0.1", "--grace", "0")
    alarm_of(daemon, "gone")
    daemon.tocsin("expect", "gone", "--done")
    assert alarm_of(daemon, "gone", nth=2)["title"] == "gone is no longer expected"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["x", "--every", "soon"], 64, "is not a duration"),
        (["x", "--every", "5m", "--done"], 64, "--done takes no other option"),
        (["tocsin", "--every", "5m"], 65, "is reserved to tocsin itself"),
        (["x", "--every", "0.01"], 65, "at least 0.1 s"),
        (["x" * 65, "--every", "5m"], 65, "1 to 64 printable characters"),
        (["x", "--every", "5m", "--to", "nowhere"], 65, "no destination 'nowhere'"),
        (["nightly", "--done"], 65, "remove its [[expect]] and reload"),
    ],
)
def test_unusable_expectation_is_refused_with_a_reason(
    daemon: DaemonProcess, words: list[str], code: int, says: str
) -> None:
    done = daemon.tocsin("expect", *words)
    assert (done.returncode, says in done.stderr) == (code, True), done.stderr


def test_configured_expectation_exists_from_the_start_and_any_user_may_beat(daemon: DaemonProcess) -> None:
    found = expected(daemon)["nightly"]
    assert (found["every"], found["grace"], found["priority"]) == (86_400, 1800, "urgent")
    assert (found["configured"], found["uid"], found["last"]) == (True, None, None)
    assert daemon.tocsin("expect", "nightly", "--every", "1s").returncode == 0
    found = expected(daemon)["nightly"]
    assert (found["every"], found["last"] is not None) == (86_400, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_member_has_expectations_of_its_own(daemon: DaemonProcess) -> None:
    os.chown(daemon.socket, 0, GROUP)
    daemon.tocsin("expect", "same", "--every", "1h")
    made = as_member(daemon, lambda client: client.request("expect", name="same", every=60)["expectation"])
    rows = daemon.client.request("expected")["expected"]
    assert sorted((each["uid"], each["every"]) for each in rows if each["name"] == "same") == sorted(
        [(0, 3600), (made["uid"], 60)]
    )
    assert as_member(daemon, lambda client: client.request("goodbye", name="true", forget=True)).startswith("not-found")
    assert as_member(daemon, lambda client: client.request("expect", name="nightly")["expectation"]["configured"])
    daemon.tocsin("expect", "same", "--done")
    assert daemon.tocsin("expect", "same", "--done").returncode == 0, "root may end the member's"


def test_reload_expects_what_alerts_toml_names_and_forgets_the_rest(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, CONFIG).start() as daemon:
        daemon.tocsin("expect", "weekly", "--every", "1h")
        daemon.configure(CONFIG.replace("nightly", "weekly").replace("24h", "7d"))
        daemon.reload()
        daemon.wait_for("reloaded")
        assert [(each["every"], each["configured"]) for each in expected(daemon).values()] == [(604_800, True)]
        daemon.configure(file() + route("local-file"))
        daemon.reload()
        daemon.wait_for("reloaded", nth=2)
        assert expected(daemon) == {}


def test_restarted_daemon_watches_again_and_raises_no_false_alarm(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, CONFIG).start() as daemon:
        loop = "e = tocsin.expect('bot', every=4)\ne.beat()\nprint('ready', flush=True)\nwhile True:\n    time.sleep(0.2); e.beat()"
        with (
            program(daemon, loop, stderr=subprocess.DEVNULL) as bot,
            program(
                daemon, "with tocsin.expect('job', every='1h'):\n    print('ready', flush=True)\n    time.sleep(60)"
            ) as job,
            program(
                daemon, "with tocsin.expect('ended', every='1h'):\n    print('ready', flush=True)\n    time.sleep(60)"
            ) as ended,
        ):
            for each in (bot, job, ended):
                await_ready(each)
            daemon.kill()
            ended.kill()
            ended.wait(PATIENCE)
            time.sleep(4.5)  # longer than the bot's beats are apart, and its grace
            daemon.start()
            until(lambda: expected(daemon)["bot"]["last_seconds"] < 1)
            assert [written(daemon, name) for name in ("bot", "job", "ended")] == [[], [], []]
            assert expected(daemon)["job"]["pid"] == job.pid
            assert expected(daemon)["ended"]["pid"] is None, "its goodbye may have been lost with the daemon"
            for each in (bot, job):
                each.kill()
            for name in ("bot", "job"):
                assert alarm_of(daemon, name)["title"].startswith(f"{name} ended without a goodbye")


def test_stopped_daemon_raises_no_false_alarm_when_it_goes_on(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, CONFIG).start() as daemon:
        daemon.tocsin("expect", "job", "--every", "4s", "--grace", "0")  # so long may the question below take
        daemon.process.send_signal(signal.SIGSTOP)
        time.sleep(6.5)
        daemon.process.send_signal(signal.SIGCONT)
        assert expected(daemon)["job"]["state"] == "waiting"
        assert not written(daemon, "job")
        assert alarm_of(daemon, "job")["title"].startswith("job is silent: no heartbeat for ")
