"""What a Discord destination does with messages that go as they are (rendering.raw): their space, their files, and what an answer means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from tocsind.policy.batch import Footprint
from tocsind.policy.delivery import Delivery
from tocsind.policy.outcomes import Cause, Deferred, Outcome, Refused
from tocsind.rendering.discord import Notify, raw

from .discord_response import DiscordResponse
from .multipart import File
from .rejections import Rejection

_NO_FORUM_CODE: Final = 220003
NO_FORUM: Final = Deferred(
    "400 from Discord: the channel is no forum; the message goes without thread_name", Cause.BATCH_MATE
)
"""The same message is sent again at once, without the parts that only a forum takes."""
_bundle = msgspec.msgpack.Decoder(list[bytes]).decode


def footprint(delivery: Delivery, notify: Notify, weight: int) -> Footprint:
    """Plain embeds share a message; everything else, and every message of a key, is alone in its own."""
    payload, key = raw.payload_of(delivery), delivery.signal.key
    shared = None if key or weight else raw.share_key(delivery, notify)
    if shared is None:
        return Footprint(key=key or ("raw", delivery.number), must_be_alone=True, weight=weight)
    size, items = raw.embeds_length(payload), len(raw.embeds_of(payload))
    return Footprint(size, shared, delivery.max_batch, items=items)


def files_of(delivery: Delivery, content: bytes | None, first: int) -> list[File]:
    """The files that a signal brought, numbered from `first`. The intake stores several as one: a MessagePack list of their contents."""
    names = raw.file_names(delivery)
    if content is None or not names:
        return []
    contents = [content] if len(names) == 1 else _contents(content)
    return [File(first + place, name, each) for place, (name, each) in enumerate(zip(names, contents, strict=False))]


def _contents(content: bytes) -> list[bytes]:
    """The contents in a stored list; a client's own file is no such list, whatever its payload says."""
    try:
        return _bundle(content)
    except msgspec.DecodeError:
        return [content]


def about_deliveries(fault: Rejection, batch: Sequence[Delivery]) -> Rejection:
    """A rejection whose places are deliveries, not embeds. No part of it is the destination's fault, and its text may still be accepted."""
    owners = raw.owners(batch) if len(batch) > 1 else []
    items = {owners[place]: words for place, words in fault.items.items() if place < len(owners)}
    return msgspec.structs.replace(fault, items=items, is_whole_request=frozenset(), curable=True)


def lacks_forum(response: DiscordResponse, payload: Mapping[str, Any]) -> bool:
    """Whether a message is refused for nothing but its `thread_name`: the channel is no forum."""
    return response.status == 400 and response.code == _NO_FORUM_CODE and "thread_name" in payload


def within_thread(outcome: Outcome) -> Outcome:
    """The outcome of a message for a thread that the program named: that the thread is gone says nothing about the webhook."""
    match outcome:
        case Refused(reason=reason, strike=True):
            return Deferred(f"{reason}; it goes to the webhook's own channel", Cause.FORMAT)
    return outcome
