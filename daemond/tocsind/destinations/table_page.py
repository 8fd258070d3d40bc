"""The tables of answers as a page of documentation, made from the rows that decide: `python -m tocsind.destinations.table_page`."""

from __future__ import annotations

import sys
from collections.abc import Container, Iterator
from typing import Any, Final

from . import apprise, discord_table, email, ntfy, slack, table, telegram, webhook
from . import exec as exec_
from .table import Row

_RANGES: Final = {table.TWO: "2xx", table.THREE: "3xx", table.FOUR: "4xx", table.FIVE: "5xx", table.EVERY: "any"}
_Table = tuple[Row[Any], ...]
PAGES: Final[dict[str, _Table]] = {
    "Discord": discord_table.TABLE,
    "Discord, the answer to an edit (these rows come first)": discord_table.EDITS,
    "ntfy (after these, the rows of any HTTP service)": ntfy.TABLE,
    "Slack, by a bot (after these, the rows of any HTTP service)": slack.API_TABLE,
    "Slack, the answer to an edit (these rows come first)": slack.API_EDITS,
    "Slack, by a webhook (after these, the rows of any HTTP service)": slack.WEBHOOK_TABLE,
    "Telegram (after these, the rows of any HTTP service)": telegram.TABLE,
    "Telegram, the answer to an edit (these rows come first)": telegram.EDITS,
    "Webhook (after these, the rows of any HTTP service)": webhook.TABLE,
    "E-mail, by the reply and the stage at which it came": email.TABLE,
    "Exec, by the command's exit code": exec_.TABLE,
    "Apprise, by the exit code of the process that runs it": apprise.TABLE,
    "Any HTTP service (the last rows of every kind but Discord)": table.ANY_SERVICE,
}
_HEAD = """\
# What each answer means

This page is made from the tables that decide (`daemond/tocsind/destinations`), by `make reference`. The first row that fits decides.
"""


def page() -> str:
    """The whole page, as Markdown."""
    parts = (f"## {title}\n\n" + "\n".join(_lines(rows)) + "\n" for title, rows in PAGES.items())
    return "\n".join((_HEAD, *parts))


def _lines(rows: _Table) -> Iterator[str]:
    yield "| status | code or text | meaning |"
    yield "|---|---|---|"
    for row in rows:
        yield f"| {_statuses(row.statuses)} | {_condition(row)} | {_text(row.outcome)} |"


def _statuses(statuses: Container[int]) -> str:
    if isinstance(statuses, range):
        return _RANGES[statuses]
    return _listed(statuses)


def _condition(row: Row[Any]) -> str:
    code = "" if row.codes is None else _listed(row.codes)
    says = f"says `{row.says}`".replace("|", "\\|") if row.says else ""
    fits = _text(row.fits) if row.fits else ""
    return ", ".join(filter(None, (code, says, fits)))


def _text(function: object) -> str:
    """The first line of a docstring, as part of a sentence."""
    line = (function.__doc__ or "").splitlines()[0].rstrip(".")
    return line if line.startswith("Discord") else line[:1].lower() + line[1:]


def _listed(values: Container[Any]) -> str:
    """Numbers in order, with runs as `520-529`; words in order."""
    if isinstance(values, range):
        return f"{values[0]}-{values[-1]}"
    assert isinstance(values, (set, frozenset)), "a table holds ranges and sets"
    numbers = sorted(each for each in values if isinstance(each, int))
    words = sorted(each for each in values if isinstance(each, str))
    return ", ".join([*_runs(numbers), *words])


def _runs(numbers: list[int]) -> Iterator[str]:
    while numbers:
        length = next((n for n, each in enumerate(numbers) if each != numbers[0] + n), len(numbers))
        run, numbers = numbers[:length], numbers[length:]
        if length < 3:
            yield from map(str, run)
        else:
            yield f"{run[0]}-{run[-1]}"


if __name__ == "__main__":
    sys.stdout.write(page())
