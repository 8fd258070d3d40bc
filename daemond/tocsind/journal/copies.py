"""Jobs of a host whose state folder was copied, or is a copy: another daemon has, or had, all that waits here."""

from __future__ import annotations

import sqlite3

from .shared_view import OPEN_STATES

_OPEN = f"d.state IN {OPEN_STATES}"
_IN_OPEN_DIGEST = f"d.digest IN (SELECT g.signal FROM deliveries g WHERE g.number < 0 AND g.state IN {OPEN_STATES})"  # noqa: S608 - constant text
_MAY_BE_SENT = f"({_OPEN} OR d.repeat_at IS NOT NULL OR {_IN_OPEN_DIGEST})"


def position(connection: sqlite3.Connection) -> tuple[str, int]:
    """The id of this journal (hexadecimal), and how many commits it has."""
    id_, commits = connection.execute("SELECT lower(hex(id)), n FROM commits").fetchone()
    return str(id_), int(commits)


def rename_host(connection: sqlite3.Connection, before: str, host: str) -> int:
    """This host, which was called `before`, is `host` from now on. What it accepted and may still send is marked as a possible duplicate,
    and handed over again under the new name. Returns how many deliveries wait. May be repeated.
    """
    connection.execute(
        f"UPDATE deliveries AS d SET doubt = 1 WHERE {_MAY_BE_SENT}"  # noqa: S608 - constant text
        " AND NOT EXISTS (SELECT 1 FROM shared e WHERE e.delivery = d.number AND e.origin NOT IN (?, ?))",
        (before, host),
    )
    connection.execute(
        "UPDATE shared AS e SET origin = ?1, id = ?1 || substr(id, length(?2) + 1), epoch = NULL,"  # noqa: S608 - constant text
        f" stage = iif(EXISTS (SELECT 1 FROM deliveries d WHERE d.number = e.delivery AND ({_OPEN} OR {_IN_OPEN_DIGEST})), 'begun', 'told')"
        " WHERE origin = ?2",
        (host, before),
    )
    (waiting,) = connection.execute(
        f"SELECT count(*) FROM deliveries d WHERE {_OPEN} AND NOT EXISTS"  # noqa: S608 - constant text
        " (SELECT 1 FROM shared e WHERE e.delivery = d.number AND e.origin <> ?)",
        (host,),
    ).fetchone()
    return int(waiting)
