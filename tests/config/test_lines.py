"""The line of each key: the scan finds the same keys as tomllib, and accepts every text that tomllib accepts."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import tomli_w
from hypothesis import example, given
from hypothesis import strategies as st

from tocsind.config.lines import Path, dotted, lines_of, nearest

SAMPLE = '''\
top = 1 # not = a key
"quoted.key" . 'second' = [ # a comment with ] and "
    1, 2.5,
    { x = "}", "y z" = [
        3, ] },
]
text = """
[not.a.table]
fake = 1 \\""" still ""inside"""""
raw = \'\'\'
\'\'[nor.this]\'\'\'\'
when = 1979-05-27 07:32:00.5Z

[a.b]
c.d.e = { f.g = 1, h = [[1], [2]] }

[[r]]
n = 1
[[r.s]]
[r.s.t]
u = ""
[[r]] # again
"n" = \'\'
[[r.s]]
u = 2
'''


def test_lines_of_finds_every_kind_of_key() -> None:
    lines = lines_of(SAMPLE)
    found = {dotted(path): line for path, line in lines.items()}
    assert found == {
        "top": 1,
        "'quoted.key'": 2,
        "'quoted.key'.second": 2,
        "'quoted.key'.second[0]": 3,
        "'quoted.key'.second[1]": 3,
        "'quoted.key'.second[2]": 4,
        "'quoted.key'.second[2].x": 4,
        "'quoted.key'.second[2].'y z'": 4,
        "'quoted.key'.second[2].'y z'[0]": 5,
        "text": 7,
        "raw": 10,
        "when": 12,
        "a": 14,
        "a.b": 14,
        "a.b.c": 15,
        "a.b.c.d": 15,
        "a.b.c.d.e": 15,
        "a.b.c.d.e.f": 15,
        "a.b.c.d.e.f.g": 15,
        "a.b.c.d.e.h": 15,
        "a.b.c.d.e.h[0]": 15,
        "a.b.c.d.e.h[0][0]": 15,
        "a.b.c.d.e.h[1]": 15,
        "a.b.c.d.e.h[1][0]": 15,
        "r": 17,
        "r[0]": 17,
        "r[0].n": 18,
        "r[0].s": 19,
        "r[0].s[0]": 19,
        "r[0].s[0].t": 20,
        "r[0].s[0].t.u": 21,
        "r[1]": 22,
        "r[1].n": 23,
        "r[1].s": 24,
        "r[1].s[0]": 24,
        "r[1].s[0].u": 25,
    }
    assert set(paths_in(tomllib.loads(SAMPLE))) == set(lines)


def test_nearest_falls_back_to_the_line_of_the_parent() -> None:
    lines = lines_of("[a]\nb = 1\n")
    assert nearest(lines, ("a", "b", "c", 7)) == 2
    assert nearest(lines, ("a", "missing")) == 1
    assert nearest(lines, ("missing",)) is None
    assert nearest(lines, ()) is None


def test_windows_line_end_counts_once() -> None:
    assert lines_of('a = """\r\n\r\n"""\r\nb = 1\r\n')[("b",)] == 4


def test_lines_of_accepts_the_nesting_that_tomllib_accepts() -> None:
    for depth in (200, 100_000):
        assert lines_of(f"a = {'[' * depth}{']' * depth}\nb = 1")[("b",)] == 2
        assert lines_of(f"{'a.' * depth}a = 1\nb = 1")[("b",)] == 2
    assert nearest(lines_of(f"a = {'[' * 200}\n{']' * 200}"), ("a", *[0] * 200)) == 1


def paths_in(value: Any, path: Path = ()) -> Iterator[Path]:
    """Every path of a document."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in items:
        yield from paths_in(below, (*path, key))


words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=6)
values = st.recursive(
    st.booleans()
    | st.integers()
    | st.floats()
    | words
    | st.datetimes()
    | st.sampled_from(['"""', "'''", "[x]\ny = 1", "\n\n"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(words, values, max_size=5), st.booleans())
def test_lines_of_finds_exactly_the_keys_of_tomllib(data: dict[str, Any], multiline: bool) -> None:
    text = tomli_w.dumps(data, multiline_strings=multiline)
    lines = lines_of(text)
    assert set(lines) == set(paths_in(tomllib.loads(text)))
    assert all(1 <= line <= text.count("\n") + 1 for line in lines.values())


pieces = st.sampled_from(
    [
        "a",
        "b",
        ".",
        "=",
        " ",
        "\n",
        "[",
        "]",
        "[[",
        "]]",
        "{",
        "}",
        ",",
        '"',
        "'",
        '"""',
        "'''",
        "\\",
        "#",
        "1",
        "1.5",
        "true",
        "é",
        "a = 1\n",
        "[a]\n",
        "[[a]]\n",
        "[a.b]\n",
        '"x" = [\n',
        "b = { a = 1 }\n",
        '\\"',
        "\r\n",
        "1979-05-27 07:32:00\n",
    ]
)


@given(st.lists(pieces, max_size=30).map("".join))
@example("[[a]]\n[[a.b]]\n[a.b.c]\nd=1")
@example('"\\u0041" = 1')
def test_lines_of_accepts_every_text_that_tomllib_accepts(text: str) -> None:
    try:
        data = tomllib.loads(text)
    except ValueError:
        return
    assert set(lines_of(text)) == set(paths_in(data))


@pytest.mark.parametrize(
    ("path", "text"), [((), ""), (("a", 0, "b"), "a[0].b"), (("a b", "c"), "'a b'.c"), (("ä", "", 1), "'ä'.''[1]")]
)
def test_path_is_written_with_dots_and_brackets(path: Path, text: str) -> None:
    assert dotted(path) == text
