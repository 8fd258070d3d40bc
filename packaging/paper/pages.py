"""The manuals, in Markdown, which is converted for man and readable on the web and in an editor."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .commands import Option, Program, Verb

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Page:
    """One manual page. `text` is Markdown, its chapters are headings of the second level."""

    name: str
    section: int
    about: str
    text: str


def manuals(programs: Sequence[Program]) -> list[Page]:
    """All four."""
    sections = {"tocsin": 1, "tocsind": 8}
    return [
        *(Page(each.name, sections[each.name], each.about, _program(each, "##") + _around(each)) for each in programs),
        Page("alerts.toml", 5, "configuration of tocsind", _configuration()),
        Page("tocsin-protocol", 7, "protocol between tocsind and its clients", _protocol()),
    ]


def commands(programs: Sequence[Program]) -> str:
    """docs/reference/commands.md."""
    parts = ["# Commands", "", "Generated from the parsers by `make reference`."]
    for program in programs:
        parts += ["", f"## {program.name}", "", f"{program.about}.", "", _program(program, "###").rstrip()]
    return "\n".join(parts) + "\n"


def _program(program: Program, level: str) -> str:
    parts = [
        *(f"{level} Synopsis", "", f"`{program.name} [OPTIONS] VERB ...`", ""),
        *(f"{level} Options", "", *_listed(program.options), ""),
        *(f"{level} Examples", "", "```sh", program.examples.strip(), "```", ""),
        *(f"{level} Exit codes", "", f"{program.exits}", ""),
    ]
    for verb in program.verbs:
        parts += _verb(program, verb, level)
    return "\n".join(parts)


def _verb(program: Program, verb: Verb, level: str) -> Iterator[str]:
    yield from (f"{level} {program.name} {verb.name}", "", f"{verb.about[0].upper()}{verb.about[1:].rstrip('.')}.", "")
    yield from (*_listed(verb.options), "")
    if verb.examples:
        yield from ("```sh", verb.examples, "```", "")
    if verb.exits:
        yield from (f"Exit codes: {verb.exits}", "")


def _listed(options: Sequence[Option]) -> Iterator[str]:
    for option in options:
        words = ", ".join(option.names) or str(option.value)
        value = f" {option.value}" if option.names and option.value else ""
        about = f": {_escaped(option.about)}" if option.about else ""
        yield f"- `{words}{value}`{about}"


def _escaped(text: str) -> str:
    """Help texts use backquotes as Markdown does; their stars, underscores and brackets are plain characters."""
    return re.sub(r"([*_<>\[\]])", r"\\\1", text)


def _around(program: Program) -> str:
    """The chapters at the end of a manual page."""
    environment = (
        ("TOCSIN_SOCKET", "the daemon's socket"),
        ("TOCSIN_SPOOL", "the spool"),
        ("TOCSIN_CONFIG", "the configuration"),
        ("STATE_DIRECTORY", "the state folder, as systemd names it"),
        ("TOCSIN_DAEMON_UID", "one more user whose listener a client trusts, for containers that see only the socket"),
        ("NO_COLOR", "switches colours off"),
    )
    files = (
        (
            "/run/tocsin/tocsin.sock",
            "the socket of root's daemon; others have `$XDG_RUNTIME_DIR/tocsin/tocsin.sock`, or `/run/user/UID/tocsin/tocsin.sock`",
        ),
        ("/var/lib/tocsin", "the state of root's daemon; others have `$XDG_STATE_HOME/tocsin`"),
        (
            "/etc/tocsin/alerts.toml",
            "the configuration, unless `./alerts.toml` is used: it and its folder belong to you or root, and no one else may write there",
        ),
    )
    other = "tocsind(8)" if program.name == "tocsin" else "tocsin(1)"
    return "\n".join(
        (
            *("## Environment", "", *(f"- `{name}`: {about}" for name, about in environment), ""),
            *("## Files", "", *(f"- `{name}`: {about}" for name, about in files), ""),
            *("## See also", "", f"{other}, alerts.toml(5), tocsin-protocol(7)", ""),
        )
    )


def _configuration() -> str:
    text = (ROOT / "alerts.toml").read_text(encoding="utf-8")
    intro = "The configuration documents itself: this is the built-in default, which `tocsind init` writes to a file."
    return f"## Description\n\n{intro} `tocsind check` reports every mistake in your file, with its line.\n\n```toml\n{text}```\n"


def _protocol() -> str:
    """The page without its title, because a manual page has its own."""
    text = (ROOT / "docs/reference/protocol.md").read_text(encoding="utf-8").partition("\n")[2]
    return f"## Description\n{text}"
