"""What a Discord message may hold: code points after trimming, bounds included. Source: Discord's documentation, and its staff."""

from __future__ import annotations

from typing import Final

MOST_EMBEDS: Final = 10
MOST_ROOM: Final = 6000  # over all embeds of a message
CONTENT: Final = 2000
USERNAME: Final = 80
TITLE: Final = 256
DESCRIPTION: Final = 4096
FIELDS: Final = 25
NAME: Final = 256
VALUE: Final = 1024
FOOTER: Final = 2048
LINK: Final = 2048
