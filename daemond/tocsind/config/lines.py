"""Finds the line of each key. tomllib returns values without their places, so this module scans the same text once more.

It handles only texts that tomllib accepted: keys, headers, brackets, and strings to skip. The open tables and arrays are a stack and not
recursive calls, so no depth of nesting that tomllib accepts can fail here.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping

Path = tuple[str | int, ...]  # keys, and indexes of arrays

_DEEPEST = 32  # steps of a path; a deeper value has the line of its ancestor, so that time grows with the length of the file only

_TOKEN = re.compile(
    r'''
      """(?:\\.|[^\\])*?""""{0,2}     # multi-line strings may end in quotes of their own
    | \'\'\'.*?\'\'\'\'{0,2}
    | "(?:\\.|[^"\\])*"
    | '[^']*'
    | \#[^\n]*
    | [\n\[\]{}=,]
    | [^\s\[\]{}=,"'\#.]+
    ''',
    re.VERBOSE | re.DOTALL,
)


def lines_of(text: str) -> dict[Path, int]:
    """The line (from 1) of every table, key and array element of a TOML text that tomllib accepts."""
    walk, line, counted = _Walk(), 1, 0
    for token in _TOKEN.finditer(text):
        line += text.count("\n", counted, token.start())
        counted = token.start()
        walk.feed(token.group(), line)
    return walk.lines


def nearest(lines: Mapping[Path, int], path: Path) -> int | None:
    """The line of `path`, or of its closest ancestor that has one."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return None


def dotted(path: Path) -> str:
    """A path as text: `destinations.x.limit`, `routes[0].to`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{_written(part)}"
    return text.removeprefix(".")


def _written(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else repr(key)


def _key(token: str) -> str:
    if token.startswith('"'):
        return str(tomllib.loads(f"k={token}")["k"])  # tomllib decodes the escapes
    return token[1:-1] if token.startswith("'") else token


class _Level:
    """A table or array that is open at this point of the text."""

    def __init__(self, path: Path, *, array: bool) -> None:
        self.path = path
        self.index: int | None = 0 if array else None
        self.clear()

    def clear(self) -> None:
        """Reset for the next key of a table."""
        self.keys: list[str] = []  # of the dotted key that is being read
        self.slot: Path | None = None  # the path of the value after the equals sign

    def on_comma(self) -> None:
        """Go on with the next element, or the next key."""
        if self.index is None:
            self.clear()
        else:
            self.index += 1


class _Walk:
    """The state of the scan: open levels, the current header, and the lines found."""

    def __init__(self) -> None:
        self.lines: dict[Path, int] = {}
        self._root = _Level((), array=False)
        self._levels = [self._root]
        self._header: list[str] | None = None
        self._repeats = False  # the header has double brackets
        self._counts: dict[Path, int] = {}  # tables so far in each array of tables

    def feed(self, token: str, line: int) -> None:
        """Process the next token of the text."""
        if token.startswith("#"):
            return
        if self._header is not None:
            self._feed_header(self._header, token, line)
        else:
            self._feed_table(self._levels[-1], token, line)

    def _feed_table(self, level: _Level, token: str, line: int) -> None:
        match token:
            case "\n":
                if level is self._root:
                    level.clear()
            case ",":
                level.on_comma()
            case "=":
                level.slot = self._note(level.path, level.keys, line)
            case "[" if level is self._root and level.slot is None:
                self._header, self._repeats = [], False
            case ("[" | "{") as bracket:
                self._levels.append(_Level(self._place(level, line), array=bracket == "["))
            case "]" | "}":
                self._close()
            case _ if level.index is None and level.slot is None:
                level.keys.append(_key(token))
            case _:
                self._place(level, line)

    def _feed_header(self, header: list[str], token: str, line: int) -> None:
        match token:
            case "[":
                self._repeats = True
            case "]":
                self._root.path = self._open_table(header, line)
                self._root.clear()
                self._header = None
            case _:
                header.append(_key(token))

    def _close(self) -> None:
        if len(self._levels) > 1:  # the second bracket of [[a header]] closes nothing
            self._levels.pop()

    def _open_table(self, header: list[str], line: int) -> Path:
        """The path of the table that a header opens; below an array of tables that is its last element."""
        path: Path = ()
        for depth, key in enumerate(header, 1):
            path = self._note(path, [key], line)
            if self._repeats and depth == len(header):
                self._counts[path] = self._counts.get(path, 0) + 1
            if path in self._counts:
                path = self._step(path, self._counts[path] - 1, line)
        return path

    def _place(self, level: _Level, line: int) -> Path:
        """The path of a value that begins here."""
        if level.index is None:
            return level.slot or level.path
        return self._step(level.path, level.index, line)

    def _note(self, path: Path, keys: list[str], line: int) -> Path:
        """Record the line of each step of a dotted key, if it is the first."""
        for key in keys:
            path = self._step(path, key, line)
        return path

    def _step(self, path: Path, part: str | int, line: int) -> Path:
        if len(path) >= _DEEPEST:
            return path
        path = (*path, part)
        self.lines.setdefault(path, line)
        return path
