"""Discord, by webhook: a batch becomes one message, and the answer's message id is the proof that it arrived.

The signals of one key are one living message: the answer's message id is also the handle by which the next of them edits it. An edit
replaces the embed and nothing else; it wakes nobody, as Discord has it, and neither do we pretend: mentions belong to posts. Edits have a
bucket of their own in Discord's headers, and nobody says whether the channel's hidden limit counts them. To be safe they are counted as
posts are, everywhere; what their headers tell is heard like a post's, because both are closed while either of them is.

Name, mentions and silence are the destination's own and not any alert's. When Discord refuses one of them the alert goes without, for the
rest of this destination's life: an alert without its author is better than none.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import msgspec
import trio

from tocsind.attachments import Store
from tocsind.config import DiscordOptions
from tocsind.policy.batch import Footprint
from tocsind.policy.delivery import Delivery
from tocsind.policy.live_message import of_edit
from tocsind.policy.outcomes import ChannelInfo, Deferred, Delivered, Outcome, Refused, Report
from tocsind.rendering import Notify, limit_usage, living_message, message, size, warnings_for
from tocsind.secret import Secret

from .http import Answer, Failure, HttpClient
from .multipart import File
from .rejections import Rejection, verdicts, verdicts_of_edit
from .response import Response
from .response_table import outcome_of, outcome_of_edit

_UPLOAD: Final = 512 * 1024.0  # bytes a second that a line carries at least: attachments have that much longer
NO_MESSAGE_ID: Final = (
    "it takes messages and tells no id (204): a proxy drops `wait=true`? None of them can be edited later"
)
_MENTIONING: Final = {"content", "allowed_mentions"}


class DiscordWebhook:
    """One webhook. What each answer means stands in `answers`; the client is shared and stays open."""

    max_items: Final = 10  # embeds
    max_chars: Final = 6000.0  # code points over all of them
    edits: Final = True
    max_bytes: Final = 10.0 * 2**20  # bytes; Discord takes 25 MiB, but nothing else goes meanwhile, and it is in memory

    def __init__(self, options: DiscordOptions, client: HttpClient, attachments: Store | None = None) -> None:
        self._options = options
        self._client = client
        self._attachments = attachments
        self._unsupported: frozenset[str] = frozenset()  # parts of ours that Discord refused

    def footprint(self, delivery: Delivery) -> Footprint:
        key, weight = delivery.signal.key, 0
        if self._attachments and _brings_file(delivery):
            weight = self._attachments.size(delivery.id)
        return Footprint(size(delivery), key or self._notify(delivery), delivery.max_batch, bool(key), weight)

    async def discover(self) -> ChannelInfo:
        answer = await self._request("GET", without_token(self._webhook))
        if not isinstance(answer, Answer):
            return ChannelInfo(problem=answer)
        reading = Response(answer)
        # What GET's headers tell is of another window than POST's, so it is not passed on.
        if 200 <= reading.status < 300 and reading.body:
            return ChannelInfo(reading.id("channel_id"), answered=True)  # without one the webhook stands for itself
        verdict = outcome_of(reading)
        if isinstance(verdict, Delivered):  # a 204 to a question: it is asked again
            return ChannelInfo(problem=Deferred(f"{reading.status} to the question where it leads"))
        # GET carries no message that could be at fault.
        return ChannelInfo(
            problem=Refused(verdict.reason) if isinstance(verdict, Rejection) else verdict, invalid=reading.is_invalid
        )

    async def deliver(self, batch: Sequence[Delivery]) -> Report:
        telling = batch[0].update
        payload, files = await self._with_files(batch)
        if telling and telling.edits:
            answer = await self._request("PATCH", message_at(self._webhook, telling.edits), payload, files)
        else:
            answer = await self._request("POST", self._address, payload, files)
        if not isinstance(answer, Answer):
            return Report((of_edit(answer) if telling and telling.edits else answer,) * len(batch))
        reading = Response(answer)
        note = NO_MESSAGE_ID if reading.status == 204 and not (telling and telling.edits) else None
        return Report(self._verdicts(reading, batch, payload), reading.rate_headers, reading.is_invalid, note)

    def _verdicts(self, reading: Response, batch: Sequence[Delivery], payload: dict[str, Any]) -> tuple[Outcome, ...]:
        telling = batch[0].update
        verdict = outcome_of_edit(reading) if telling and telling.edits else outcome_of(reading)
        if telling and telling.edits and verdict == Delivered():
            verdict = Delivered(telling.edits)
        if not isinstance(verdict, Rejection):
            return (verdict,) * len(batch)
        fault = msgspec.structs.replace(
            verdict, is_whole_request=verdict.is_whole_request & payload.keys() - self._unsupported
        )
        self._unsupported |= fault.is_whole_request
        if telling is None:
            return verdicts(fault, batch, reading.status)
        return verdicts_of_edit(fault, batch, reading.status, telling.message)

    def preview(self, batch: Sequence[Delivery]) -> dict[str, Any]:
        telling, payload = batch[0].update, self._message(batch)
        if telling is None:
            seen, told = batch, payload
        else:  # nothing is said of the history: it is cut as a matter of course
            seen = [telling.message]
            told = message(seen, self._options.username)
        return {
            "payload": payload,
            "limits": limit_usage(payload),
            "notes": warnings_for(seen, told, self._options.username),
        }

    async def aclose(self) -> None:
        """Nothing: the connections are the client's."""

    async def _with_files(self, batch: Sequence[Delivery]) -> tuple[dict[str, Any], list[File]]:
        """The message, and the files that it names."""
        contents = {place: await self._read(each) for place, each in enumerate(batch) if _brings_file(each)}
        payload = self._message(batch, [place for place, content in contents.items() if content is None])
        named = [(each["id"], each["filename"]) for each in payload.get("attachments", ())]
        return payload, [File(place, name, contents[place] or b"") for place, name in named]

    async def _read(self, delivery: Delivery) -> bytes | None:
        if self._attachments is None:
            return None
        return await trio.to_thread.run_sync(self._attachments.read, delivery.id)

    def _message(self, batch: Sequence[Delivery], gone: Collection[int] = ()) -> dict[str, Any]:
        username = None if "username" in self._unsupported else self._options.username
        telling = batch[0].update
        if telling is None:
            return message(batch, username, self._notify(batch[0]), gone)
        manner = self._notify(min(batch, key=lambda delivery: delivery.priority))
        place = _latest_file(batch)
        enclosed = None if place is None or place in gone else (place, batch[place].signal.attach or "file")
        return living_message(telling, username, manner, enclosed, gone=place in gone)

    def _notify(self, delivery: Delivery) -> Notify:
        label = delivery.priority.label
        mentions = () if _MENTIONING & self._unsupported else self._options.mention.get(label, ())
        return Notify(mentions, label in self._options.silent and "flags" not in self._unsupported)

    async def _request(
        self, method: str, url: Secret, payload: object = None, files: Sequence[File] = ()
    ) -> Answer | Failure:
        deadline = self._options.deadline + sum(len(file.content) for file in files) / _UPLOAD
        return await self._client.request(method, url, json=payload, files=files, deadline=deadline)

    @cached_property
    def _address(self) -> Secret:
        """Where messages are posted. Made once: each new Secret has its value looked through for all its forms."""
        return with_wait(self._webhook)

    @property
    def _webhook(self) -> Secret:
        assert self._options.webhook is not None, (
            "a lane whose webhook is not set is disabled: nothing is asked or delivered"
        )
        return self._options.webhook


