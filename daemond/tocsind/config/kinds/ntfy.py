"""Kind "ntfy": push messages to phones and desktops, by ntfy.sh or a server of your own (https://ntfy.sh)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import blake2s
from typing import Any
from urllib.parse import urlsplit

from tocsin.signals import PRIORITIES
from tocsind.config import web_address
from tocsind.config.kind import Kind
from tocsind.config.model import Options
from tocsind.config.reader import Field, Location, Mistake, kind_of, shown
from tocsind.config.secret_sources import SecretSource, first_reason, secret
from tocsind.config.values import by_priority, duration, rate, text
from tocsind.policy.bucket import Rate
from tocsind.policy.digest import Budgets
from tocsind.policy.pace import Pace
from tocsind.secret import Secret

SERVER = "https://ntfy.sh"
USUAL_PRIORITY = dict(zip(PRIORITIES, (5, 4, 3, 2), strict=True))  # 5: long vibration and a pop-over; 2: no sound
PER_CLIENT = Rate(60, 300.0)  # a client's requests: 60 at once, and one more every 5 s
DAILY = Rate(250, 86_400.0)  # messages a day of a client of ntfy.sh without a paid account
_SHAPE = "up to 64 letters, digits, dashes and underscores; the address before it is `server`"
_TOPIC = re.compile(r"[-_A-Za-z0-9]{1,64}")


class NtfyOptions(Options, frozen=True):
    """A topic at a server. A topic that was given as a secret is one: without a token, its name is the password."""

    server: str = SERVER
    topic: Secret | str | None = None
    token: Secret | None = None
    priority: Mapping[str, int] = {}  # of ntfy, 1 to 5, by tocsin's
    quota: Rate | None = None  # messages; None: that of ntfy.sh, and none elsewhere
    deadline: float = 10.0

    @property
    def topic_name(self) -> str:
        """The topic; empty when its secret is not there."""
        return self.topic.reveal() if isinstance(self.topic, Secret) else self.topic or ""

    @property
    def identity(self) -> str:
        return f"{self.server}/{self.topic_name}"

    @property
    def endpoint(self) -> str | None:
        return self.identity

    @property
    def address(self) -> str | None:
        return web_address.host_of(self.server)

    @property
    def account(self) -> str:
        """Who this host is for the server, as text without a secret: an account, or an address."""
        digest = blake2s(self.token.reveal().encode(), digest_size=8).hexdigest() if self.token else ""
        return f"{self.address} {digest}".strip()

    @property
    def pace(self) -> Pace:
        daily = self.quota or (DAILY if self.server == SERVER else None)
        return Pace(channel=(daily, PER_CLIENT) if daily else PER_CLIENT)

    @property
    def url(self) -> Secret | None:
        return Secret(self.server) if self.topic else None

    def priority_of(self, label: str) -> int:
        """Ntfy's priority of a signal's."""
        return self.priority.get(label, USUAL_PRIORITY[label])


def options(location: Location, found: Mapping[str, Any]) -> tuple[NtfyOptions, str | None]:
    """The options, and the reason when the destination is disabled."""
    topic: SecretSource | str = found.get("topic", "")
    token: SecretSource | None = found.get("token")
    source = topic if isinstance(topic, SecretSource) else None
    read = NtfyOptions(
        topic=source.secret if source else str(topic),
        token=token.secret if token else None,
        **{key: found[key] for key in ("server", "priority", "quota", "deadline") if key in found},
    )
    if read.server == SERVER and source is None and token is None and read.topic:
        location.at("topic").warn(
            'on ntfy.sh a topic without a token is a password: everyone who knows it reads and writes; better: { env = "NAME" }'
        )
    return read, first_reason(source, token)


def _server(location: Location) -> str:
    url = web_address.server(location)
    if urlsplit(url).path:
        raise Mistake("has a path; a server of ntfy has none, and the topic is a key of its own: topic")
    return url


def _topic(location: Location) -> SecretSource | str:
    if isinstance(location.value, dict):
        source = secret("a topic")(location)
        if source.secret and not _TOPIC.fullmatch(source.secret.reveal()):
            raise Mistake(f"{source.called} holds no topic: {_SHAPE}")
        return source
    name = text(location)
    if not _TOPIC.fullmatch(name):
        raise Mistake(f"{shown(name)} is no topic: {_SHAPE}")
    return name


def _token(location: Location) -> SecretSource:
    source = secret("an access token")(location)
    if source.secret and not source.secret.reveal().startswith("tk_"):
        raise Mistake(f"{source.called} holds no access token of ntfy; it begins with tk_")
    return source


def _level(location: Location) -> int:
    value = location.value
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 5:
        raise Mistake(f"ntfy has the priorities 1 (lowest) to 5, not {shown(value) if value else kind_of(value)}")
    return value


FIELDS = {
    "server": Field(_server),
    "topic": Field(_topic, missing='missing; write it like { env = "NTFY_TOPIC" } or "name"'),
    "token": Field(_token),
    "priority": Field(by_priority(_level)),
    "quota": Field(rate),
    "deadline": Field(duration),
}
KIND = Kind(FIELDS, options, digest=Budgets())
