"""A message that Discord refused for its content: which delivery it is about, and what follows for each delivery of the batch.

      Discord names                      the named deliveries                 the others
      some of the embeds                 are sent once more, in plain         are sent again, unchanged
                                         format and alone; dead when they
                                         were plain already
      a part of the whole request:       -                                    are sent again; this part is left out from now on
      name, mentions, silence
      nothing                            -                                    are sent again in half the batch, until the refused one
                                                                              is alone; then as above

The names come as a tree, {"embeds": {"3": {"title": {"_errors": [{"code", "message"}]}}}}; webhooks also answer in an older format,
{"embeds": ["3"]}, without a code. Depth and width of the tree are bounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

import msgspec

from tocsind.policy.delivery import Delivery
from tocsind.policy.outcomes import Cause, Deferred, Outcome, Refused

from .response import Response, bounded_reason

WHOLE_REQUEST: Final = frozenset(
    {"username", "content", "allowed_mentions", "flags"}
)  # parts that belong to no single delivery
_PARTS: Final = WHOLE_REQUEST | {
    "embeds",
    "attachments",
    "files",
    "payload_json",
    "thread_name",
    "avatar_url",
    "tts",
    "_misc",
}
_DEEPEST: Final = 12  # steps of a path
_MOST: Final = 200  # rejections; ten embeds with 25 bad fields have more, too many to read


class Rejection(msgspec.Struct, frozen=True):
    """`items`: index in the batch -> Discord's reason. `is_whole_request`: refused parts of the request itself. `curable`: another format
    of the same alert may be accepted.
    """

    reason: str
    items: Mapping[int, str] = {}
    is_whole_request: frozenset[str] = frozenset()
    curable: bool = True


def named_in(response: Response) -> Rejection:
    """The rejection that a 400 with named parts describes."""
    found = list(islice(_rejections(_tree(response.body)), _MOST))
    words = _message_of(found) or response.message
    places = sorted({place for path, _ in found if (place := _embed(path)) is not None})
    items = {place: _message_of(found, place) for place in places}
    return Rejection(
        f"{response.status} from Discord{words}", items, WHOLE_REQUEST & {path[0] for path, _ in found if path}
    )


def has_names(response: Response) -> bool:
    """Whether the body has the older format: a list of texts for each part of a message, and no code."""
    lists = [part for part, value in response.body.items() if isinstance(value, list)]
    return "code" not in response.body and not _PARTS.isdisjoint(lists)


def verdicts(fault: Rejection, batch: Sequence[Delivery], status: int) -> tuple[Outcome, ...]:
    """The outcome of each delivery. `fault.is_whole_request` holds only parts that the message had."""
    named = {place: words for place, words in fault.items.items() if place < len(batch)}
    if named or fault.is_whole_request:
        why = (
            fault.reason
            if fault.is_whole_request
            else f"{status} from Discord: another alert of the same message was refused"
        )
        batch_mate = Deferred(why, Cause.BATCH_MATE)
        return tuple(
            _rejected(delivery, f"{status} from Discord{named[place]}", fault, named=True)
            if place in named
            else batch_mate
            for place, delivery in enumerate(batch)
        )
    if len(batch) > 1:
        return (Deferred(fault.reason, Cause.BATCH_REJECTED),) * len(batch)
    return (_rejected(batch[0], fault.reason, fault),)


def verdicts_of_edit(fault: Rejection, batch: Sequence[Delivery], status: int, shown: Delivery) -> tuple[Outcome, ...]:
    """The outcome of each delivery of a live message: the shown one was refused, or, when it was shown before, each late one."""
    alone = all(delivery.number != shown.number for delivery in batch)
    batch_mate = Deferred(f"{status} from Discord: the state that was to be shown was refused", Cause.BATCH_MATE)
    return tuple(
        verdicts(fault, [delivery], status)[0] if alone or delivery.number == shown.number else batch_mate
        for delivery in batch
    )


def _rejected(delivery: Delivery, reason: str, fault: Rejection, *, named: bool = False) -> Outcome:
    if fault.curable and not delivery.plain_format:
        return Deferred(reason, Cause.FORMAT)
    return Refused(reason, named=named)


_Path = tuple[str, ...]


def _tree(body: Mapping[str, Any]) -> object:
    return body.get("errors") if "code" in body else body


def _embed(path: _Path) -> int | None:
    """The index of the embed that a path leads into."""
    if len(path) > 1 and path[0] == "embeds" and path[1].isdecimal() and len(path[1]) < 4:
        return int(path[1])
    return None


def _message_of(found: Sequence[tuple[_Path, str]], place: int | None = None) -> str:
    """Discord's text for each path, or for the paths below one embed, after a colon; empty when there is none."""
    mine = found if place is None else [(path[2:], words) for path, words in found if _embed(path) == place]
    faults = (": ".join(part for part in (".".join(path), words) if part) for path, words in mine)
    line = bounded_reason("; ".join(filter(None, faults)), 300)
    return f": {line}" if line else ""


def _rejections(tree: object, path: _Path = ()) -> Iterator[tuple[_Path, str]]:
    if isinstance(tree, list):
        yield from _listed(tree, path)
    elif isinstance(tree, dict) and len(path) < _DEEPEST:
        for step, below in tree.items():
            yield from _rejections(below, path if step == "_errors" else (*path, step))


def _listed(items: Sequence[object], path: _Path) -> Iterator[tuple[_Path, str]]:
    for item in items:
        if isinstance(item, dict):
            yield path, str(item.get("message", ""))
        elif isinstance(item, str):  # the older format: the index of an embed, or text
            yield ((*path, item), "") if item.isdecimal() else (path, item)
