"""The language: words of an earlier private dialect occur nowhere in code, help, log lines, tests or documentation.

The glossary is in `tocsind/__init__`. Each retired word names the term that replaces it. Identifiers are read as words: `BadRoad` and
`bad_road` both contain "road".
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RETIRED = {
    "door|doors|desk|visitor|flawless": "listener, connection, handlers, client",
    "knock|knocks|knocker|knocking": "connect, request",
    "asker|askers": "waiter, caller",
    "books": "store, journal",
    "gate|gates": "limiter",
    "keeper": "housekeeping",
    "reception": "admission",
    "road|roads": "route, transport, way",
    "face": "view",
    "lend|lends|lent|lending|loan|loans": "client webhook, add",
    "dropbox": "incoming",
    "census": "stats",
    "unfit": "unusable",
    "buried|bury|buries": "dead",
    "revive|revived|revives": "requeue",
    "tame": "harden",
    "rehearsal|rehearsed|rehearse": "dry run",
    "upkeep": "maintenance",
    "enclosure|enclosures": "attachment",
    "culprit|culprits|guilty|innocent": "rejected item, batch mate",
    "courier|couriers|errand|errands": "queue, job",
    "flood|floods": "repetition, burst",
    "crowd|witness|weather": "many callers, assertions, chaos",
    "whoever|whomever|whatsoever|somebody|nobody|anybody|everybody": "the actor: the client, the operator, a lane",
    "anew|pressing|ripe|ripen": "again, expedited, due",
    "unheard": "undeliverable",
}
IN_PAGES = re.compile(r"\b(?:hatch|ours|told|meanwhile|letters?|far end|takes? in|taken in)\b", re.IGNORECASE)
COLUMNS = {"pressing", "road", "askers"}  # names in the journal's schema, which only a migration could change
PATTERNS = {re.compile(rf"(?<![a-z])(?:{words})(?![a-z])"): instead for words, instead in RETIRED.items()}
ANY = re.compile(rf"(?<![a-z])(?:{'|'.join(RETIRED)})(?![a-z])")
SUFFIXES = {
    ".py",
    ".md",
    ".toml",
    ".c",
    ".yml",
    ".yaml",
    ".json",
    ".sh",
    ".service",
    ".socket",
    ".conf",
    ".html",
    ".in",
}
EXEMPT = {"CHANGELOG.md", "tests/test_words.py"}  # what was called what; this list
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.DOTALL | re.MULTILINE)


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.splitlines() if Path(name).suffix in SUFFIXES and name not in EXEMPT]


def as_words(text: str) -> str:
    """Identifiers as words, in lower case."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_", " ", text).lower()


def retired_in(name: str, text: str) -> list[str]:
    """A line for each retired word, with its place and the term to use."""
    allowed = COLUMNS if name.startswith(("daemond/tocsind/journal/", "tests/journal/")) else set()
    if not ANY.search(as_words(text)):
        return []
    return [
        f"{name}:{number}: {hit[0]!r}; write {instead}"
        for number, line in enumerate(text.splitlines(), 1)
        for pattern, instead in PATTERNS.items()
        if (hit := pattern.search(as_words(line))) and hit[0] not in allowed
    ]


def test_no_file_contains_a_retired_word() -> None:
    found = [line for name in tracked() for line in retired_in(name, (ROOT / name).read_text())]
    assert not found, "\n".join(found[:60])


def test_no_file_has_a_retired_word_in_its_name() -> None:
    assert [name for name in tracked() if any(pattern.search(as_words(name)) for pattern in PATTERNS)] == []


@pytest.mark.parametrize("name", [name for name in tracked() if Path(name).suffix == ".md"])
def test_page_is_in_plain_words(name: str) -> None:
    if name != "docs/reference/commands.md":  # generated from the help texts, which contain the words of signals
        assert IN_PAGES.findall(CODE.sub("", (ROOT / name).read_text())) == []
