"""Reads what arrived in a channel or a file, and what the daemon reports about it."""

from __future__ import annotations

import json
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from tests.harness import PATIENCE, DaemonProcess, FakeProcess
from tests.whole_ids import whole_ids

from tocsind.testing.reader import alerts_in

ALARM = re.compile(
    r"^No alerts reach \S+: (it is disabled|shut out for \S+|failing for \S+)$"
    r"|^Alerts (reach|go to) \S+ again: it is (no longer failing|no longer shut out|enabled)$"
    r"|^Alerts (have been waiting|no longer wait too long) for |^[0-9,]+ signals? (missed by|taken by no route|was refused|were refused)"
)
ROUND = 0.01  # seconds between two requests to the fake, which sends no notifications


class Copy(NamedTuple):
    """One arrival of a signal; `marked` as a possible duplicate."""

    id: str
    title: str
    priority: str
    marked: bool


def arrived(fake: FakeProcess, webhook: str | None = None) -> list[Copy]:
    """All posted copies, in order; of one webhook, or of all."""
    return _copies(message for message in fake.messages() if webhook in {None, message["webhook_id"]})


def copies_in(message: dict[str, Any]) -> list[Copy]:
    """The copies in one message, in order."""
    return _copies([message])


def _copies(messages: Iterable[dict[str, Any]]) -> list[Copy]:
    alerts = [alert for message in messages for alert in alerts_in(message["payload"])]
    ids = whole_ids(alert.id for alert in alerts)
    return [Copy(id_, each.title, each.priority, each.doubt) for id_, each in zip(ids, alerts, strict=True)]


def shown(message: dict[str, Any]) -> Copy:
    """The state that a live message shows."""
    (copy,) = copies_in(message)
    return copy


def history(message: dict[str, Any]) -> list[str]:
    """The lines of a live message about earlier states, the latest first, without their times."""
    fields = message["payload"]["embeds"][0].get("fields", [])
    lines = [field["value"] for field in fields if field["name"] == "History"]
    return [line if line.startswith("…") else line.split("> ", 1)[1] for text in lines for line in text.split("\n")]


def written(path: Path) -> list[Copy]:
    """All copies that a file destination wrote, in order."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [Copy(line["id"], line["title"], line["priority"], "possible_duplicate" in line) for line in lines]


def split_alarms(copies: Iterable[Copy]) -> tuple[list[Copy], list[Copy]]:
    """Split into the daemon's own alarms and the signals of programs, each in order."""
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
    """Wait until `fact` is true of the fake's counts; returns them."""
    end = time.monotonic() + PATIENCE
    while not fact(counts := fake.counts()):
        assert time.monotonic() < end, counts
        time.sleep(ROUND)
    return counts


def hold_one(fake: FakeProcess, daemon: DaemonProcess) -> str:
    """Block the lane with one request without a response; returns the id of its signal. `fake.release()` ends the block."""
    fake.control("POST", "hold")
    plug = daemon.client.send("plug", priority="urgent").id
    until(fake, lambda counts: counts["held"] == 1)
    return plug


def queue(daemon: DaemonProcess, **which: Any) -> list[dict[str, Any]]:
    """The queued deliveries in the order in which they would be sent; at most 1,000."""
    rows: list[dict[str, Any]] = daemon.client.request("queue", limit=1000, **which)["deliveries"]
    return rows


def attempts(daemon: DaemonProcess, id_: str, destination: str = "d") -> list[tuple[str | None, str | None]]:
    """Outcome and reason of each attempt, from `why`."""
    deliveries = daemon.client.why(id_)["deliveries"]
    (mine,) = [delivery for delivery in deliveries if delivery["destination"] == destination]
    return [(attempt["outcome"], attempt["reason"]) for attempt in mine["attempts"]]


def delivery(daemon: DaemonProcess, id_: str, destination: str = "d") -> dict[str, Any]:
    """The delivery to one destination, from `why`."""
    (mine,) = [each for each in daemon.client.why(id_)["deliveries"] if each["destination"] == destination]
    found: dict[str, Any] = mine
    return found


def all_delivered(daemon: DaemonProcess, ids: Iterable[str]) -> bool:
    """Wait until these signals are settled; returns whether each was delivered."""
    return set(daemon.settled(*ids)) <= {"delivered"}
