"""Damaged files of the state folder: what the start reports about them, and the `damage` of the status."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tocsind.clock import Clock
from tocsind.events import Emit, JournalRecovered, JournalReplaced
from tocsind.host import damaged_files
from tocsind.journal import Recovered, Replaced

from .alarm_texts import damaged
from .alarm_tracker import AlarmTracker


def report(finding: Recovered | Replaced | None, folder: Path, clock: Clock, tracker: AlarmTracker, emit: Emit) -> None:
    """Emit what recovery found in the journal's files. Findings of the last day become alarms, in case a kill prevented their alarm."""
    if isinstance(finding, Recovered):
        signals, deliveries, unreadable, owed_again = finding.kept
        name = finding.folder.name
        emit(JournalRecovered(finding.reason, name, signals, deliveries, unreadable, owed_again))
    elif finding:
        emit(JournalReplaced(finding.reason, finding.waiting))
    for each in damaged_files.recent(folder, clock.wall()):
        tracker.observe(damaged(each))


def view(folder: Path, clock: Clock) -> tuple[dict[str, Any], list[str]]:
    """For `status`: the folders of damaged files, and those of the last day as problems."""
    return {"folders": [str(each) for each in damaged_files.folders(folder)]}, [
        f"{each.reason}: the files lie in {each.folder}, and removing or renaming it ends this notice"
        for each in damaged_files.recent(folder, clock.wall())
    ]
