"""The kinds of destination: a module each, with its options, its keys (`FIELDS`) and its `KIND`.

A new kind is one more module and one more entry here; `tocsind.destinations` says what else it needs.
"""

from __future__ import annotations

from typing import Final

from tocsind.config.kind import Kind

from . import apprise, discord, email, file, ntfy, slack, telegram, webhook
from . import exec as exec_

KINDS: Final[dict[str, Kind]] = {
    "discord": discord.KIND,
    "email": email.KIND,
    "exec": exec_.KIND,
    "file": file.KIND,
    "ntfy": ntfy.KIND,
    "slack": slack.KIND,
    "telegram": telegram.KIND,
    "webhook": webhook.KIND,
    "apprise": apprise.KIND,
}
