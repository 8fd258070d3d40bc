"""What arrived, as a reader of the channel or of the file would tell it; and what the daemon says about that."""

from __future__ import annotations

import json
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from tests.harness import PATIENCE, DaemonProcess, FakeProcess

ALARM = re.compile(
    r"^\S+ (is disabled|is shut out for \S+|has been failing for \S+|is no longer failing|is no longer shut out|is enabled again)$"
    r"|^Signals (have been waiting|no longer wait too long) for |^[0-9,]+ signals? (missed by|taken by no route|was refused|were refused)"
)
ROUND = 0.01  # seconds between two looks at the fake, which answers questions but announces nothing


class Copy(NamedTuple):
    """One arrival of a signal; `marked` when it says that it may be a second one."""

    id: str
    title: str
    priority: str
    marked: bool


def arrived(fake: FakeProcess, webhook: str | None = None) -> list[Copy]:
    """All that was posted, in order; to one webhook, or to all."""
    return [
        copy for message in fake.messages() if webhook in {None, message["webhook_id"]} for copy in copies_in(message)
    ]


def copies_in(message: dict[str, Any]) -> list[Copy]:
    """All that one message told, in order."""
    return [_copy(embed) for embed in message["payload"]["embeds"]]


def shown(message: dict[str, Any]) -> Copy:
    """The state that a live message shows."""
    (copy,) = copies_in(message)
    return copy


def history(message: dict[str, Any]) -> list[str]:
    """The lines of a live message about earlier states, the latest first, without their times."""
    fields = message["payload"]["embeds"][0].get("fields", [])
    lines = [field["value"] for field in fields if field["name"] == "History (UTC)"]
    return [line if line.startswith("…") else line.split(" ", 1)[1] for text in lines for line in text.split("\n")]


def _copy(embed: dict[str, Any]) -> Copy:
    parts = embed["footer"]["text"].split(" · ")
    marked = parts[0] == "possible duplicate"
    return Copy(parts[-1], embed["title"], parts[marked], marked)


def written(path: Path) -> list[Copy]:
    """All that a file destination wrote, in order."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [Copy(line["id"], line["title"], line["priority"], "possible_duplicate" in line) for line in lines]


def told_apart(copies: Iterable[Copy]) -> tuple[list[Copy], list[Copy]]:
    """The daemon's own alarms, and what people sent; each in order."""
    alarms: list[Copy] = []
    theirs: list[Copy] = []
    for copy in copies:
        (alarms if ALARM.search(copy.title) else theirs).append(copy)
    return alarms, theirs


def by_id(copies: Iterable[Copy]) -> dict[str, list[Copy]]:
    """The copies of each signal, in order."""
    found: dict[str, list[Copy]] = defaultdict(list)
    for copy in copies:
        found[copy.id].append(copy)
    return found


def until(fake: FakeProcess, fact: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The fake's counts, once `fact` holds of them."""
    end = time.monotonic() + PATIENCE
    while not fact(counts := fake.counts()):
        assert time.monotonic() < end, counts
        time.sleep(ROUND)
    return counts


def hold_one(fake: FakeProcess, daemon: DaemonProcess) -> str:
    """Shut the lane with one request in flight that nobody answers; the id of its signal. `fake.control("POST", "release")` opens it."""
    fake.control("POST", "hold")
    plug = daemon.client.send("plug", priority="urgent").id
    until(fake, lambda counts: counts["held"] == 1)
    return plug


def queue(daemon: DaemonProcess, **which: Any) -> list[dict[str, Any]]:
    """What stands in the journal, in the order in which it would be sent; at most 1,000."""
    rows: list[dict[str, Any]] = daemon.client.request("queue", limit=1000, **which)["deliveries"]
    return rows


def attempts(daemon: DaemonProcess, id_: str, destination: str = "d") -> list[tuple[str | None, str | None]]:
    """Outcome and reason of each attempt, as `why` tells them."""
    deliveries = daemon.client.why(id_)["deliveries"]
    (mine,) = [delivery for delivery in deliveries if delivery["destination"] == destination]
    return [(attempt["outcome"], attempt["reason"]) for attempt in mine["attempts"]]


def delivery(daemon: DaemonProcess, id_: str, destination: str = "d") -> dict[str, Any]:
    """One destination's part of `why`."""
    (mine,) = [each for each in daemon.client.why(id_)["deliveries"] if each["destination"] == destination]
    found: dict[str, Any] = mine
    return found


def all_delivered(daemon: DaemonProcess, ids: Iterable[str]) -> bool:
    """Wait until nothing of these waits any more; whether each reached someone."""
    return set(daemon.settled(*ids)) <= {"delivered"}
