"""`/send`: a signal as JSON, or a list of them; or text, with the headers that ntfy's clients use.

    Content-Type: application/json     one signal, or a list
    anything else                      the body is the text, as it is: so `curl -d TEXT` works, whose own type is that of a form

Fields of a signal may stand in the query (`?title=`, `?priority=`, `?to=`). Text may have them in headers too: Title, Priority, Tags and
Click, with or without `X-`, and ntfy's short names. Its priorities are 1 to 5.
"""

from __future__ import annotations

from collections.abc import Mapping
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from typing import Any, Final

import msgspec

from tocsin.errors import InvalidSignal
from tocsin.signals import FIELD_NAMES, Receipt, Signal
from tocsind.http_server import Reply, Request

from .access import Needs
from .intake import Intake
from .receipts import Receipts, as_object, refusal, refused, store
from .replies import as_json
from .routing import Call, Router

MOST_BODY: Final = 1024 * 1024
MOST_SIGNALS: Final = 1000  # of one request
_HEADERS: Final = {
    "title": ("title", "x-title", "t", "ti"),
    "priority": ("priority", "x-priority", "prio", "p"),
    "tags": ("tags", "x-tags", "tag", "ta"),
    "link": ("click", "x-click", "link"),
}
_PRIORITIES: Final = {
    "5": "urgent",
    "max": "urgent",
    "4": "high",
    "3": "normal",
    "default": "normal",
    "2": "low",
    "1": "low",
    "min": "low",
}
_NOT_OVER_HTTP: Final = frozenset({"attach", "attach_note", "input_notes", "token"})
_QUERY: Final = frozenset(FIELD_NAMES) - _NOT_OVER_HTTP - {"fields", "payload"}


class Send:
    """The route."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    def add_routes(self, router: Router) -> None:
        """Add it; PUT is what ntfy's users upload a text with."""
        for method in ("POST", "PUT"):
            router.add(method, "/send", self.send, needs=Needs.SEND, body=MOST_BODY, refusal=refusal)

    async def send(self, call: Call) -> Reply:
        """Store what the request holds; one receipt, or a list for a list."""
        given = _given(call.request)
        if isinstance(given, Reply):
            self._intake.report_refused(call.request, "a request to /send that is no signal")
            return given
        read = [_signal(each, call) for each in given]
        for each in read:
            if isinstance(each, Receipt):
                self._intake.report_refused(call.request, each.reason or "")
        stored = await store(self._intake, [each for each in read if isinstance(each, Signal)], call)
        if isinstance(stored, Reply):
            return stored
        return _answer(_in_order(read, stored), is_list=_is_list(call.request))


def _given(request: Request) -> list[Any] | Reply:
    """The signals of a request, not yet checked."""
    query = {_name_of(name): value for name, value in request.query.items() if _name_of(name) in _QUERY}
    if not _is_json(request):
        return [{**_from_headers(request), **query, "body": request.body.decode("utf-8", "replace")}]
    try:
        value = msgspec.json.decode(request.body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        return refused(400, f"the body is no JSON: {error}")
    values = value if isinstance(value, list) else [value]
    if len(values) > MOST_SIGNALS:
        return refused(413, f"a list may have {MOST_SIGNALS} signals")
    return [{**query, **each} if isinstance(each, dict) else {**query, "title": each} for each in values]


def _is_json(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")


def _is_list(request: Request) -> bool:
    return _is_json(request) and request.body.lstrip()[:1] == b"["


def _name_of(name: str) -> str:
    """The field that a name in the query means."""
    lower = name.lower()
    return next((field for field, names in _HEADERS.items() if lower in names), lower)


def _from_headers(request: Request) -> dict[str, str]:
    found = {}
    for field, names in _HEADERS.items():
        text = next((_decoded(request.headers[name]) for name in names if request.headers.get(name)), None)
        if text is not None:
            found[field] = text
    return found


def _decoded(value: str) -> str:
    """A header as its sender meant it: UTF-8 as it is, or in words of RFC 2047."""
    try:
        text = value.encode("latin-1").decode()
    except UnicodeDecodeError:
        text = value
    try:
        return str(make_header(decode_header(text))) if "=?" in text else text
    except (HeaderParseError, LookupError, ValueError):
        return text


def _signal(values: Mapping[str, Any], call: Call) -> Signal | Receipt:
    """The signal, or the receipt of one that says nothing."""
    named = {name: value for name, value in values.items() if name not in _NOT_OVER_HTTP}
    if not _is_json(call.request):
        named = _as_written(named)
    if call.grant.only is not None:
        named.setdefault("to", [call.grant.only])
    try:
        return Signal.from_dict(named)
    except InvalidSignal as invalid:
        return Receipt("", "refused", str(invalid))


def _as_written(values: dict[str, Any]) -> dict[str, Any]:
    """Text from headers and query: ntfy's priorities, and tags with commas between them."""
    if isinstance(word := values.get("priority"), str):
        values["priority"] = _PRIORITIES.get(word.strip().lower(), word)
    for name in ("tags", "to"):
        if isinstance(text := values.get(name), str):
            values[name] = [each.strip() for each in text.split(",") if each.strip()]
    if not values.get("body", "").strip():
        values.pop("body", None)
    return values


def _in_order(read: list[Signal | Receipt], stored: Receipts) -> list[Receipt]:
    receipts = iter(stored)
    return [each if isinstance(each, Receipt) else next(receipts) for each in read]


def _answer(receipts: list[Receipt], *, is_list: bool) -> Reply:
    status = 200 if any(receipt.accepted for receipt in receipts) or not receipts else 400
    if is_list:
        return as_json(status, {"receipts": [as_object(each) for each in receipts]})
    return as_json(status, as_object(receipts[0]))
