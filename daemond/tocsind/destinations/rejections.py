"""A message that was refused for what is in it: whose fault it is, and what that means for each delivery that shared it.

      Discord names                      the named                            the others
      some of the embeds                 go once more, in plain form          go again, as they are
                                         and alone; dead when that was so
      a part that is the destination's   -                                    go again, without that part from now on
      own: name, mentions, silence
      nobody                             -                                    go again in half the company, until the culprit is alone;
                                                                              then as above

What it names comes as a tree, {"embeds": {"3": {"title": {"_errors": [{"code", "message"}]}}}}; webhooks were seen to answer in an older
form as well, {"embeds": ["3"]}, without a code. Neither the depth nor the width of it is believed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

import msgspec

from tocsind.policy.delivery import Delivery
from tocsind.policy.outcomes import Cause, Deferred, Outcome, Refused

from .response import Response, bounded_reason

WHOLE_REQUEST: Final = frozenset({"username", "content", "allowed_mentions", "flags"})  # no delivery speaks in these
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
_MOST: Final = 200  # faults; ten embeds with 25 bad fields are more, and nobody would read them


class Rejection(msgspec.Struct, frozen=True):
    """`culprits` are places in the batch, with Discord's words; `ours` the parts that are the destination's own. `curable`: another
    form of the same alert may pass.
    """

    reason: str
    culprits: Mapping[int, str] = {}
    is_whole_request: frozenset[str] = frozenset()
    curable: bool = True


def named_in(reading: Response) -> Rejection:
    """What a refused form says of itself."""
    found = list(islice(_rejections(_tree(reading.body)), _MOST))
    words = _message_of(found) or reading.message
    places = sorted({place for path, _ in found if (place := _embed(path)) is not None})
    culprits = {place: _message_of(found, place) for place in places}
    return Rejection(
        f"{reading.status} from Discord{words}", culprits, WHOLE_REQUEST & {path[0] for path, _ in found if path}
    )


def has_names(reading: Response) -> bool:
    """Whether it is a refused form in the older way: a list of words for each part of a message, and no code."""
    lists = [part for part, value in reading.body.items() if isinstance(value, list)]
    return "code" not in reading.body and not _PARTS.isdisjoint(lists)


def verdicts(fault: Rejection, batch: Sequence[Delivery], status: int) -> tuple[Outcome, ...]:
    """What it means for each. `fault.ours` holds only what the message had: what was not sent cannot be left out."""
    named = {place: words for place, words in fault.culprits.items() if place < len(batch)}
    if named or fault.is_whole_request:
        why = (
            fault.reason
            if fault.is_whole_request
            else f"{status} from Discord: another alert of the same message was refused"
        )
        innocent = Deferred(why, Cause.BATCH_MATE)
        return tuple(
            _culprits(delivery, f"{status} from Discord{named[place]}", fault, named=True)
            if place in named
            else innocent
            for place, delivery in enumerate(batch)
        )
    if len(batch) > 1:
        return (Deferred(fault.reason, Cause.BATCH_REJECTED),) * len(batch)
    return (_culprits(batch[0], fault.reason, fault),)


def verdicts_of_edit(fault: Rejection, batch: Sequence[Delivery], status: int, shown: Delivery) -> tuple[Outcome, ...]:
    """What it means for each of those that a living message was to tell: the one that is shown is at fault, or, when it was told before,
    each of those that came late.
    """
    alone = all(delivery.number != shown.number for delivery in batch)
    innocent = Deferred(f"{status} from Discord: the state that was to be shown was refused", Cause.BATCH_MATE)
    return tuple(
        verdicts(fault, [delivery], status)[0] if alone or delivery.number == shown.number else innocent
        for delivery in batch
    )


def _culprits(delivery: Delivery, reason: str, fault: Rejection, *, named: bool = False) -> Outcome:
    if fault.curable and not delivery.plain_format:
        return Deferred(reason, Cause.FORMAT)
    return Refused(reason, named=named)


_Path = tuple[str, ...]


def _tree(body: Mapping[str, Any]) -> object:
    return body.get("errors") if "code" in body else body


def _embed(path: _Path) -> int | None:
    """Which embed a path leads into."""
    if len(path) > 1 and path[0] == "embeds" and path[1].isdecimal() and len(path[1]) < 4:
        return int(path[1])
    return None


def _message_of(found: Sequence[tuple[_Path, str]], place: int | None = None) -> str:
    """Discord's words for each path, or for those of one embed from there on, after a colon; empty when there are none."""
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
        elif isinstance(item, str):  # the older form: the number of an embed, or words
            yield ((*path, item), "") if item.isdecimal() else (path, item)
