"""Client webhooks: `discord_webhook_url` in a program's own configuration becomes a destination of the daemon, where that is allowed.

    who        root and the daemon's own user, as the kernel reports them, while alerts.toml says `[daemon] client-webhooks = true`
    what       a webhook URL that passes the same check as that of a configured destination
    where      <state>/webhooks/NAME, 0600 in a folder 0700; synced and renamed before the client gets the name. NAME is `client-`
               and a hash: the same URL is the same destination, and the name does not reveal the URL
    as what    a Discord destination with default options; its fallback is the last file destination of the configuration
    how long   until the operator deletes the file and reloads; while client webhooks are not permitted, the routes apply instead

The URL of a configured destination is that destination. Nothing is written and no permission is needed, because a client that knows the
URL can post to it without the daemon. A file that cannot be used is a disabled destination, with the reason. The URL occurs in the file,
in its Secret and in the request, and nowhere else.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from tocsin import trust
from tocsind.config import Config, DestinationOptions, DiscordOptions, webhook_url
from tocsind.config.kinds import KINDS
from tocsind.config.reader import Mistake
from tocsind.config.secret_sources import read_secret
from tocsind.secret import Secret

FOLDER = "webhooks"  # below the state folder
MAX_WEBHOOKS = 32  # each is a lane with four senders
_PREFIX = "client-"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


class WebhookRefused(Exception):  # noqa: N818 - an answer, not an accident
    """Why a webhook is refused; `kind` is one of tocsin.wire.ERROR_KINDS. The text holds no part of the URL."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


def _not_permitted(reason: str) -> WebhookRefused:
    return WebhookRefused("not-permitted", reason)


class ClientWebhooks:
    """The files of client webhooks, below the state folder."""

    def __init__(self, state: Path) -> None:
        self.folder = state / FOLDER

    def merge_into(self, config: Config) -> Config:
        """The configuration with a destination for each client webhook. Destinations that the configuration names win."""
        try:
            names = [name for name in sorted(os.listdir(self.folder)) if name.startswith(_PREFIX)]  # noqa: PTH208 - only names are needed
        except FileNotFoundError:
            return config
        except OSError as error:
            return _with_warning(config, f"{self.folder} cannot be read: {error.strerror}; it may hold webhooks")
        if not config.daemon.client_webhooks:
            unused = f"{len(names)} webhooks in {self.folder} are not used: [daemon] client-webhooks is not true"
            return _with_warning(config, unused) if names else config
        added = {name: self._destination(name, config) for name in names if name not in config.destinations}
        return msgspec.structs.replace(config, destinations={**config.destinations, **added})

    def _destination(self, name: str, config: Config) -> DestinationOptions:
        try:
            found = read_secret(
                self.folder / name, f"the file {FOLDER}/{name}", f"the file {FOLDER}/{name} does not exist"
            )
        except Mistake as mistake:
            return _options(name, None, config, disabled=str(mistake))
        if found.secret is None:
            return _options(name, None, config, disabled=found.reason)
        try:
            return _options(name, _normal(found.secret.reveal()), config)
        except ValueError as error:
            return _options(name, None, config, disabled=f"{found.called} {error}")

    def add(self, url: str, uid: int, config: Config) -> str:
        """The name of the destination for `url`; a new one is synced to disk first. Raises WebhookRefused."""
        webhook = _check_allowed(url, uid)
        known = _find(webhook, config.destinations)
        if known is not None:
            return known
        if not config.daemon.client_webhooks:
            raise _not_permitted(f"write `client-webhooks = true` under [daemon] in {_place(config)}")
        try:
            return self._store(webhook, config)
        except OSError as error:
            raise WebhookRefused("full", f"it cannot be stored: {error.strerror or error}") from None

    def _store(self, webhook: Secret, config: Config) -> str:
        name = _PREFIX + _options("", webhook, config).fingerprint[:12]
        if name in config.destinations:
            reason = config.destinations[name].disabled or "it holds another webhook"
            raise _not_permitted(f"{self.folder / name} cannot be used: {reason}; delete it, and reload")
        trust.make_folder(str(self.folder))
        trust.sync_folder(str(self.folder.parent))  # also when an interrupted call created the folder
        place = os.open(self.folder, _FOLDER)
        try:
            others = set(os.listdir(place)) - {name}  # noqa: PTH208 - a descriptor has no path
            if len(others) >= MAX_WEBHOOKS:
                raise _not_permitted(
                    f"there are {MAX_WEBHOOKS} client webhooks, the most allowed: delete files in {self.folder}, and reload"
                )
            _write(place, name, f"{webhook.reveal()}\n".encode())
        finally:
            os.close(place)
        return name


def _check_allowed(url: str, uid: int) -> Secret:
    """The URL in its normal form. Raises WebhookRefused for a user who may not add webhooks, and for a URL that is no webhook."""
    if uid not in {0, os.geteuid()}:
        raise _not_permitted("only root and the daemon's own user may add webhooks")
    try:
        return _normal(url.strip())
    except ValueError as error:
        text = str(error).partition("; allow-host")[0]  # allow-host is a key of alerts.toml only
        raise WebhookRefused("bad-request", f"the webhook URL {text}") from None


def _normal(url: str) -> Secret:
    return Secret(webhook_url.normalise(url))


def _find(webhook: Secret, destinations: Mapping[str, DestinationOptions]) -> str | None:
    """The destination that has this webhook already."""
    return next(
        (name for name, each in destinations.items() if getattr(each.options, "webhook", None) == webhook), None
    )


def _options(name: str, webhook: Secret | None, config: Config, disabled: str | None = None) -> DestinationOptions:
    kind = KINDS["discord"]
    files = [each.name for each in config.destinations.values() if each.options.path is not None]
    options, fallback = DiscordOptions(webhook=webhook), tuple(files[-1:])
    return DestinationOptions(name, "discord", options, kind.limit, kind.digest, fallback, disabled=disabled)


def _place(config: Config) -> str:
    return config.source if "/" in config.source or config.source.endswith(".toml") else "an alerts.toml of your own"


def _with_warning(config: Config, warning: str) -> Config:
    return msgspec.structs.replace(config, warnings=(*config.warnings, warning))


def _write(place: int, name: str, content: bytes) -> None:
    """Write the file under a temporary name, sync it, and rename it."""
    unfinished = f".{name}"
    file = os.open(unfinished, _FILE, 0o600, dir_fd=place)
    try:
        os.write(file, content)  # a few hundred bytes; the sync reports a full disk
        os.fsync(file)
    finally:
        os.close(file)
    os.rename(unfinished, name, src_dir_fd=place, dst_dir_fd=place)
    os.fsync(place)
