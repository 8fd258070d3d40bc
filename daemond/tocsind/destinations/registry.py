"""Kind -> how to build one. A new kind of destination is one more row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from tocsind.config import DestinationOptions, DiscordOptions, FileOptions

from . import Destination
from .discord import DiscordWebhook
from .file import FileDestination
from .http import HttpClient


def build(options: DestinationOptions, client: HttpClient, state_folder: Path) -> Destination:
    """The destination that `options` describes. It shares `client`; relative paths lie under `state_folder`."""
    return BUILDERS[options.kind](options, client, state_folder)


def _discord(options: DestinationOptions, client: HttpClient, _: Path) -> Destination:
    assert isinstance(options.options, DiscordOptions)
    return DiscordWebhook(options.options, client)


def _file(options: DestinationOptions, _: HttpClient, state_folder: Path) -> Destination:
    assert isinstance(options.options, FileOptions)
    return FileDestination(state_folder / options.options.path)


BUILDERS: Final[dict[str, Callable[[DestinationOptions, HttpClient, Path], Destination]]] = {
    "discord": _discord,
    "file": _file,
}
