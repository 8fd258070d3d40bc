"""Kind -> constructor. A kind's module is imported when a destination of that kind is built: what is not configured costs no memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from tocsind.config import DestinationOptions, DiscordOptions, FileOptions
from tocsind.policy.pace import Pace

from . import Destination
from .http import HttpClient


def build(options: DestinationOptions, client: HttpClient, state_folder: Path) -> Destination:
    """The destination that `options` describes. It shares `client`; relative paths lie under `state_folder`."""
    return BUILDERS[options.kind](options, client, state_folder)


def pace(options: DestinationOptions) -> Pace:
    """The rate limits of the far end of `options`."""
    return options.options.pace


def _apprise(options: DestinationOptions, _: HttpClient, __: Path) -> Destination:
    from tocsind.config.kinds.apprise import AppriseOptions  # noqa: PLC0415

    from .apprise import AppriseDestination  # noqa: PLC0415

    assert isinstance(options.options, AppriseOptions)
    return AppriseDestination(options.options)


def _discord(options: DestinationOptions, client: HttpClient, state_folder: Path) -> Destination:
    from tocsind.attachments import Store  # noqa: PLC0415 - see above

    from .discord import DiscordWebhook  # noqa: PLC0415

    assert isinstance(options.options, DiscordOptions)
    return DiscordWebhook(options.options, client, Store(state_folder))


def _email(options: DestinationOptions, _: HttpClient, state_folder: Path) -> Destination:
    from tocsind.attachments import Store  # noqa: PLC0415
    from tocsind.config.kinds.email import EmailOptions  # noqa: PLC0415

    from .email import EmailDestination  # noqa: PLC0415

    assert isinstance(options.options, EmailOptions)
    return EmailDestination(options.options, Store(state_folder))


def _exec(options: DestinationOptions, _: HttpClient, __: Path) -> Destination:
    from tocsind.config.kinds.exec import ExecOptions  # noqa: PLC0415

    from .exec import ExecDestination  # noqa: PLC0415

    assert isinstance(options.options, ExecOptions)
    return ExecDestination(options.options)


def _file(options: DestinationOptions, _: HttpClient, state_folder: Path) -> Destination:
    from .file import FileDestination  # noqa: PLC0415

    assert isinstance(options.options, FileOptions)
    return FileDestination(state_folder / options.options.path, state_folder)


def _ntfy(options: DestinationOptions, client: HttpClient, _: Path) -> Destination:
    from tocsind.config.kinds.ntfy import NtfyOptions  # noqa: PLC0415

    from .ntfy import Ntfy  # noqa: PLC0415

    assert isinstance(options.options, NtfyOptions)
    return Ntfy(options.options, client)


def _slack(options: DestinationOptions, client: HttpClient, _: Path) -> Destination:
    from tocsind.config.kinds.slack import SlackOptions  # noqa: PLC0415

    from .slack import SlackBot, SlackWebhook  # noqa: PLC0415

    assert isinstance(options.options, SlackOptions)
    return (SlackWebhook if options.options.webhook else SlackBot)(options.options, client)


def _telegram(options: DestinationOptions, client: HttpClient, _: Path) -> Destination:
    from tocsind.config.kinds.telegram import TelegramOptions  # noqa: PLC0415

    from .telegram import Telegram  # noqa: PLC0415

    assert isinstance(options.options, TelegramOptions)
    return Telegram(options.options, client)


def _webhook(options: DestinationOptions, client: HttpClient, _: Path) -> Destination:
    from tocsind.config.kinds.webhook import WebhookOptions  # noqa: PLC0415

    from .webhook import Webhook  # noqa: PLC0415

    assert isinstance(options.options, WebhookOptions)
    return Webhook(options.options, client)


BUILDERS: Final[dict[str, Callable[[DestinationOptions, HttpClient, Path], Destination]]] = {
    "apprise": _apprise,
    "discord": _discord,
    "email": _email,
    "exec": _exec,
    "file": _file,
    "ntfy": _ntfy,
    "slack": _slack,
    "telegram": _telegram,
    "webhook": _webhook,
}
