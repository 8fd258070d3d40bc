"""The command `tocsind`: help, version, check, init and usage errors; exit codes, stdout and stderr."""

from __future__ import annotations

import json
import os
import sqlite3
import ssl
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import trio
from tests import fork_server
from tests.harness import PATIENCE

import tocsind

FIVE_MISTAKES = """\
[daemon]
ledger = "a while"

[destinations.d]
kind    = "discord"
webhook = { env = "DISCORD_WEBHOOK_D" }
limt    = "30/min"

[destinations.f]
kind = "fax"

[[routes]]
when = { teir = "premium" }
to   = ["d", "nowhere"]
"""
MISTAKEN_LINES = (2, 7, 10, 13, 14)

# fails at any use of the network, before it happens
WATCHED = """\
import os, sys, runpy
def watch(event, _):
    if event.startswith("socket."):
        os.write(2, f"NETWORK {event}\\n".encode())
        os._exit(99)
sys.addaudithook(watch)
sys.argv[0] = "tocsind"
runpy.run_module("tocsind", run_name="__main__")
"""


def tocsind_(*arguments: str, folder: Path, watched: bool = False, **env: str) -> subprocess.CompletedProcess[str]:
    """Run it in `folder`."""
    command = ["-c", WATCHED] if watched else ["-m", "tocsind"]
    places = {"STATE_DIRECTORY": str(folder / "state"), "TOCSIN_SOCKET": str(folder / "t.sock")}
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("DISCORD_", "TOCSIN_"))}
    return fork_server.run(
        [sys.executable, *command, *arguments],
        cwd=folder,
        env={**clean, **places, **env},
        timeout=PATIENCE,
    )


# --- check -------------------------------------------------------------------------------------------------------------


def test_check_reports_five_mistakes_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "alerts.toml").write_text(FIVE_MISTAKES)
    done = tocsind_("check", "--config", "alerts.toml", folder=tmp_path)
    assert done.returncode == 78
    assert done.stdout == ""
    output = done.stderr.splitlines()
    assert [line.split(": ")[1] for line in output] == [f"alerts.toml:{line}" for line in MISTAKEN_LINES]
    for line, words in zip(output, ("ledger", "limt", "fax", "teir", "nowhere"), strict=True):
        assert words in line


def test_run_reports_the_same_mistakes_as_check_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "alerts.toml").write_text(FIVE_MISTAKES)
    checked = tocsind_("check", "--config", "alerts.toml", folder=tmp_path)
    ran = tocsind_("run", "--config", "alerts.toml", folder=tmp_path)
    assert (ran.returncode, ran.stdout, ran.stderr) == (checked.returncode, checked.stdout, checked.stderr)
    assert os.listdir(tmp_path) == ["alerts.toml"]  # noqa: PTH208 - the names alone


def test_check_json_is_one_object_on_failure(tmp_path: Path) -> None:
    (tmp_path / "alerts.toml").write_text(FIVE_MISTAKES)
    done = tocsind_("check", "--config", "alerts.toml", "--json", folder=tmp_path)
    assert (done.returncode, done.stderr) == (78, "")
    output = json.loads(done.stdout)
    assert set(output) == {"schema", "ok", "source", "problems", "warnings", "destinations", "routes"}
    assert (output["schema"], output["ok"]) == (1, False)
    assert [set(problem) for problem in output["problems"]] == [{"file", "line", "key", "message"}] * 5
    assert [problem["line"] for problem in output["problems"]] == list(MISTAKEN_LINES)


