"""Kind -> constructor and known rate limits. A new kind of destination is one more row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from tocsind.attachments import Store
from tocsind.config import DestinationOptions, DiscordOptions, FileOptions
from tocsind.policy.bucket import Rate

from . import Destination
from .discord import DiscordWebhook
from .file import FileDestination
from .http import HttpClient

# Discord takes 50 requests a second from an address without a token of its own; fewer in a longer window is the safe side.
ADDRESS_LIMIT: Final = Rate(45, 1.1)


class Pace(NamedTuple):
    """The far end's limits as they are known before its first answer; None: no limit."""

    endpoint: Rate | None = None
    channel: Rate | None = None
    address: Rate | None = None


def build(options: DestinationOptions, client: HttpClient, state_folder: Path) -> Destination:
    """The destination that `options` describes. It shares `client`; relative paths lie under `state_folder`."""
    return BUILDERS[options.kind](options, client, state_folder)


def pace(options: DestinationOptions) -> Pace:
    """The rate limits of the far end of `options`."""
    if isinstance(options.options, DiscordOptions):
        return Pace(options.options.webhook_limit, options.options.channel_limit, ADDRESS_LIMIT)
    return Pace()


def _discord(options: DestinationOptions, client: HttpClient, state_folder: Path) -> Destination:
    assert isinstance(options.options, DiscordOptions)
    return DiscordWebhook(options.options, client, Store(state_folder))


def _file(options: DestinationOptions, _: HttpClient, state_folder: Path) -> Destination:
    assert isinstance(options.options, FileOptions)
    return FileDestination(state_folder / options.options.path, state_folder)


BUILDERS: Final[dict[str, Callable[[DestinationOptions, HttpClient, Path], Destination]]] = {
    "discord": _discord,
    "file": _file,
}
