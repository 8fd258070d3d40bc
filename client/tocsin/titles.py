"""The title of a signal that was given none, from its other fields or from its payload."""

from __future__ import annotations

from . import payloads
from .signals import TITLE
from .values import describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_TELLING = ("strategy", "price", "link", "attach", "tags")  # fields that make a title where nothing else does


def title_from(values: dict[str, Any]) -> str:
    """A title from the other fields: action and symbol, the body's first line, or the first field; empty where the signal says nothing.

    A first line that fits a title moves there from the body.
    """
    done = " ".join(values[name] for name in ("action", "symbol") if values.get(name)).strip()
    if done:
        return done
    first, _, rest = (values.get("body") or "").strip().partition("\n")
    if first:
        if len(first) <= TITLE:
            values["body"] = rest.strip("\n")
        return str(first.strip())
    for name, value in (values.get("fields") or {}).items():
        if value not in {None, ""}:
            return f"{name}: {value}"
    for name in _TELLING:
        if values.get(name) not in (None, "", []):
            return f"{name}: {describe(values[name])}"
    return ""


def show_payload(values: dict[str, Any], payload: dict[str, Any]) -> None:
    """Put the text of a payload where a signal has none of its own."""
    title, body = payloads.text_of(payload)
    values.setdefault("title", title)
    if body:
        values.setdefault("body", body)
    if link := payloads.link_of(payload):
        values.setdefault("link", link)
