"""Which signals other hosts accepted: the operator's decisions about them are made there. A job: accepted_by.

`host` is the name of this host; None: it shares nothing, and all that it has is its own.
"""

from __future__ import annotations

import sqlite3
from typing import Final

# of a row of `deliveries`; its parameter is this host
IS_FOREIGN: Final = "EXISTS (SELECT 1 FROM shared e WHERE e.delivery = deliveries.number AND e.origin <> ?)"


def accepted_by(connection: sqlite3.Connection, name: str, host: str | None) -> list[str]:
    """The other hosts that accepted a signal (by its id) or signals of a key, by name; of a key since its last end."""
    rows = connection.execute(
        "SELECT DISTINCT e.origin FROM deliveries d JOIN shared e ON e.delivery = d.number WHERE e.origin <> ?1"
        " AND (d.signal = (SELECT number FROM signals WHERE id = ?2) OR (d.key = ?3 AND d.signal >="
        " (SELECT coalesce(max(signal), 0) FROM deliveries WHERE key = ?3 AND ends = 1))) ORDER BY 1",
        (host, name.upper(), name),
    )
    return [origin for (origin,) in rows]
