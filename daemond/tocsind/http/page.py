"""The page at `/`, and what its script asks for. Reading only: a change is a command of the operator.

    /                the page; without the token, a form for it
    /page/stream     overviews, as server-sent events
    /page/signals    recent signals: `q` words, `state`, `destination`, `before` a number, `limit`
    /page/signal     the story of one: `id`

The page of another origin can do nothing with these: no answer permits it to read one (no CORS header, no JSONP) or to show one in a frame,
and what a browser requests for another site is refused.
"""

from __future__ import annotations

from tocsind.errors import StorageFull
from tocsind.http_server import Reply, Request
from tocsind.journal import Journal
from tocsind.observe.story import Stories
from tocsind.page import signals
from tocsind.page.document import SAFE, document
from tocsind.page.overview import Overviews

from .access import Needs
from .replies import as_json, plain
from .routing import Call, Router

_ROWS = 50
_EVENTS = {**SAFE, "Content-Type": "text/event-stream", "Connection": "close"}


class Page:
    """Answers the page's requests."""

    def __init__(self, journal: Journal, stories: Stories, overviews: Overviews) -> None:
        self._journal = journal
        self._stories = stories
        self._overviews = overviews

    def add_routes(self, router: Router) -> None:
        """Add the four paths."""
        router.add("GET", "/", self._on_page, needs=Needs.READ, refusal=_locked)
        for path, handler in (
            ("/page/stream", self._on_stream),
            ("/page/signals", self._on_signals),
            ("/page/signal", self._on_signal),
        ):
            router.add("GET", path, handler, needs=Needs.READ)

    async def _on_page(self, call: Call) -> Reply:
        if call.cookie:  # without the token in the address of the page, and in the browser's history
            return Reply(303, {**SAFE, "Location": "/", "Set-Cookie": call.cookie})
        page = document("page.html")
        return Reply(200, page.headers, page.body)

    async def _on_stream(self, call: Call) -> Reply:
        if refusal := _refuse_other_sites(call.request):
            return refusal
        if self._overviews.is_full:
            return plain(503, "too many pages are open", **SAFE)
        return Reply(200, _EVENTS, stream=self._overviews.follow)

    async def _on_signals(self, call: Call) -> Reply:
        if refusal := _refuse_other_sites(call.request):
            return refusal
        query = call.request.query
        wanted = signals.search_of(query.get("q", ""), query.get("state"), query.get("destination"))
        most = min(_number(query.get("limit")) or _ROWS, signals.MAX_ROWS)
        try:
            found = await signals.find(self._journal, wanted, before=_number(query.get("before")), most=most)
        except StorageFull as full:
            return plain(503, str(full), **SAFE)
        return as_json(200, found, **SAFE)

    async def _on_signal(self, call: Call) -> Reply:
        if refusal := _refuse_other_sites(call.request):
            return refusal
        id_ = call.request.query.get("id", "")
        try:
            story = await self._stories.read(id_)
        except StorageFull as full:
            return plain(503, str(full), **SAFE)
        return plain(404, "there is no signal with this id", **SAFE) if story is None else as_json(200, story, **SAFE)


def _refuse_other_sites(request: Request) -> Reply | None:
    """The 403 for a request that the page did not make. Programs other than browsers send no such header."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    return None if site in {"same-origin", "none"} else plain(403, "only the page itself may ask for this", **SAFE)


def _locked(status: int, _: str) -> Reply:
    page = document("locked.html")
    return Reply(status, page.headers, page.body)


def _number(text: str | None) -> int | None:
    """A whole number that is not negative, and that SQLite can hold; None for any other text."""
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 19 else None
