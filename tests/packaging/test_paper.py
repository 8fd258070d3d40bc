"""Manual pages and completions match the programs, and man and the shells can read them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.harness import PATIENCE, DaemonProcess, file, need, route

from paper import pages
from paper.__main__ import main, written
from paper.commands import programs
from tocsin.cli import VERBS
from tocsin.signals import FIELD_NAMES
from tocsin.wire import ERROR_KINDS
from tocsind.ipc.protocol import AnyRequest

ROOT = Path(__file__).parents[2]
PROTOCOL = (ROOT / "docs/reference/protocol.md").read_text()


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("paper")
    assert main([str(folder)]) == 0
    return folder


def run(*words: str | Path, **env: str) -> str:
    """The output of a program, which must succeed and print no error."""
    done = subprocess.run(
        [need(str(words[0])), *words[1:]],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def first_cells(chapter: str) -> set[str]:
    """The words in code in the first column of a chapter's table."""
    _, *rows = re.findall(r"^\| (`.*?) \|", PROTOCOL.split(f"## {chapter}\n")[1].split("\n## ")[0], re.MULTILINE)
    return {name for cell in rows for name in re.findall(r"`([\w-]+)`", cell)}


@pytest.mark.parametrize("name", ["tocsin.1", "tocsind.8", "alerts.toml.5", "tocsin-protocol.7"])
def test_man_formats_every_page_without_warning(paper: Path, name: str) -> None:
    text = run("groff", "-man", "-t", "-ww", "-Tascii", "-P-c", "-P-b", "-P-u", paper / "man" / name)
    assert text.split()[0] == f"{name[:-2].upper()}({name[-1]})"


def test_manual_has_every_verb_option_and_exit_code(paper: Path) -> None:
    text = (paper / "man" / "tocsin.1").read_text()
    assert all(f".SH TOCSIN {verb.upper()}" in text for verb in VERBS)
    assert all(
        option in text for option in ("\\-\\-confidence N", "\\-\\-json\\-lines FILE", "with \\-q: 0 ok, 1 degraded")
    )
    assert "75 another daemon is there" in (paper / "man" / "tocsind.8").read_text()


def test_configuration_manual_is_default_configuration(paper: Path) -> None:
    shown = run("groff", "-man", "-t", "-Tascii", "-rLL=200n", "-P-c", "-P-b", "-P-u", paper / "man" / "alerts.toml.5")
    lines = [line.strip() for line in shown.splitlines()]
    assert all(line.strip() in lines for line in (ROOT / "alerts.toml").read_text().splitlines() if line.strip())


def test_commands_page_is_up_to_date() -> None:
    made = subprocess.run(
        [sys.executable, "-m", "paper", "--commands"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "packaging")},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    ).stdout
    assert made == (ROOT / "docs/reference/commands.md").read_text(), "run `make reference`"


@pytest.mark.parametrize(("shell", "flag"), [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")])
def test_each_shell_parses_its_completions(paper: Path, shell: str, flag: str) -> None:
    for script in (paper / "completions" / shell).iterdir():
        run(shell, flag, script)


BASH = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_tocsin
echo "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("tocsin st", "status"),
        ("tocsin send --conf", "--confidence"),
        ("tocsin send -p u", "urgent"),
        ("tocsin queue --state de", "dead"),
        ("tocsin --socket /x wh", "why"),
        ("tocsin why --strict", ""),
    ],
)
def test_bash_completes_verbs_options_and_values(paper: Path, line: str, words: str) -> None:
    assert run("bash", "-c", BASH, "bash", paper / "completions/bash/tocsin", *line.split()).strip() == words


@pytest.mark.parametrize(
    ("line", "words"), [("tocsin st", "status"), ("tocsin send --conf", "--confidence"), ("tocsin send -p u", "urgent")]
)
def test_fish_completes_verbs_options_and_values(paper: Path, line: str, words: str, tmp_path: Path) -> None:
    script = f"source {paper}/completions/fish/tocsin.fish; complete -C '{line}'"
    found = run("fish", "--no-config", "-c", script, HOME=str(tmp_path)).splitlines()
    assert [each.partition("\t")[0] for each in found] == [words]


def test_completion_gets_destinations_from_daemon(paper: Path, tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, file("a-place") + file("another") + route("another")) as daemon:
        daemon.start()
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        line = ("tocsin", "send", "--to", "a-")
        said = run(
            *("bash", "-c", BASH, "bash", paper / "completions/bash/tocsin", *line),
            PATH=path,
            TOCSIN_SOCKET=daemon.socket,
        )
        assert said.strip() == "a-place"


def test_protocol_page_names_every_operation_field_and_error_kind() -> None:
    operations = {each.__struct_config__.tag for each in AnyRequest.__args__}
    assert first_cells("Requests") == operations
    assert first_cells("A signal") == set(FIELD_NAMES)
    assert first_cells("Replies") == set(ERROR_KINDS)


def test_manuals_have_their_sections() -> None:
    assert [(page.name, page.section) for page in pages.manuals(programs())] == [
        ("tocsin", 1),
        ("tocsind", 8),
        ("alerts.toml", 5),
        ("tocsin-protocol", 7),
    ]
    assert len(written()) == 4 + 6