def test_check_json_is_one_object_on_success(tmp_path: Path) -> None:
    done = tocsind_("check", "--json", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    output = json.loads(done.stdout)
    assert (output["schema"], output["ok"], output["problems"]) == (1, True, [])
    by_name = {destination["name"]: destination for destination in output["destinations"]}
    assert by_name["alerts-general"]["reason"] == "DISCORD_WEBHOOK_ALERTS_GENERAL is not set"
    assert by_name["local-file"]["condition"] == "ready"


def test_check_of_default_configuration_lists_disabled_destinations_with_reasons(tmp_path: Path) -> None:
    done = tocsind_("check", folder=tmp_path)
    assert done.returncode == 0
    assert "disabled: DISCORD_WEBHOOK_ALERTS_GENERAL is not set" in done.stdout
    assert done.stdout.splitlines()[-1].endswith("ok, 5 destinations, 4 routes")


def test_check_opens_no_network_connection(tmp_path: Path) -> None:
    url = "https://discord.com/api/webhooks/123456789012345678/" + "t" * 68
    done = tocsind_("check", folder=tmp_path, watched=True, DISCORD_WEBHOOK_ALERTS_GENERAL=url)
    assert done.returncode == 0, done.stderr
    assert "NETWORK" not in done.stderr


def test_network_guard_detects_a_connection(tmp_path: Path) -> None:
    done = tocsind_("run", folder=tmp_path, watched=True)
    assert done.returncode == 99
    assert "NETWORK" in done.stderr


def test_missing_named_configuration_is_a_problem(tmp_path: Path) -> None:
    done = tocsind_("check", "--config", "nowhere.toml", folder=tmp_path)
    assert done.returncode == 78
    assert done.stderr == "tocsind: nowhere.toml: the configuration cannot be read: No such file or directory\n"
    assert tocsind_("check", folder=tmp_path, TOCSIN_CONFIG="nowhere.toml").returncode == 78


def test_webhook_in_configuration_file_is_a_warning_on_stderr(tmp_path: Path) -> None:
    url = "https://discord.com/api/webhooks/123456789012345678/" + "t" * 68
    text = f'[destinations.d]\nkind = "discord"\nwebhook = "{url}"\n[[routes]]\nto = ["d"]\n'
    (tmp_path / "alerts.toml").write_text(text)
    done = tocsind_("check", folder=tmp_path)
    assert done.returncode == 0
    assert "warning: alerts.toml:3" in done.stderr
    assert "tttt" not in done.stderr + done.stdout


# --- init --------------------------------------------------------------------------------------------------------------


def test_init_writes_private_file_that_check_accepts(tmp_path: Path) -> None:
    done = tocsind_("init", "--output", "new.toml", folder=tmp_path)
    assert done.returncode == 0
    assert "next: tocsind check --config new.toml" in done.stdout
    assert stat.S_IMODE((tmp_path / "new.toml").stat().st_mode) == 0o600
    checked = tocsind_("check", "--config", "new.toml", folder=tmp_path)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_init_does_not_overwrite_existing_file(tmp_path: Path) -> None:
    (tmp_path / "alerts.toml").write_text("precious")
    done = tocsind_("init", folder=tmp_path)
    assert done.returncode == 73
    assert done.stderr == "tocsind: alerts.toml exists; --force replaces it\n"
    assert (tmp_path / "alerts.toml").read_text() == "precious"


def test_init_does_not_follow_dangling_link(tmp_path: Path) -> None:
    (tmp_path / "alerts.toml").symlink_to(tmp_path / "elsewhere")
    assert tocsind_("init", folder=tmp_path).returncode == 73
    assert not (tmp_path / "elsewhere").exists()


def test_init_into_missing_folder_is_reported(tmp_path: Path) -> None:
    done = tocsind_("init", "--output", "no/such/alerts.toml", folder=tmp_path)
    assert done.returncode == 73
    assert "No such file or directory" in done.stderr


def test_init_to_stdout_writes_no_file(tmp_path: Path) -> None:
    done = tocsind_("init", "--output", "-", folder=tmp_path)
    assert done.returncode == 0
    assert "[destinations.local-file]" in done.stdout
    assert list(tmp_path.iterdir()) == []


# --- help and usage ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments", [["--help"], ["run", "--help"], ["check", "--help"], ["init", "--help"]], ids=" ".join
)
def test_help_goes_to_stdout(tmp_path: Path, arguments: list[str]) -> None:
    done = tocsind_(*arguments, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: tocsind")


def test_help_shows_examples_and_every_exit_code(tmp_path: Path) -> None:
    said = tocsind_("--help", folder=tmp_path).stdout
    assert "tocsind check --config alerts.toml" in said
    assert all(f"{code} " in said for code in (0, 64, 70, 73, 75, 78))


def test_version_goes_to_stdout(tmp_path: Path) -> None:
    done = tocsind_("--version", folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"tocsind {tocsind.__version__}\n")


def test_version_json_has_all_fields_of_a_bug_report(tmp_path: Path) -> None:
    output = json.loads(tocsind_("--version", "--json", folder=tmp_path, watched=True).stdout)
    assert (output["schema"], output["version"], output["form"]) == (1, tocsind.__version__, "python")
    assert (output["openssl"], output["sqlite"]) == (ssl.OPENSSL_VERSION, sqlite3.sqlite_version)
    assert output["libraries"]["trio"] == trio.__version__


@pytest.mark.parametrize(
    "arguments",
    [[], ["dance"], ["check", "--colour"], ["check", "--conf", "x"], ["run", "--log", "loud"], ["init", "extra"]],
    ids=" ".join,
)
def test_usage_error_names_mistake_and_help_and_exits_64(tmp_path: Path, arguments: list[str]) -> None:
    done = tocsind_(*arguments, folder=tmp_path)
    assert (done.returncode, done.stdout) == (64, "")
    assert "usage: tocsind" in done.stderr
    assert "--help`" in done.stderr


@pytest.mark.parametrize("arguments", [["check"], ["check", "--json"], ["init", "--output", "-"]], ids=" ".join)
def test_failed_write_to_stdout_is_reported_and_exits_73(tmp_path: Path, arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tocsind", *arguments],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert done.returncode == 73
    assert "tocsind: cannot write: No space left on device\n" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["chek"], "did you mean check?"),
        (["status"], "did you mean `tocsin status`?"),
        (["run", "--confg", "x"], "tocsind run: unrecognized argument: --confg; did you mean --config?"),
        (["service", "instal"], "did you mean install?"),
        (["run", "--log", "nope"], "invalid choice: nope; choose from debug, info, warning, error"),
        (["check", "extra"], "unrecognized argument: extra\n"),
    ],
)
def test_usage_error_suggests_the_likely_word(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = tocsind_(*arguments, folder=tmp_path)
    assert (done.returncode, done.stdout) == (64, "")
    assert said in done.stderr


def test_usage_error_is_an_object_with_json(tmp_path: Path) -> None:
    done = tocsind_("check", "--json", "--nope", folder=tmp_path)
    error = {"kind": "usage", "message": "unrecognized argument: --nope"}
    assert (done.returncode, json.loads(done.stdout)) == (64, {"schema": 1, "ok": False, "error": error})
