"""Discord's webhook API as a server sees it: what a message may be, how a request carries it, and the answers to what is wrong.

The fake Discord and the HTTP intake share it, so what the one refuses the other refuses, with the same status and the same path.

    validation   the parts of a message; embeds: those of an embed; forms: reading JSON with a place for every fault
    bodies       a request's body: JSON, a form, multipart with files
    multipart    multipart/form-data, read
    errors       answers in Discord's shape
"""

from __future__ import annotations

from typing import Final

REPLACES_FILES: Final = "replaces_files"  # in the stored payload of an edit: its files replace those of the message
