"""Kind "email": mail, by a relay that takes it over SMTP."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from email.utils import getaddresses, parseaddr
from typing import Any, Final

import msgspec

from tocsind.config import web_address
from tocsind.config.kind import Kind
from tocsind.config.model import Options
from tocsind.config.reader import Field, Location, Mistake, shown
from tocsind.config.secret_sources import SecretSource, first_reason, password
from tocsind.config.values import duration, filled, one_of, several, text
from tocsind.policy.bucket import Rate
from tocsind.policy.digest import Budgets
from tocsind.secret import Secret

TLS: Final = ("starttls", "implicit", "none")
IMPLICIT_PORT: Final = 465
_ADDRESS: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_RELAY: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9_.-]+)):([0-9]{1,5})")
_LIMIT: Final = Rate(20, 60.0)  # what a relay and a reader stand; more becomes a digest


class Mailbox(msgspec.Struct, frozen=True):
    """An address, and the name that mail programs show."""

    address: str
    name: str = ""


class EmailOptions(Options, frozen=True):
    """A relay, and the mailboxes that a mail goes to."""

    host: str = ""
    port: int = 587
    tls: str = "starttls"
    username: str | None = None
    password: Secret | None = None
    sender: Mailbox = Mailbox("")
    recipients: tuple[Mailbox, ...] = ()
    deadline: float = 30.0

    @property
    def identity(self) -> str:
        return f"{self.address} {self.username} {self.sender.address} {[each.address for each in self.recipients]}"

    @property
    def endpoint(self) -> str | None:
        return f"{self.address} {self.username}"

    @property
    def address(self) -> str | None:
        return f"{self.host}:{self.port}"


def options(location: Location, found: Mapping[str, Any]) -> tuple[EmailOptions, str | None]:
    """The options, and the reason when the destination is disabled."""
    secret: SecretSource | None = found.get("password")
    host, port = found.get("smarthost", ("", 0))
    read = EmailOptions(
        host=host,
        port=port,
        tls=found.get("tls") or ("implicit" if port == IMPLICIT_PORT else "starttls"),
        password=secret.secret if secret else None,
        sender=_mailbox_in(found.get("from", "")),
        recipients=tuple(map(_mailbox_in, found.get("to", ()))),
        **{key: found[key] for key in ("username", "deadline") if key in found},
    )
    _check(location, read, has_password=secret is not None)
    return read, first_reason(secret)


def _check(location: Location, read: EmailOptions, *, has_password: bool) -> None:
    if has_password != (read.username is not None):
        here, other = ("password", "username") if has_password else ("username", "password")
        location.at(here).wrong(f"needs a {other} beside it")
    if read.tls == "starttls" and read.port == IMPLICIT_PORT:
        location.at("tls").warn('port 465 speaks TLS from the start; write "implicit", or leave it out')
    if read.tls != "none" or not read.host or web_address.is_this_host(read.host):
        return
    if has_password:
        location.at("tls").wrong("the password would be readable on the way; write starttls or implicit")
    else:
        location.at("tls").warn("mails can be read on the way to another machine; starttls or implicit protects them")


def _smarthost(location: Location) -> tuple[str, int]:
    written = text(location)
    match = _RELAY.fullmatch(written)
    if match is None or not 0 < int(match[3]) < 65_536:
        raise Mistake(f'{shown(written)} is no host with a port; it looks like "smtp.example.com:587"')
    return match[1] or match[2], int(match[3])


def _mailbox(location: Location) -> str:
    """Checked, and as it was written."""
    written = text(location)
    if "," in written and len(getaddresses([written])) > 1:
        raise Mistake('holds several addresses; write a list: ["me@example.com", "you@example.com"]')
    if not _ADDRESS.fullmatch(_mailbox_in(written).address):
        raise Mistake(
            f'{shown(written)} is no address; it looks like "me@example.com" or "Name <me@example.com>", in ASCII'
        )
    return written


def _mailbox_in(written: str) -> Mailbox:
    name, address = parseaddr(written)
    return Mailbox(address, name)


_recipients: Final[Callable[[Location], tuple[str, ...]]] = filled(several(_mailbox))

FIELDS = {
    "smarthost": Field(_smarthost, missing='missing; the relay and its port, like "smtp.example.com:587"'),
    "tls": Field(one_of(TLS, "kind of TLS")),
    "username": Field(text),
    "password": Field(password("a password")),
    "from": Field(_mailbox, missing='missing; like "tocsin@example.com"'),
    "to": Field(_recipients, missing='missing; like ["me@example.com"]'),
    "deadline": Field(duration),
}
KIND = Kind(FIELDS, options, limit=_LIMIT, digest=Budgets())
