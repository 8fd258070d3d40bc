"""ntfy: a message on a phone, by priority.

A message carries a sequence id: of the key for a live message, else of the signal. A server from 2.16 on shows a later message with the
same id in place of the first, and notifies again by its priority (so edits are LOUD), and a request that is repeated leaves no copy. An
older server ignores the id and shows every message: its answers have no sequence id. Then each state of a key is posted, and a request
without an answer is in doubt.

All topics of a server share the limits of a client: requests, and on ntfy.sh messages a day. A 429 has no time in it, but a code: 42901
for too many requests, of which a client gets one more every 5 s, and 42908 for the messages of a day, which are counted again from midnight
UTC. A server bans clients that go on asking, so each further 42901 in a row doubles the wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from hashlib import blake2s
from typing import Any, ClassVar, Final

from tocsind.config.kinds.ntfy import NtfyOptions
from tocsind.policy.delivery import Delivery
from tocsind.policy.live_message import Editing
from tocsind.policy.outcomes import Cause, ChannelInfo, Deferred, Delivered, Outcome, Reach
from tocsind.rendering import card_of, card_of_update
from tocsind.rendering.ntfy import MAX_TEXT, message
from tocsind.rendering.text import utf8_bytes
from tocsind.secret import Secret

from .base import HttpDestination, HttpRequest
from .http import Answer, json_body
from .rejections import Rejection
from .response import Response
from .table import ANY_SERVICE, TWO, Row, delivered, gone, judge, limited, rejected, strike

OLD_SERVER: Final = (
    "its server ignores sequence ids (it is older than 2.16): each state of a key is a message of its own there"
)


MANY_REQUESTS: Final = 42901
MANY_MESSAGES: Final = 42908
_REFILL: Final = 5.0  # seconds until a client may send one more request
_LONGEST_REFILL: Final = 80.0
_DAY: Final = 86_400.0
_RESET: Final = 5.0  # seconds after midnight, for a server whose timer is late


class NtfyResponse(Response):
    """ntfy answers with the message, or with `code`, `http` and `error`. `refill`: the wait after too many requests."""

    service = "ntfy"
    refill = _REFILL

    @property
    def is_own(self) -> bool:
        return "id" in self.body or self.code is not None

    @property
    def code(self) -> int | None:
        code = self.body.get("code")
        return code if isinstance(code, int) and not isinstance(code, bool) else None

    @property
    def wait(self) -> float | None:
        """What a proxy says, else what the code means."""
        if (stated := super().wait) is not None:
            return stated
        now = self.server_time
        if self.code == MANY_MESSAGES and now is not None:
            return _DAY - now % _DAY + _RESET
        return self.refill if self.code == MANY_REQUESTS else None

    @property
    def proof(self) -> str | None:
        """The sequence id, which a later message may replace."""
        found = self.body.get("sequence_id")
        return found if isinstance(found, str) and 0 < len(found) <= 64 else None


def _has_id(response: NtfyResponse) -> bool:
    """With the id of a message"""
    return "id" in response.body


def _used_up(response: NtfyResponse) -> Outcome:
    """deferred: the messages of a day are used up, at this server until midnight UTC"""
    reason = "429 from ntfy: the messages of this day are used up, until 00:00 UTC"
    return Deferred(reason, Cause.LIMITED, Reach.KIND, response.wait)


TABLE: Final[tuple[Row[NtfyResponse], ...]] = (
    Row(TWO, None, delivered, _has_id),
    Row({429}, {MANY_MESSAGES}, _used_up),
    Row({429}, None, limited(Reach.KIND)),
    Row({401, 403}, {40101, 40301}, gone),
    Row({400}, {40009, 40010}, strike),  # the topic is invalid, or not allowed
    Row({400}, range(40000, 40100), rejected),
)


class Ntfy(HttpDestination[NtfyOptions]):
    """One topic."""

    editing = Editing.LOUD
    response = NtfyResponse
    tables: ClassVar = (TABLE, ANY_SERVICE)
    edit_tables: ClassVar = tables
    _refill = _REFILL

    def channel(self) -> str | None:
        return self.options.account

    async def check(self) -> ChannelInfo:
        """Ask whether the server is healthy, and whether it knows the token. That the token may write shows only with a message."""
        healthy = await self._asked("v1/health")
        if healthy.problem is not None or self.options.token is None:
            return healthy
        return await self._asked("v1/account")

    async def _asked(self, path: str) -> ChannelInfo:
        url = Secret(f"{self._url.reveal()}{path}")
        answer = await self.client.request("GET", url, headers=self._headers, deadline=self.options.deadline)
        if not isinstance(answer, Answer):
            return ChannelInfo(self.channel(), problem=answer)
        response = NtfyResponse(answer)
        if response.status == 200 and (response.body.get("healthy") is True or "role" in response.body):
            known = " and knows the token" if self.options.token else ""
            return ChannelInfo(self.channel(), answered=True, shows=f"the server answers{known}")
        verdict = judge(response, *self.tables)
        if isinstance(verdict, Delivered | Rejection):
            verdict = Deferred(f"{response.status} from /{path}: is this a server of ntfy?")
        return ChannelInfo(self.channel(), problem=verdict)

    def request(self, batch: Sequence[Delivery]) -> HttpRequest:
        update = batch[0].update
        shown = update.message if update else batch[0]
        card = card_of_update(update, takes_files=False) if update else card_of(shown, takes_files=False)
        lead = min(batch, key=lambda delivery: delivery.priority)
        payload = {
            "topic": self.options.topic_name,
            **message(card, plain=shown.plain_format),
            "priority": self.options.priority_of(lead.priority.label),
            "sequence_id": _sequence(update.key) if update else shown.id,
        }
        seen = payload | {"topic": "****"} if isinstance(self.options.topic, Secret) else payload
        return HttpRequest(self._url, json_body(payload), seen, headers=self._headers)

    def read(self, answer: Answer) -> NtfyResponse:
        response = NtfyResponse(answer)
        response.refill = self._refill
        return response

    def learn(self, response: Response) -> str | None:
        if response.code == MANY_REQUESTS:
            self._refill = min(2 * self._refill, _LONGEST_REFILL)
        elif response.status in TWO:
            self._refill = _REFILL
        if not (response.status in TWO and "id" in response.body):
            return None
        self.repeatable = response.proof is not None
        return None if self.repeatable else OLD_SERVER

    def limits(self, payload: Any) -> list[dict[str, Any]]:
        return [{"name": "message, in bytes", "used": utf8_bytes(payload["message"]), "most": MAX_TEXT}]

    @cached_property
    def _url(self) -> Secret:
        return Secret(f"{self.options.server}/")

    @cached_property
    def _headers(self) -> dict[str, str | Secret]:
        token = self.options.token
        return {"Authorization": Secret(f"Bearer {token.reveal()}")} if token else {}


def _sequence(key: str) -> str:
    """The sequence id of a key: a key may have characters that an id must not have."""
    return blake2s(key.encode(), digest_size=12).hexdigest()
