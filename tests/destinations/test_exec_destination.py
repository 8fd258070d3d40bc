"""Kind "exec": what each end of a command means, what it gets, and that nothing of it outlives its deadline."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import trio
from tests.destinations.signals import delivery

from tocsind.config import Config, ConfigurationInvalid, parse
from tocsind.config.kinds.exec import ExecOptions
from tocsind.destinations import child
from tocsind.destinations.exec import ExecDestination
from tocsind.policy.delivery import Delivery
from tocsind.policy.outcomes import Cause, Deferred, Delivered, Outcome, Refused
from tocsind.secret import Secret

FILE = {"kind": "file", "path": "f.jsonl"}


def configured(**keys: Any) -> Config:
    destinations = {"d": {"kind": "exec", **keys}, "f": FILE}
    return parse(tomli_w.dumps({"destinations": destinations, "routes": [{"to": ["d", "f"]}]}), "alerts.toml")


def problem(**keys: Any) -> str:
    with pytest.raises(ConfigurationInvalid) as caught:
        configured(**keys)
    return str(caught.value)


def script(folder: Path, text: str) -> str:
    path = folder / "command"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


async def outcomes(command: str, *batch: Delivery, **options: Any) -> tuple[Outcome, ...]:
    destination = ExecDestination(ExecOptions(command=(command, "an argument"), **options))
    return (await destination.deliver(batch or [delivery()])).outcomes


async def outcome(command: str, *batch: Delivery, **options: Any) -> Outcome:
    return (await outcomes(command, *batch, **options))[0]


def test_configuration_names_what_is_wrong_with_a_command(tmp_path: Path) -> None:
    program = Path(script(tmp_path, "true"))
    assert 'must be a list like ["/usr/local/bin/notify", "argument"], not text' in problem(command="/bin/true x")
    assert "depends on the working folder" in problem(command=["notify"])
    assert "an argument must be text, not a number" in problem(command=["/bin/true", 1])
    assert "missing" in problem()
    program.chmod(0o644)
    assert "it is not executable" in problem(command=[str(program)])
    program.chmod(0o757)
    assert "other users than its owner may write to it" in problem(command=[str(program)])
    program.chmod(0o755)
    assert configured(command=[str(program)]).destinations["d"].disabled is None
    tmp_path.chmod(0o777)
    assert "may write to its folder" in problem(command=[str(program)])
    tmp_path.chmod(0o700)


def test_command_below_a_folder_that_others_may_change_is_refused(tmp_path: Path) -> None:
    inner = tmp_path / "open" / "inner"
    inner.mkdir(parents=True)
    program = script(inner, "true")
    (tmp_path / "open").chmod(0o777)
    assert f"other users than its owner may write to {tmp_path}/open" in problem(command=[program])


def test_missing_command_or_variable_disables_the_destination(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NOT_THERE", raising=False)
    gone = str(tmp_path / "gone")
    assert configured(command=[gone]).destinations["d"].disabled == f"{gone} does not exist"
    found = configured(command=["/bin/true"], env=["NOT_THERE"]).destinations["d"]
    assert found.disabled == "NOT_THERE is not set"
    assert "is no name of a variable" in problem(command=["/bin/true"], env=["A=b"])


def test_value_of_a_variable_is_a_secret_unless_its_name_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAGER_KEY", "a-long-secret-value")
    monkeypatch.setenv("HOME", "/somewhere")
    options = configured(command=["/bin/true"], env=["PAGER_KEY", "HOME"]).destinations["d"].options
    assert isinstance(options, ExecOptions)
    assert options.environment == {"PAGER_KEY": Secret("a-long-secret-value"), "HOME": "/somewhere"}


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        (0, Delivered()),
        (75, Deferred("75 from the command")),
        (69, Deferred("69 from the command")),
        (65, Refused("65 from the command: last words")),
        (64, Refused("64 from the command: last words", strike=True)),
        (77, Refused("77 from the command: last words", disable=True)),
        (78, Refused("78 from the command: last words", disable=True)),
        (127, Refused("127 from the command: last words", disable=True)),
        (1, Deferred("1 from the command", ambiguous=True)),
    ],
)
async def test_exit_code_decides(tmp_path: Path, code: int, meaning: Outcome) -> None:
    command = script(tmp_path, f"cat >/dev/null; echo first; echo last words >&2; exit {code}")
    assert await outcome(command) == meaning


async def test_command_that_a_signal_ended_may_have_done_its_work(tmp_path: Path) -> None:
    assert await outcome(script(tmp_path, "kill -KILL $$")) == Deferred("137 from the command", ambiguous=True)


async def test_refused_batch_is_sent_again_in_halves(tmp_path: Path) -> None:
    found = await outcomes(script(tmp_path, "exit 65"), delivery("a"), delivery("b"))
    assert [each.cause for each in found if isinstance(each, Deferred)] == [Cause.BATCH_REJECTED] * 2


async def test_command_gets_the_batch_as_lines_and_nothing_of_it_in_its_arguments(tmp_path: Path) -> None:
    command = script(tmp_path, f'cat > {tmp_path}/in; printf "%s\\n" "$@" > {tmp_path}/arguments; pwd > {tmp_path}/pwd')
    assert await outcome(command, delivery("`touch x`"), delivery("b", price=2.5)) == Delivered()
    lines = [json.loads(line) for line in (tmp_path / "in").read_text().splitlines()]
    assert [(line["title"], line.get("price")) for line in lines] == [("`touch x`", None), ("b", 2.5)]
    assert lines[0]["priority"] == "normal"
    assert lines[0]["destination"] == "signals-premium"
    assert (tmp_path / "arguments").read_text() == "an argument\n"
    assert (tmp_path / "pwd").read_text() == "/\n"


async def test_command_gets_a_clean_environment_and_the_variables_that_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISCORD_WEBHOOK", "https://discord.com/api/webhooks/1/x")
    command = script(tmp_path, f"cat /proc/$$/environ > {tmp_path}/environment")
    await outcome(command, environment={"PAGER_KEY": Secret("a-long-secret-value"), "TZ": "UTC"})
    found = (tmp_path / "environment").read_text().split("\0")
    assert {each.partition("=")[0] for each in found if each} == {"PATH", "LANG", "PAGER_KEY", "TZ"}
    assert "PAGER_KEY=a-long-secret-value" in found


async def test_command_that_ignores_its_input_is_no_failure(tmp_path: Path) -> None:
    many = [delivery("t", body="b" * 4000) for _ in range(10)]
    many *= 10
    assert await outcome(script(tmp_path, "exec true"), *many) == Delivered()


async def test_endless_output_is_read_and_not_kept(tmp_path: Path) -> None:
    command = script(tmp_path, "head -c 30000000 /dev/zero; echo; echo the end")
    ended = await child.run([command], b"", child.clean_environment(), 30.0)
    assert ended.code == 0
    assert len(ended.output) == child.OUTPUT
    assert ended.output.endswith(b"\nthe end\n")


async def test_child_that_holds_the_output_open_is_not_waited_for(tmp_path: Path) -> None:
    command = script(tmp_path, f"sleep 60 & echo $! > {tmp_path}/pid; exit 0")
    with trio.fail_after(20):
        assert await outcome(command) == Delivered()
    os.kill(int((tmp_path / "pid").read_text()), 9)


@pytest.mark.parametrize("priority", ["urgent", "low"])
async def test_hanging_command_is_killed_with_its_children_and_may_have_done_its_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, priority: str
) -> None:
    monkeypatch.setattr(child, "GRACE", 0.1)
    inner = f"trap '' TERM; echo $$ > {shlex.quote(f'{tmp_path}/pid')}; while :; do sleep 1; done"
    command = script(tmp_path, f"trap '' TERM; sh -c {shlex.quote(inner)} & wait")
    with trio.fail_after(20):
        found = await outcome(command, delivery(priority=priority), deadline=4.0)
    assert found == Deferred("killed after 4 s", ambiguous=True)
    await until_gone(int((tmp_path / "pid").read_text()))


async def test_cancelled_command_is_killed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pid")
    command = script(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 60")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outcome, command)
        pid = int(await trio.to_thread.run_sync((tmp_path / "pid").read_text))
        nursery.cancel_scope.cancel()
    await until_gone(pid)


async def until_gone(pid: int) -> None:
    """Wait until a process has ended; one that its parent has not waited for yet counts."""
    with trio.fail_after(30):
        while _is_alive(pid):  # noqa: ASYNC110 - it is no child of this process
            await trio.sleep(0.01)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_command_that_others_may_change_meanwhile_is_not_started(tmp_path: Path) -> None:
    command = script(tmp_path, f"touch {tmp_path}/started")
    await trio.Path(command).chmod(0o777)
    found = await outcome(command)
    assert isinstance(found, Refused)
    assert found.disable
    assert "other users than its owner may write to it" in found.reason
    assert not (tmp_path / "started").exists()


async def test_command_without_an_interpreter_is_deferred(tmp_path: Path) -> None:
    path = tmp_path / "command"
    path.write_text("#!/nowhere/at/all\n")
    path.chmod(0o755)
    found = await outcome(str(path))
    assert found == Deferred(
        "the command cannot be started: the program in its first line (#!) does not exist", unsent=True
    )


def test_command_that_is_no_program_is_warned_about(tmp_path: Path) -> None:
    path = Path(script(tmp_path, "true"))
    assert configured(command=[str(path)]).warnings == configured(command=["/bin/true"]).warnings
    path.write_text("echo a script without its first line\n")
    assert "does not begin with #!" in " ".join(configured(command=[str(path)]).warnings)


async def test_command_that_is_no_program_disables_the_destination(tmp_path: Path) -> None:
    path = tmp_path / "command"
    path.write_text("echo a script without its first line\n")
    path.chmod(0o755)
    found = await outcome(str(path))
    assert isinstance(found, Refused)
    assert found.disable
    assert found.reason.startswith(f"{path} cannot be started: it is a script whose first line does not begin with #!")
    path.write_text(f"#!{tmp_path}\n")  # a folder is not executed
    found = await outcome(str(path))
    assert isinstance(found, Refused)
    assert "must not be executed" in found.reason


def test_preview_shows_command_and_lines() -> None:
    payload = ExecDestination(ExecOptions(command=(sys.executable, "x"))).preview([delivery("a")])["payload"]
    assert payload["command"] == [sys.executable, "x"]
    assert [line["title"] for line in payload["lines"]] == ["a"]