def _brings_file(delivery: Delivery) -> bool:
    """Whether a file goes along with it: not with the plain form, which is what remains after a refusal."""
    return delivery.signal.brings_file and not delivery.plain_format


def _latest_file(batch: Sequence[Delivery]) -> int | None:
    """Whose file a living message shows: that of the last state which brings one. What was told before has its file there already."""
    places = [place for place, each in enumerate(batch) if _brings_file(each)]
    return max(places, key=lambda place: batch[place].order, default=None)


def without_token(webhook: Secret) -> Secret:
    """The webhook itself, whatever thread the query names."""
    return Secret(urlunsplit(urlsplit(webhook.reveal())._replace(query="", fragment="")))


def message_at(webhook: Secret, message: str) -> Secret:
    """A message of the webhook's; the thread it is in stays in the query. What the far end gave as an id is a word, whatever it holds."""
    parts = urlsplit(webhook.reveal())
    path = f"{parts.path}/messages/{quote(message, safe='')}"
    return Secret(urlunsplit(parts._replace(path=path, fragment="")))


def with_wait(webhook: Secret) -> Secret:
    """The same URL, its query kept (thread_id), with wait=true: without it an unsaved message is answered like a saved one."""
    parts = urlsplit(webhook.reveal())
    query = [(key, value) for key, value in parse_qsl(parts.query, keep_blank_values=True) if key != "wait"]
    return Secret(urlunsplit(parts._replace(query=urlencode([*query, ("wait", "true")]), fragment="")))
