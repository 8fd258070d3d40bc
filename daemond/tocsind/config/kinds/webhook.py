"""Kind "webhook": any program that takes JSON over HTTP, signed as Standard Webhooks describes (https://www.standardwebhooks.com)."""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Mapping
from typing import Any

from tocsind.config import web_address
from tocsind.config.kind import Kind
from tocsind.config.model import Options
from tocsind.config.reader import Field, Location, Mistake, read_table, shown
from tocsind.config.secret_sources import SecretSource, first_reason, secret, secret_url
from tocsind.config.values import duration, one_of
from tocsind.secret import Secret

FORMATS = ("standard", "alertmanager")
_KEY_BYTES = range(24, 65)  # of a signing secret
_OWN_HEADERS = {"host", "content-length", "content-type", "transfer-encoding", "connection"}


class WebhookOptions(Options, frozen=True):
    """A server that takes one signal a request. `secrets` sign each request: the new one, and during a change the old one."""

    target: Secret | None = None
    secrets: tuple[Secret, ...] = ()
    headers: Mapping[str, Secret] = {}
    format: str = "standard"
    deadline: float = 20.0

    @property
    def identity(self) -> str:
        return str(self.target and self.target.reveal())

    @property
    def endpoint(self) -> str | None:
        return self.target.reveal() if self.target else None

    @property
    def address(self) -> str | None:
        return web_address.host_of(self.target.reveal()) if self.target else None

    @property
    def url(self) -> Secret | None:
        return self.target


def options(location: Location, found: Mapping[str, Any]) -> tuple[WebhookOptions, str | None]:
    """The options, and the reason when the destination is disabled."""
    target: SecretSource = found.get("url", SecretSource())
    keys = [found[key] for key in ("secret", "old_secret") if key in found]
    headers: Mapping[str, SecretSource] = found.get("headers", {})
    if target.secret and (problem := _problem_with(target.secret.reveal())):
        location.at("url").wrong(f"{target.called} {problem}")
    if "old_secret" in found and "secret" not in found:
        location.at("old-secret").wrong("is used together with `secret`, during a change from one to the other")
    read = WebhookOptions(
        target=target.secret,
        secrets=tuple(each.secret for each in keys if each.secret),
        headers={name: each.secret for name, each in headers.items() if each.secret},
        **{key: found[key] for key in ("format", "deadline") if key in found},
    )
    return read, first_reason(target, *keys, *headers.values())


def _problem_with(url: str) -> str | None:
    return web_address.problem_with(url, web_address.EXAMPLE) or web_address.other_kind(url, "webhook")


def key_of(written: Secret) -> bytes:
    """The bytes of a signing secret. Raises ValueError."""
    try:
        key = b64decode(written.reveal().removeprefix("whsec_"), validate=True)
    except NotBase64:
        raise ValueError("is no Base64") from None
    if len(key) not in _KEY_BYTES:
        raise ValueError(f"has {len(key)} bytes; a signing secret has {_KEY_BYTES[0]} to {_KEY_BYTES[-1]}")
    return key


def _signing(location: Location) -> SecretSource:
    found = secret("a signing secret")(location)
    if found.secret:
        try:
            key_of(found.secret)
        except ValueError as error:
            raise Mistake(f"{found.called} {error}; `openssl rand -base64 32` makes one") from None
    return found


def _headers(location: Location) -> Mapping[str, SecretSource]:
    names = location.value if isinstance(location.value, dict) else {}
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9-]{1,64}", name):
            raise Mistake(f"{shown(name)} is no name of a header")
        if name.lower() in _OWN_HEADERS or name.lower().startswith("webhook-"):
            raise Mistake(f"the header {name} is tocsin's to set")
    found = read_table(location, {name: Field(_header) for name in names})
    return {name: found[key] for name in names if (key := name.replace("-", "_")) in found}


def _header(location: Location) -> SecretSource:
    """A header's value; it may have blanks, as in `Bearer TOKEN`."""
    found = secret_url(location, "a header's value")
    if found.secret and not re.fullmatch(r"[ -~]+", found.secret.reveal()):
        raise Mistake(f"{found.called} holds a character that is not ASCII")
    return found


FIELDS = {
    "url": Field(
        lambda location: secret_url(location, "a webhook URL"), missing='missing; write it like { env = "WEBHOOK_URL" }'
    ),
    "secret": Field(_signing),
    "old-secret": Field(_signing),
    "headers": Field(_headers),
    "format": Field(one_of(FORMATS, "format")),
    "deadline": Field(duration),
}
KIND = Kind(FIELDS, options)
