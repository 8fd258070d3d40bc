"""Converts Markdown to man(7). It supports the kinds of block that the manuals use; any other raises an error, so that no text is lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

from tocsin import __version__

from .pages import Page

_BLOCKS = {
    "paragraph_open": ".PP",
    "bullet_list_open": "",
    "bullet_list_close": "",
    "ordered_list_open": "",
    "ordered_list_close": "",
    "list_item_open": ".IP \\(bu 2",
    "list_item_close": "",
    "paragraph_close": "",
    "heading_close": "",
    "table_open": ".TS\nallbox;",
    "table_close": ".TE",
    "thead_open": "",
    "thead_close": "",
    "tbody_open": "",
    "tbody_close": "",
}
_SPANS = {
    "code_inline": ("\\fB", "\\fR"),
    "strong_open": ("\\fB", ""),
    "strong_close": ("\\fR", ""),
    "em_open": ("\\fI", ""),
    "em_close": ("\\fR", ""),
    "link_open": ("", ""),
    "link_close": ("", ""),
    "text": ("", ""),
    "softbreak": ("\n", ""),
    "html_inline": ("", ""),
}


def roff(page: Page) -> str:
    """The whole page."""
    head = [
        "'\\\" t",
        f'.TH {page.name.upper()} {page.section} "" "tocsin {__version__}" "tocsin"',
        *(".SH NAME", f"{_safe(page.name)} \\- {_safe(page.about)}"),
    ]
    tokens = MarkdownIt("commonmark", {"html": False}).enable("table").parse(page.text)
    return "\n".join((*head, *(line for line in _lines(tokens) if line))) + "\n"


def _lines(tokens: Sequence[Token]) -> Iterator[str]:
    rows = iter(tokens)
    for token in rows:
        if token.type == "heading_open":
            title = _inline(next(rows))
            yield f".SH {title.upper()}" if token.tag == "h2" else f".SS {title}"
        elif token.type in {"fence", "code_block"}:
            yield from (".PP", ".nf", ".RS 4", *map(_line, _safe(token.content.rstrip("\n")).split("\n")), ".RE", ".fi")
        elif token.type == "tr_open":
            yield from _row(rows)
        elif token.type == "inline":
            yield from map(_line, _inline(token).split("\n"))
        elif token.hidden:
            continue
        elif token.type == "paragraph_open" and token.level:
            continue  # the list item has begun its paragraph
        else:
            yield _BLOCKS[token.type]


def _row(rows: Iterator[Token]) -> Iterator[str]:
    """A row of tbl(1). The first one is the head, and says how many columns there are."""
    cells: list[str] = []
    is_head = False
    for token in rows:
        if token.type == "tr_close":
            break
        is_head = is_head or token.type == "th_open"
        if token.type == "inline":
            cells.append(f"T{{\n{_inline(token)}\nT}}")
    if is_head:
        yield (
            " ".join("lb" for _ in cells) + "\n" + " ".join("lx" if cell is cells[-1] else "l" for cell in cells) + "."
        )
    yield "\t".join(cells)


def _inline(token: Token) -> str:
    spans = ((each, *_SPANS[each.type]) for each in token.children or [])
    return "".join(f"{before}{_safe(each.content)}{after}" for each, before, after in spans)


def _safe(text: str) -> str:
    return (
        text.replace("\\", "\\e")
        .replace("-", "\\-")
        .replace("'", "\\(aq")
        .replace("`", "\\(ga")
        .replace("^", "\\(ha")
        .replace("~", "\\(ti")
    )


def _line(text: str) -> str:
    """A dot or a quote that begins a line would be an order to roff; a line that is code still has to be made safe."""
    return f"\\&{text}" if text.startswith((".", "'")) else text or "\\&"
