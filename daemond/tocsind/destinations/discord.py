"""Discord, by webhook: a batch becomes one message, and the message id in the answer proves that it arrived.

The signals of one key are one live message: the message id is also the handle by which the next signal edits it. An edit replaces the embed
and nothing else, and it notifies no reader, so mentions belong to posts alone. Edits have their own bucket in Discord's headers, and it is
unknown whether the channel's hidden limit counts them. To be safe they are counted as posts everywhere; their headers are applied like a
post's, because both are blocked while either of them is.

Name, line of text, mentions and silence belong to the destination, not to an alert. When Discord refuses one of them, the destination
leaves it out for a while (`refused_parts`): an alert without its author is better than none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import msgspec
import trio

from tocsin.signals import PRIORITIES
from tocsind import __version__
from tocsind.attachments import Store
from tocsind.clock import Clock, SystemClock
from tocsind.config import DiscordOptions
from tocsind.policy.batch import Footprint
from tocsind.policy.delivery import Delivery
from tocsind.policy.live_message import Editing, of_edit
from tocsind.policy.outcomes import ChannelInfo, Deferred, Delivered, Outcome, Refused, Report
from tocsind.rendering.discord import Notify, limit_usage, living_message, message, raw, size, warnings_for
from tocsind.secret import Secret

from .discord_response import DiscordResponse
from .discord_table import outcome_of, outcome_of_edit
from .http import Answer, Body, Failure, HttpClient, json_body
from .multipart import File, multipart
from .raw_messages import NO_FORUM, about_deliveries, files_of, footprint, lacks_forum, within_thread
from .refused_parts import MENTIONING, RefusedParts
from .rejections import Rejection, verdicts, verdicts_of_edit
from .response import bounded_reason

_UPLOAD: Final = 512 * 1024.0  # bytes a second that a line carries at least: attachments have that much longer
NO_MESSAGE_ID: Final = (
    "it accepts messages without returning an id (204): does a proxy drop `wait=true`? They cannot be edited later"
)
# Discord's front refuses agents that do not name themselves in this form.
_HEADERS: Final = {"User-Agent": f"DiscordBot (https://github.com/tocsin/tocsin, {__version__})"}


class DiscordWebhook:
    """One webhook. `discord_table` says what each answer means; the client is shared and stays open."""

    max_items: Final = 10  # embeds
    max_chars: Final = 6000.0  # code points over all of them
    editing: Final = Editing.SILENT
    repeatable: Final = False
    max_bytes: Final = (
        10.0 * 2**20
    )  # bytes; Discord accepts 25 MiB, but the lane waits for the upload, and the files are in memory

    def __init__(
        self,
        options: DiscordOptions,
        client: HttpClient,
        attachments: Store | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._options = options
        self._client = client
        self._attachments = attachments
        self._refused_parts = RefusedParts(clock or SystemClock())
        self._is_forum = True  # a `thread_name` may be sent: Discord has not said that the channel is no forum

    def footprint(self, delivery: Delivery) -> Footprint:
        key, weight = delivery.signal.key, 0
        if self._attachments and _brings_file(delivery):
            weight = self._attachments.size(delivery.id)
        if raw.is_raw(delivery):
            return footprint(delivery, self._notify(delivery), weight)
        return Footprint(size(delivery), key or self._notify(delivery), delivery.max_batch, bool(key), weight)

    async def discover(self) -> ChannelInfo:
        answer = await self._request("GET", without_token(self._webhook))
        if not isinstance(answer, Answer):
            return ChannelInfo(problem=answer)
        response = DiscordResponse(answer)
        # GET's rate-limit headers describe another window than POST's, so they are ignored.
        if 200 <= response.status < 300 and response.body:
            # Without a channel id, the webhook counts as a channel of its own.
            shows = f"the webhook {bounded_reason(str(response.body.get('name') or 'without a name'), 80)} answers"
            return ChannelInfo(response.id("channel_id"), answered=True, shows=shows)
        verdict = outcome_of(response)
        if isinstance(verdict, Delivered):  # a 204 to GET answers nothing: ask again later
            return ChannelInfo(problem=Deferred(f"{response.status} when asked for the channel"))
        # A GET has no message that could be rejected.
        return ChannelInfo(
            problem=Refused(verdict.reason) if isinstance(verdict, Rejection) else verdict, invalid=response.is_invalid
        )

    async def check(self) -> ChannelInfo:
        return await self.discover()

    async def deliver(self, batch: Sequence[Delivery]) -> Report:
        update = batch[0].update
        if raw.is_raw(update.message if update else batch[0]):
            return await self._deliver_raw(batch)
        payload, files = await self._with_files(batch)
        if update and update.edits:
            answer = await self._request("PATCH", message_at(self._webhook, update.edits), payload, files)
        else:
            answer = await self._request("POST", self._address, payload, files)
        if not isinstance(answer, Answer):
            return Report((of_edit(answer) if update and update.edits else answer,) * len(batch))
        response = DiscordResponse(answer)
        outcomes = self._verdicts(response, batch, payload)
        note = NO_MESSAGE_ID if response.status == 204 and not (update and update.edits) else self._refused_parts.note
        return Report(
            outcomes, response.rate_headers, response.is_invalid, note, is_problem=self._refused_parts.silences_phones
        )

    def _verdicts(
        self, response: DiscordResponse, batch: Sequence[Delivery], payload: dict[str, Any]
    ) -> tuple[Outcome, ...]:
        update = batch[0].update
        verdict = outcome_of_edit(response) if update and update.edits else outcome_of(response)
        if update and update.edits and verdict == Delivered():
            verdict = Delivered(update.edits)
        if isinstance(verdict, Delivered):
            sent = {part for part, value in payload.items() if value}  # an edit may have an empty line of text
            self._refused_parts.on_accepted(sent - self._refused_parts.left_out)
        if not isinstance(verdict, Rejection):
            return (verdict,) * len(batch)
        parts = verdict.is_whole_request & payload.keys() - self._refused_parts.left_out
        fault = msgspec.structs.replace(verdict, is_whole_request=parts)
        self._refused_parts.on_refused(parts, verdict.reason)
        if update is None:
            return verdicts(fault, batch, response.status)
        return verdicts_of_edit(fault, batch, response.status, update.message)

    async def _deliver_raw(self, batch: Sequence[Delivery]) -> Report:
        """Post, edit or delete a message that goes as it is."""
        update = batch[0].update
        shown, edits = (update.message, update.edits) if update else (batch[0], None)
        deletes, query = raw.is_deletion(shown), raw.query_of(shown)
        if deletes and edits is None:
            return Report((Delivered(),) * len(batch))  # it was never posted, or is gone
        files = [] if deletes else await self._raw_files(batch)
        payload = None if deletes else self._raw_payload(batch, shown, files, edits=edits is not None)
        method = "DELETE" if deletes else "PATCH" if edits else "POST"
        target = message_at(self._webhook, edits) if edits else self._address
        answer = await self._request(method, with_query(target, query), payload, files)
        if not isinstance(answer, Answer):
            return Report((of_edit(answer) if edits else answer,) * len(batch))
        response = DiscordResponse(answer)
        if deletes and response.status == 404 and response.is_own:
            return Report((Delivered(edits),) * len(batch), response.rate_headers)
        if payload and lacks_forum(response, payload):
            self._is_forum = False
            return Report((NO_FORUM,) * len(batch), response.rate_headers, response.is_invalid)
        outcomes = self._raw_verdicts(response, batch, shown, edits)
        if "thread_id" in query:
            outcomes = tuple(map(within_thread, outcomes))
        return Report(outcomes, response.rate_headers, response.is_invalid)

    async def _raw_files(self, batch: Sequence[Delivery]) -> list[File]:
        files: list[File] = []
        for each in raw.with_files(batch):
            content = await self._read(each) if raw.file_names(each) else None
            files += files_of(each, content, len(files))
        return files

    def _raw_payload(
        self, batch: Sequence[Delivery], shown: Delivery, files: Sequence[File] = (), *, edits: bool = False
    ) -> dict[str, Any]:
        notify, names = self._notify(shown), [file.name for file in files]
        if edits:
            return raw.raw_edit(shown, notify, names)
        together = batch if batch[0].update is None else [shown]
        return raw.raw_message(together, self._options.username, notify, names, is_forum=self._is_forum)

    def _raw_verdicts(
        self, response: DiscordResponse, batch: Sequence[Delivery], shown: Delivery, edits: str | None
    ) -> tuple[Outcome, ...]:
        verdict = outcome_of_edit(response) if edits else outcome_of(response)
        if edits and verdict == Delivered():
            verdict = Delivered(edits)
        if not isinstance(verdict, Rejection):
            return (verdict,) * len(batch)
        fault = about_deliveries(verdict, batch if batch[0].update is None else [shown])
        if batch[0].update is None:
            return verdicts(fault, batch, response.status)
        return verdicts_of_edit(fault, batch, response.status, shown)

    def preview(self, batch: Sequence[Delivery]) -> dict[str, Any]:
        if raw.is_raw(batch[0]):
            payload = self._raw_payload(batch, batch[0])
            return {"payload": payload, "limits": [], "notes": ["a Discord message that goes as it is"]}
        update, payload = batch[0].update, self._message(batch)
        if update is None:
            seen, told = batch, payload
        else:  # no warnings about the history: it is always cut
            seen = [update.message]
            told = message(seen, self._options.username, self._notify(update.message))
        return {
            "payload": payload,
            "limits": limit_usage(payload),
            "notes": warnings_for(seen, told, self._options.username),
        }

    async def aclose(self) -> None:
        """Do nothing: the connections belong to the client."""

    async def _with_files(self, batch: Sequence[Delivery]) -> tuple[dict[str, Any], list[File]]:
        """The message, and the files that it refers to."""
        contents = {place: await self._read(each) for place, each in enumerate(batch) if _brings_file(each)}
        payload = self._message(batch, [place for place, content in contents.items() if content is None])
        named = [(each["id"], each["filename"]) for each in payload.get("attachments", ())]
        return payload, [File(place, name, contents[place] or b"") for place, name in named]

    async def _read(self, delivery: Delivery) -> bytes | None:
        if self._attachments is None:
            return None
        return await trio.to_thread.run_sync(self._attachments.read, delivery.id)

    def _message(self, batch: Sequence[Delivery], gone: Collection[int] = ()) -> dict[str, Any]:
        username = None if "username" in self._refused_parts.left_out else self._options.username
        update = batch[0].update
        if update is None:
            return message(batch, username, self._notify(batch[0]), gone)
        most_urgent = min(batch, key=lambda delivery: delivery.priority)
        notify = self._notify(most_urgent)
        if (
            most_urgent.priority.label in notify.push
        ):  # what it notifies of is the state shown, whatever the priority of that
            notify = notify._replace(push=PRIORITIES)
        place = _latest_file(batch)
        attached = None if place is None or place in gone else (place, batch[place].signal.attach or "file")
        return living_message(update, username, notify, attached, gone=place in gone)

    def _notify(self, delivery: Delivery) -> Notify:
        label, left_out = delivery.priority.label, self._refused_parts.left_out
        is_silent = label in self._options.silent and "flags" not in left_out
        if MENTIONING & left_out:
            return Notify((), is_silent)
        return Notify(self._options.mention.get(label, ()), is_silent, self._options.push)

    async def _request(
        self, method: str, url: Secret, payload: object = None, files: Sequence[File] = ()
    ) -> Answer | Failure:
        deadline = self._options.deadline + sum(len(file.content) for file in files) / _UPLOAD
        return await self._client.request(method, url, body=_body(payload, files), headers=_HEADERS, deadline=deadline)

    @cached_property
    def _address(self) -> Secret:
        """The URL for posts. Made once: each new Secret registers all encodings of its value."""
        return with_wait(self._webhook)

    @property
    def _webhook(self) -> Secret:
        assert self._options.webhook is not None, "a lane without a webhook is disabled and sends nothing"
        return self._options.webhook


def _body(payload: object, files: Sequence[File]) -> Body | None:
    if payload is None:
        return None
    return multipart(msgspec.json.encode(payload), files) if files else json_body(payload)


def _brings_file(delivery: Delivery) -> bool:
    """Whether a file is sent with it. The plain format, which follows a rejection, has none."""
    return delivery.signal.has_file and not delivery.plain_format


def _latest_file(batch: Sequence[Delivery]) -> int | None:
    """Index of the delivery whose file a live message shows: the last state with a file. Earlier states have theirs in the message."""
    places = [place for place, each in enumerate(batch) if _brings_file(each)]
    return max(places, key=lambda place: batch[place].order, default=None)


def without_token(webhook: Secret) -> Secret:
    """The webhook without its query, which may name a thread."""
    return Secret(urlunsplit(urlsplit(webhook.reveal())._replace(query="", fragment="")))


def message_at(webhook: Secret, message: str) -> Secret:
    """URL of one of the webhook's messages; the thread stays in the query. The id comes from the far end and is quoted."""
    parts = urlsplit(webhook.reveal())
    path = f"{parts.path}/messages/{quote(message, safe='')}"
    return Secret(urlunsplit(parts._replace(path=path, fragment="")))


def with_wait(webhook: Secret) -> Secret:
    """The same URL and query (thread_id) with wait=true: without it, Discord answers before it saves the message."""
    return with_query(webhook, {"wait": "true"})


def with_query(webhook: Secret, more: Mapping[str, str]) -> Secret:
    """The same URL with these values in its query, instead of its own ones of these names."""
    if not more:
        return webhook
    parts = urlsplit(webhook.reveal())
    query = [(key, value) for key, value in parse_qsl(parts.query, keep_blank_values=True) if key not in more]
    return Secret(urlunsplit(parts._replace(query=urlencode([*query, *more.items()]), fragment="")))
