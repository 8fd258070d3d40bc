"""Recent signals, newest first, and a search through them.

A search reads at most MAX_READ signals, a few hundred in each job of the journal; it says where it stopped, and the reader may go on from
there. So no search delays a receipt, and 50,000 waiting signals cost no more than 50.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tocsind.journal import Journal, recent
from tocsind.journal.recent import Search

MAX_READ = 5000  # signals that one search reads
MAX_ROWS = 200
MAX_QUERY = 200  # characters
STATES = ("queued", "delivered", "dead", "dropped", "silenced")


class Found(msgspec.Struct, frozen=True):
    """Rows of signals, newest first; `before` is where the search goes on, None at the end; `read` is how many signals were looked at."""

    signals: list[dict[str, Any]]
    before: int | None
    read: int


async def find(journal: Journal, wanted: Search, *, before: int | None, most: int) -> Found:
    """Search the signals older than the number `before`. Raises what the journal raises."""
    rows: list[dict[str, Any]] = []
    read = 0
    while True:
        page = await journal.run(recent.search, wanted, before, most - len(rows))
        rows += page.rows
        read, before = read + page.read, page.before
        if before is None or len(rows) >= most or read >= MAX_READ:
            return Found(rows, before, read)


def search_of(text: str, state: str | None, destination: str | None) -> Search:
    """The search that a person typed: all of its words."""
    words = tuple(text[:MAX_QUERY].lower().split())
    return Search(words, state if state in STATES else None, destination or None)
