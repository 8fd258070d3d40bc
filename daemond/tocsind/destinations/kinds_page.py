"""What each kind of destination can do, as a page of documentation, made from the code's own attributes: `python -m
tocsind.destinations.kinds_page`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from math import inf
from typing import Final, NamedTuple, TypeVar

from tocsind.config.kinds import KINDS
from tocsind.config.values import written_rate
from tocsind.policy.live_message import Editing

from . import Destination, discord, email, file, ntfy, slack, telegram, webhook
from .apprise import AppriseDestination
from .exec import ExecDestination

T = TypeVar("T")
_EDITING: Final = {
    Editing.NONE: "each state is a message",
    Editing.SILENT: "edited in place, silently",
    Editing.LOUD: "replaced, and shown again",
    Editing.THREAD: "a message in the same thread",
    Editing.STATE: "the state of an incident",
}


_NTFY: Final = "a server from 2.16 on recognizes what is repeated, and nothing is marked there; an older one shows each state as a message"


class Shown(NamedTuple):
    """A row: the name that readers see, the kind, its class, and what the attributes do not say."""

    name: str
    kind: str
    destination: type[Destination]
    note: str = ""
    names_files: bool = False  # a line names the attachment, and the file is not sent


ROWS: Final = (
    Shown("discord", "discord", discord.DiscordWebhook),
    Shown("ntfy", "ntfy", ntfy.Ntfy, _NTFY),
    Shown("telegram", "telegram", telegram.Telegram),
    Shown("slack, by a bot", "slack", slack.SlackBot),
    Shown("slack, by a webhook", "slack", slack.SlackWebhook),
    Shown("email", "email", email.EmailDestination, "a mail program that knows the Message-ID shows no copy"),
    Shown("webhook", "webhook", webhook.Webhook, "a receiver that looks at `webhook-id` sees no copy"),
    Shown("exec", "exec", ExecDestination, names_files=True),
    Shown("apprise", "apprise", AppriseDestination, "what Apprise did not deliver may have arrived in part"),
    Shown("file", "file", file.FileDestination, names_files=True),
)
_HEAD = """\
# What each kind of destination can do

This page is made from the code (`daemond/tocsind/destinations/kinds_page.py`), by `make reference`.

- **a key's next state**: what becomes of the message when a signal with the same `key` follows
  ([living messages](../how-to/living-messages.md)).
- **together**: the most signals that share one message or request.
- **silent**, **mentions**, **priority**: whether the destination has the key `silent`, `mention` or `priority` in alerts.toml.
- **attachments**: whether files are sent, and how many bytes of them a message takes; "named": a line names the file, which stays here.
- **an answer that is lost**: whether the request is repeated without a mark, or the message says "possible duplicate".
- **limit**: the default of `limit`; the limits of the service are kept beside it.
"""


def page() -> str:
    """The whole page, as Markdown."""
    return "\n".join((_HEAD, *_table(), "", *_notes(), "", "## Keys in alerts.toml", "", *_keys())) + "\n"


def _table() -> Iterator[str]:
    yield "| kind | a key's next state | together | silent | mentions | priority | attachments | an answer that is lost | limit |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for shown in ROWS:
        kind, made = KINDS[shown.kind], shown.destination
        cells = (
            shown.name,
            _EDITING[_attribute(made, "editing", Editing)],
            str(_attribute(made, "max_items", int)),
            *("yes" if key in kind.fields else "" for key in ("silent", "mention", "priority")),
            "named" if shown.names_files else _files(_attribute(made, "max_bytes", float)),
            "repeated" if _attribute(made, "repeatable", bool) else "marked",
            written_rate(kind.limit) if kind.limit else "",
        )
        yield f"| {' | '.join(cells)} |"


def _attribute(made: type[Destination], name: str, of: type[T]) -> T:
    found = getattr(made, name)
    assert isinstance(found, of), f"{name} is no attribute of the class"
    return found


def _files(most: float) -> str:
    return "" if not most else "yes" if most == inf else f"{most / 2**20:g} MiB"


def _notes() -> Iterator[str]:
    yield from (f"- {shown.name}: {shown.note}." for shown in ROWS if shown.note)


def _keys() -> Iterator[str]:
    """The keys of each kind; those that must be there in bold."""
    yield "Keys in bold must be there. Every destination also has `kind`, `enabled`, `limit`, `digest`, `fallback`, `retry`, `breaker`,"
    yield "`patience` and `repeat`."
    yield ""
    for name, kind in KINDS.items():
        keys = (f"**`{key}`**" if field.missing else f"`{key}`" for key, field in kind.fields.items())
        yield f"- {name}: {', '.join(keys)}"


if __name__ == "__main__":
    sys.stdout.write(page())
