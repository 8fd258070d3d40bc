"""Discord, by webhook: a batch becomes one message, and the answer's message id is the proof that it arrived.

Name, mentions and silence are the destination's own and not any alert's. When Discord refuses one of them the alert goes without, for the
rest of this destination's life: an alert without its author is better than none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec

from tocsind.config import DiscordOptions
from tocsind.policy.batch import Share
from tocsind.policy.delivery import Delivery
from tocsind.policy.outcomes import Delivered, Place, Refused, Report
from tocsind.rendering import Manner, limits, message, notes, size
from tocsind.secret import Secret

from .answers import meaning
from .faults import Fault, verdicts
from .http import Answer, Failure, HttpClient
from .reading import Reading

_MENTIONING: Final = {"content", "allowed_mentions"}


class DiscordWebhook:
    """One webhook. What each answer means stands in `answers`; the client is shared and stays open."""

    most: Final = 10  # embeds
    room: Final = 6000.0  # code points over all of them

    def __init__(self, options: DiscordOptions, client: HttpClient) -> None:
        self._options = options
        self._client = client
        self._unwanted: frozenset[str] = frozenset()  # parts of ours that Discord refused

    def share(self, delivery: Delivery) -> Share:
        return Share(size(delivery), self._manner(delivery), delivery.company)

    async def locate(self) -> Place:
        answer = await self._request("GET", bare(self._webhook))
        if not isinstance(answer, Answer):
            return Place(trouble=answer)
        reading = Reading(answer)
        # What GET's headers tell is of another window than POST's, so it is not passed on.
        if 200 <= reading.status < 300:
            return Place(reading.id("channel_id"))  # without one the webhook stands for itself
        verdict = meaning(reading)
        assert not isinstance(verdict, Delivered), "only a 2xx delivers"
        # GET carries no message that could be at fault.
        return Place(
            trouble=Refused(verdict.reason) if isinstance(verdict, Fault) else verdict, invalid=reading.is_invalid
        )

    async def deliver(self, batch: Sequence[Delivery]) -> Report:
        payload = self._message(batch)
        answer = await self._request("POST", waiting(self._webhook), payload)
        if not isinstance(answer, Answer):
            return Report((answer,) * len(batch))
        reading = Reading(answer)
        verdict = meaning(reading)
        if isinstance(verdict, Fault):
            fault = msgspec.structs.replace(verdict, ours=verdict.ours & payload.keys() - self._unwanted)
            self._unwanted |= fault.ours
            outcomes = verdicts(fault, batch, reading.status)
        else:
            outcomes = (verdict,) * len(batch)
        return Report(outcomes, reading.told, reading.is_invalid)

    def preview(self, batch: Sequence[Delivery]) -> dict[str, Any]:
        payload = self._message(batch)
        return {"payload": payload, "limits": limits(payload), "notes": notes(batch, payload, self._options.username)}

    async def aclose(self) -> None:
        """Nothing: the connections are the client's."""

    def _message(self, batch: Sequence[Delivery]) -> dict[str, Any]:
        username = None if "username" in self._unwanted else self._options.username
        return message(batch, username, self._manner(batch[0]))

    def _manner(self, delivery: Delivery) -> Manner:
        label = delivery.priority.label
        mentions = () if _MENTIONING & self._unwanted else self._options.mention.get(label, ())
        return Manner(mentions, label in self._options.silent and "flags" not in self._unwanted)

    async def _request(self, method: str, url: Secret, payload: object = None) -> Answer | Failure:
        return await self._client.request(method, url, json=payload, deadline=self._options.deadline)

    @property
    def _webhook(self) -> Secret:
        assert self._options.webhook is not None, (
            "a lane whose webhook is not set is disabled: nothing is asked or delivered"
        )
        return self._options.webhook


def bare(webhook: Secret) -> Secret:
    """The webhook itself, whatever thread the query names."""
    return Secret(urlunsplit(urlsplit(webhook.reveal())._replace(query="", fragment="")))


def waiting(webhook: Secret) -> Secret:
    """The same URL, its query kept (thread_id), with wait=true: without it an unsaved message is answered like a saved one."""
    parts = urlsplit(webhook.reveal())
    query = [(key, value) for key, value in parse_qsl(parts.query, keep_blank_values=True) if key != "wait"]
    return Secret(urlunsplit(parts._replace(query=urlencode([*query, ("wait", "true")]), fragment="")))
