"""The command's words: what is read without argparse means what it means to argparse."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tocsin.cli import VERBS, verb_parser
from tocsin.cli.exit_codes import Failure
from tocsin.cli.parsing import read_plain

WORDS = (
    *(
        "BUY",
        "",
        "-",
        "--",
        "-5",
        "-p",
        "-phigh",
        "-p=high",
        "high",
        "--body",
        "--body=",
        "--body=-x",
        "--price",
        "64000.5",
    ),
    *("--field", "a=1", "a", "--tag", "--json", "--json=1", "--strict", "--wait", "30s", "--wait=1m", "--timeout", "x"),
    *("--socket", "/s", "--nonsense", "--bod", "--state", "dead", "alive", "--limit", "5", "-f", "-q", "--all"),
)


def thoroughly(verb: str, words: list[str]) -> dict[str, object] | None:
    with suppress(Failure):
        read: dict[str, object] = vars(verb_parser(verb)[0].thorough().read(words))
        return read
    return None


@given(st.sampled_from(sorted(VERBS)), st.lists(st.sampled_from(WORDS), max_size=6))
@example("send", ["--body", "-", "BUY", "--tag", "a", "--tag=b", "--field", "a=1", "-p", "high", "--timeout", "2s"])
@example("queue", ["--state", "alive"])
@example("why", [])
def test_plain_parser_agrees_with_argparse(verb: str, words: list[str]) -> None:
    plain = read_plain(verb_parser(verb)[0].arguments, words)
    assert plain is None or vars(plain) == thoroughly(verb, words)


@pytest.mark.parametrize(
    "words", [["BUY"], ["--body=b", "BUY", "-p", "urgent", "--price", "1.5", "--tag", "a", "--json"]]
)
def test_plain_parser_handles_the_usual_arguments(words: list[str]) -> None:
    assert read_plain(verb_parser("send")[0].arguments, words) is not None


def test_command_imports_nothing_at_exit() -> None:
    script = (
        "import atexit, sys; atexit.register(lambda: print(*sys.modules));"
        "from tocsin.cli import main; sys.argv[1:] = ['send', 'BUY', '--strict', '--socket', '/nowhere']; main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert not {"argparse", "json", "locale", "tocsin.normalize", "tocsin.attachments"} & set(done.stdout.split())
