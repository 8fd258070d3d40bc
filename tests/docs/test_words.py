"""The pages use the words of the field: no page contains a word of the former private dialect."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.docs.blocks import DOCS

ROOT = DOCS.parent
GENERATED = DOCS / "reference" / "commands.md"  # from the help texts of the programs
RETIRED = re.compile(
    r"\b(?:door|desk|hatch|guest|whoever|nobody|somebody|anybody|ours|told|meanwhile|knocks?|lends?|lent|lending|letters?|far end|"
    r"takes? in|taken in|by another road)\b",
    re.IGNORECASE,
)
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.DOTALL | re.MULTILINE)
PACKAGING = ("*.toml", "*.yml", "*.service", "*.socket", "*.conf", "control", "post*", "pre*", "*.json")


def texts() -> list[Path]:
    """The pages, and the files of packaging/ that users read."""
    pages = [page for page in DOCS.rglob("*.md") if page != GENERATED]
    packaged = [path for pattern in PACKAGING for path in (ROOT / "packaging").rglob(pattern) if path.is_file()]
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "alerts.toml", *pages, *packaged]


@pytest.mark.parametrize("path", texts(), ids=lambda path: str(path.relative_to(ROOT)))
def test_page_has_no_retired_word(path: Path) -> None:
    text = path.read_text()
    prose = CODE.sub("", text) if path.suffix == ".md" else text
    assert RETIRED.findall(prose) == []
