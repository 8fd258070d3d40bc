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
from tocsind.policy.batch import Share
from tocsind.policy.delivery import Delivery
from tocsind.policy.living import of_edit
from tocsind.policy.outcomes import Deferred, Delivered, Outcome, Place, Refused, Report
from tocsind.rendering import Manner, limits, living_message, message, notes, size
from tocsind.secret import Secret

from .answers import meaning, meaning_of_edit
from .faults import Fault, verdicts, verdicts_of_living
from .http import Answer, Failure, HttpClient
from .multipart import File
from .reading import Reading

_UPLOAD: Final = 512 * 1024.0  # bytes a second that a line carries at least: attachments have that much longer
NO_ID: Final = "it takes messages and tells no id (204): a proxy drops `wait=true`? None of them can be edited later"
_MENTIONING: Final = {"content", "allowed_mentions"}


class DiscordWebhook:
    """One webhook. What each answer means stands in `answers`; the client is shared and stays open."""

    most: Final = 10  # embeds
    room: Final = 6000.0  # code points over all of them
    edits: Final = True
    load: Final = 10.0 * 2**20  # bytes; Discord takes 25 MiB, but nothing else goes meanwhile, and it is in memory

    def __init__(self, options: DiscordOptions, client: HttpClient, attachments: Store | None = None) -> None:
        self._options = options
        self._client = client
        self._attachments = attachments
        self._unwanted: frozenset[str] = frozenset()  # parts of ours that Discord refused

    def share(self, delivery: Delivery) -> Share:
        key, weight = delivery.signal.key, 0
        if self._attachments and _brings_file(delivery):
            weight = self._attachments.size(delivery.id)
        return Share(size(delivery), key or self._manner(delivery), delivery.company, bool(key), weight)

    async def locate(self) -> Place:
        answer = await self._request("GET", bare(self._webhook))
        if not isinstance(answer, Answer):
            return Place(trouble=answer)
        reading = Reading(answer)
        # What GET's headers tell is of another window than POST's, so it is not passed on.
        if 200 <= reading.status < 300 and reading.body:
            return Place(reading.id("channel_id"), answered=True)  # without one the webhook stands for itself
        verdict = meaning(reading)
        if isinstance(verdict, Delivered):  # a 204 to a question: it is asked again
            return Place(trouble=Deferred(f"{reading.status} to the question where it leads"))
        # GET carries no message that could be at fault.
        return Place(
            trouble=Refused(verdict.reason) if isinstance(verdict, Fault) else verdict, invalid=reading.is_invalid
        )

    async def deliver(self, batch: Sequence[Delivery]) -> Report:
        telling = batch[0].telling
        payload, files = await self._with_files(batch)
        if telling and telling.edits:
            answer = await self._request("PATCH", message_at(self._webhook, telling.edits), payload, files)
        else:
            answer = await self._request("POST", self._address, payload, files)
        if not isinstance(answer, Answer):
            return Report((of_edit(answer) if telling and telling.edits else answer,) * len(batch))
        reading = Reading(answer)
        note = NO_ID if reading.status == 204 and not (telling and telling.edits) else None
        return Report(self._verdicts(reading, batch, payload), reading.told, reading.is_invalid, note)

    def _verdicts(self, reading: Reading, batch: Sequence[Delivery], payload: dict[str, Any]) -> tuple[Outcome, ...]:
        telling = batch[0].telling
        verdict = meaning_of_edit(reading) if telling and telling.edits else meaning(reading)
        if telling and telling.edits and verdict == Delivered():
            verdict = Delivered(telling.edits)
        if not isinstance(verdict, Fault):
            return (verdict,) * len(batch)
        fault = msgspec.structs.replace(verdict, ours=verdict.ours & payload.keys() - self._unwanted)
        self._unwanted |= fault.ours
        if telling is None:
            return verdicts(fault, batch, reading.status)
        return verdicts_of_living(fault, batch, reading.status, telling.shown)

    def preview(self, batch: Sequence[Delivery]) -> dict[str, Any]:
        telling, payload = batch[0].telling, self._message(batch)
        if telling is None:
            seen, told = batch, payload
        else:  # nothing is said of the history: it is cut as a matter of course
            seen = [telling.shown]
            told = message(seen, self._options.username)
        return {"payload": payload, "limits": limits(payload), "notes": notes(seen, told, self._options.username)}

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
        username = None if "username" in self._unwanted else self._options.username
        telling = batch[0].telling
        if telling is None:
            return message(batch, username, self._manner(batch[0]), gone)
        manner = self._manner(min(batch, key=lambda delivery: delivery.priority))
        place = _latest_file(batch)
        enclosed = None if place is None or place in gone else (place, batch[place].signal.attach or "file")
        return living_message(telling, username, manner, enclosed, gone=place in gone)

    def _manner(self, delivery: Delivery) -> Manner:
        label = delivery.priority.label
        mentions = () if _MENTIONING & self._unwanted else self._options.mention.get(label, ())
        return Manner(mentions, label in self._options.silent and "flags" not in self._unwanted)

    async def _request(
        self, method: str, url: Secret, payload: object = None, files: Sequence[File] = ()
    ) -> Answer | Failure:
        deadline = self._options.deadline + sum(len(file.content) for file in files) / _UPLOAD
        return await self._client.request(method, url, json=payload, files=files, deadline=deadline)

    @cached_property
    def _address(self) -> Secret:
        """Where messages are posted. Made once: each new Secret has its value looked through for all its forms."""
        return waiting(self._webhook)

    @property
    def _webhook(self) -> Secret:
        assert self._options.webhook is not None, (
            "a lane whose webhook is not set is disabled: nothing is asked or delivered"
        )
        return self._options.webhook


def _brings_file(delivery: Delivery) -> bool:
    """Whether a file goes along with it: not with the plain form, which is what remains after a refusal."""
    return delivery.signal.brings_file and not delivery.plain


def _latest_file(batch: Sequence[Delivery]) -> int | None:
    """Whose file a living message shows: that of the last state which brings one. What was told before has its file there already."""
    places = [place for place, each in enumerate(batch) if _brings_file(each)]
    return max(places, key=lambda place: batch[place].order, default=None)


def bare(webhook: Secret) -> Secret:
    """The webhook itself, whatever thread the query names."""
    return Secret(urlunsplit(urlsplit(webhook.reveal())._replace(query="", fragment="")))


def message_at(webhook: Secret, message: str) -> Secret:
    """A message of the webhook's; the thread it is in stays in the query. What the far end gave as an id is a word, whatever it holds."""
    parts = urlsplit(webhook.reveal())
    path = f"{parts.path}/messages/{quote(message, safe='')}"
    return Secret(urlunsplit(parts._replace(path=path, fragment="")))


def waiting(webhook: Secret) -> Secret:
    """The same URL, its query kept (thread_id), with wait=true: without it an unsaved message is answered like a saved one."""
    parts = urlsplit(webhook.reveal())
    query = [(key, value) for key, value in parse_qsl(parts.query, keep_blank_values=True) if key != "wait"]
    return Secret(urlunsplit(parts._replace(query=urlencode([*query, ("wait", "true")]), fragment="")))
