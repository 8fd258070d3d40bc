"""Discord, by webhook: a batch becomes one message, and the answer's message id is the proof that it arrived."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from tocsind.config import DiscordOptions
from tocsind.policy.delivery import Delivery
from tocsind.policy.outcomes import Outcome
from tocsind.rendering import message
from tocsind.secret import Secret

from .answers import meaning
from .http import Answer, HttpClient


class DiscordWebhook:
    """One webhook. What each answer means stands in `answers`; the client is shared and stays open."""

    # One alert a message for now: a batch shares its outcome, and a 400 would have to name its culprit first.
    most: Final = 1

    def __init__(self, options: DiscordOptions, client: HttpClient) -> None:
        self._url = None if options.webhook is None else waiting(options.webhook)
        self._username = options.username
        self._deadline = options.deadline
        self._client = client

    async def deliver(self, batch: Sequence[Delivery]) -> Sequence[Outcome]:
        assert self._url is not None, "a lane whose webhook is not set is disabled: nothing is delivered"
        payload = message(batch, self._username)
        answer = await self._client.request("POST", self._url, json=payload, deadline=self._deadline)
        return [meaning(answer) if isinstance(answer, Answer) else answer] * len(batch)

    async def aclose(self) -> None:
        """Nothing: the connections are the client's."""


def waiting(webhook: Secret) -> Secret:
    """The same URL, its query kept (thread_id), with wait=true: without it an unsaved message is answered like a saved one."""
    parts = urlsplit(webhook.reveal())
    query = [(key, value) for key, value in parse_qsl(parts.query, keep_blank_values=True) if key != "wait"]
    return Secret(urlunsplit(parts._replace(query=urlencode([*query, ("wait", "true")]), fragment="")))
