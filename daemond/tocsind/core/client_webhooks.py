"""Webhooks that clients lend: `discord_webhook_url` in a program's own configuration becomes a destination of ours, where that is allowed.

    who        root and our own uid, as the kernel says; and only while alerts.toml says `[daemon] client-webhooks = true`
    what       a webhook URL that a configured destination could have as well, by the very same check
    where      <state>/webhooks/NAME, 0600 in a folder 0700, synced and then renamed: on disk before the client is told the name.
               NAME is `client-` and a hash, so that the same URL is the same destination, and its name tells nothing
    as what    a Discord destination with everything as by default; the last file that is configured stands in for it
    how long   until a person deletes the file and reloads; or for as long as it is not permitted, its signals are routed anew

A URL that a configured destination has already is that destination: nothing is written down, and nothing needs to be permitted, for
who knows the URL could post there anyway. A file that cannot be used is a destination that is disabled, with the reason. The URL is in
the file, in its Secret and in the request, and nowhere else.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from tocsin import trust
from tocsind.config import Config, DestinationOptions, DiscordOptions, FileOptions, webhook_url
from tocsind.config.destinations import KINDS
from tocsind.config.reader import Mistake
from tocsind.config.webhooks import read_secret
from tocsind.secret import Secret

FOLDER = "webhooks"  # below the state folder
MOST = 32  # each is a lane with four senders
_PREFIX = "client-"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


class WebhookRefused(Exception):  # noqa: N818 - an answer, not an accident
    """A webhook that is not taken, and why; `kind` is one of tocsin.wire.ERROR_KINDS. Nothing of the URL is in the text."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


def _not_permitted(reason: str) -> WebhookRefused:
    return WebhookRefused("not-permitted", reason)


class ClientWebhooks:
    """What was lent, below the state folder."""

    def __init__(self, state: Path) -> None:
        self.folder = state / FOLDER

    def merge_into(self, config: Config) -> Config:
        """The configuration, and what was lent. A destination that it names itself stays as it says."""
        try:
            names = [name for name in sorted(os.listdir(self.folder)) if name.startswith(_PREFIX)]  # noqa: PTH208 - names are all it takes
        except FileNotFoundError:
            return config
        except OSError as error:
            return _with_warning(config, f"{self.folder} cannot be looked at: {error.strerror}; it may hold webhooks")
        if not config.daemon.client_webhooks:
            unused = f"{len(names)} webhooks in {self.folder} are not used: [daemon] client-webhooks is not true"
            return _with_warning(config, unused) if names else config
        lent = {name: self._destination(name, config) for name in names if name not in config.destinations}
        return msgspec.structs.replace(config, destinations={**config.destinations, **lent})

    def _destination(self, name: str, config: Config) -> DestinationOptions:
        try:
            sought = read_secret(
                self.folder / name, f"the file {FOLDER}/{name}", f"the file {FOLDER}/{name} does not exist"
            )
        except Mistake as mistake:
            return _options(name, None, config, disabled=str(mistake))
        if sought.secret is None:
            return _options(name, None, config, disabled=sought.reason)
        try:
            return _options(name, _normal(sought.secret.reveal()), config)
        except ValueError as complaint:
            return _options(name, None, config, disabled=f"{sought.called} {complaint}")

    def add(self, url: str, uid: int, config: Config) -> str:
        """The name of the destination that `url` is from now on, on disk where it was none before. Raises LendingRefused."""
        webhook = _check_allowed(url, uid)
        known = _find(webhook, config.destinations)
        if known is not None:
            return known
        if not config.daemon.client_webhooks:
            raise _not_permitted(f"write `client-webhooks = true` under [daemon] in {_place(config)}")
        try:
            return self._written(webhook, config)
        except OSError as error:
            raise WebhookRefused("full", f"it cannot be written down: {error.strerror or error}") from None

    def _written(self, webhook: Secret, config: Config) -> str:
        name = _PREFIX + _options("", webhook, config).fingerprint[:12]
        if name in config.destinations:
            reason = config.destinations[name].disabled or "it is another one"
            raise _not_permitted(f"{self.folder / name} cannot be used: {reason}; delete it, and reload")
        trust.make_folder(str(self.folder))
        trust.sync_folder(str(self.folder.parent))  # also where a start that was cut off had made it
        place = os.open(self.folder, _FOLDER)
        try:
            held = set(os.listdir(place)) - {name}  # noqa: PTH208 - a descriptor has no path
            if len(held) >= MOST:
                raise _not_permitted(
                    f"{MOST} are lent, and that is the most: delete files in {self.folder}, and reload"
                )
            _write(place, name, f"{webhook.reveal()}\n".encode())
        finally:
            os.close(place)
        return name


def _check_allowed(url: str, uid: int) -> Secret:
    """The URL in its normal form, from one who may lend."""
    if uid not in {0, os.geteuid()}:
        raise _not_permitted("only root and the daemon's own user may lend it webhooks")
    try:
        return _normal(url.strip())
    except ValueError as complaint:
        said = str(complaint).partition("; allow-host")[0]  # that is for destinations of alerts.toml
        raise WebhookRefused("bad-request", f"the webhook URL {said}") from None


def _normal(url: str) -> Secret:
    return Secret(webhook_url.normalise(url))


def _find(webhook: Secret, destinations: Mapping[str, DestinationOptions]) -> str | None:
    """The destination that this webhook is already."""
    return next(
        (name for name, each in destinations.items() if getattr(each.options, "webhook", None) == webhook), None
    )


def _options(name: str, webhook: Secret | None, config: Config, disabled: str | None = None) -> DestinationOptions:
    kind = KINDS["discord"]
    files = [each.name for each in config.destinations.values() if isinstance(each.options, FileOptions)]
    options, fallback = DiscordOptions(webhook=webhook), tuple(files[-1:])
    return DestinationOptions(name, "discord", options, kind.limit, kind.digest, fallback, disabled=disabled)


def _place(config: Config) -> str:
    return config.source if "/" in config.source or config.source.endswith(".toml") else "an alerts.toml of your own"


def _with_warning(config: Config, warning: str) -> Config:
    return msgspec.structs.replace(config, warnings=(*config.warnings, warning))


def _write(place: int, name: str, content: bytes) -> None:
    """The file, whole and synced, under its name."""
    unfinished = f".{name}"
    file = os.open(unfinished, _FILE, 0o600, dir_fd=place)
    try:
        os.write(file, content)  # a few hundred bytes: what does not fit is told by the sync
        os.fsync(file)
    finally:
        os.close(file)
    os.rename(unfinished, name, src_dir_fd=place, dst_dir_fd=place)
    os.fsync(place)
