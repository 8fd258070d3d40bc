"""Messages that a program wrote for Discord itself: they go as they are (`payload` of a signal).

What the destination has a say in: whom `allowed_mentions` lets a message notify, which is never more than its own rules permit; silence;
and the name, where the payload has none. Nothing else is added, no doubt and no lateness: these stand in `tocsin why`.

Messages of plain embeds with the same name and picture may share one message, as long as no embed has an address: of several embeds with
the same one Discord shows only the first.

A payload may come from `tocsin.send`, which checks nothing in it: each part may be any JSON here. What Discord refuses goes as text.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, Final

from tocsind.discord_api import REPLACES_FILES
from tocsind.policy.delivery import Delivery

from .line import SILENT, Notify

_SENDER: Final = frozenset({"username", "avatar_url"})
_SHARED: Final = _SENDER | {"embeds"}
_QUERY: Final = ("thread_id", "with_components")
_NOT_SENT: Final = frozenset(
    {*_QUERY, "attachments", "deleted", "edited_timestamp", "shown_attachments", REPLACES_FILES}
)
_OF_A_FORUM: Final = frozenset({"thread_name", "applied_tags"})
_COMPONENTS_V2: Final = 1 << 15  # the message consists of components only; cannot be taken back
_EDITED: Final = ("content", "embeds", "components")


def is_raw(delivery: Delivery) -> bool:
    """Whether it goes as it is. The plain format, which follows a refusal, is made of its text."""
    return delivery.signal.payload is not None and not delivery.plain_format


def payload_of(delivery: Delivery) -> dict[str, Any]:
    """Its payload; empty without one."""
    return delivery.signal.payload or {}


def is_deletion(delivery: Delivery) -> bool:
    """Whether it deletes the message of its key."""
    return is_raw(delivery) and payload_of(delivery).get("deleted") is True


def query_of(delivery: Delivery) -> dict[str, str]:
    """The query that its request needs. A thread belongs to the destination that was named, and to no fallback."""
    payload, query = payload_of(delivery), {}
    thread = str(payload.get("thread_id"))
    if thread.isdecimal() and delivery.destination in (delivery.signal.to or ()):
        query["thread_id"] = thread
    if str(payload.get("with_components")).lower() in {"true", "1"}:
        query["with_components"] = "true"
    return query


def share_key(delivery: Delivery, notify: Notify) -> Hashable | None:
    """What the messages that may share one have in common; None: it is sent alone."""
    payload, query = payload_of(delivery), query_of(delivery)
    shared = {key for key, value in payload.items() if value} - {*_QUERY, "allowed_mentions"}
    embeds = embeds_of(payload)
    if not shared <= _SHARED or not embeds or any(embed.get("url") for embed in embeds):
        return None
    sender = (str(payload.get(part)) for part in sorted(_SENDER))
    return ("raw", *sender, *sorted(query.items()), notify.silent)


def embeds_of(payload: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The embeds of a payload."""
    return _objects(payload.get("embeds"))


def _objects(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _flags(payload: Mapping[str, Any]) -> int:
    found = payload.get("flags")
    return found if isinstance(found, int) else 0


def embeds_length(payload: Mapping[str, Any]) -> int:
    """Code points of its embeds that count towards a message's limit."""
    return sum(len(text) for embed in embeds_of(payload) for text in _texts(embed))


def _texts(embed: Mapping[str, Any]) -> Iterable[str]:
    parts = [embed, *(embed.get(part) for part in ("author", "footer")), *_objects(embed.get("fields"))]
    for part in parts:
        if isinstance(part, dict):
            yield from (str(part[key]) for key in ("title", "description", "name", "value", "text") if part.get(key))


def owners(batch: Sequence[Delivery]) -> list[int]:
    """For each embed of the message, the index of the delivery that brought it."""
    return [place for place, each in enumerate(batch) for _ in embeds_of(payload_of(each))]


def raw_message(
    batch: Sequence[Delivery], username: str | None, notify: Notify, files: Sequence[str], *, is_forum: bool = True
) -> dict[str, Any]:
    """The message of one delivery, or of several that share it. `files` are the names of the files that go along.

    Without a forum it opens no thread.
    """
    left_out = _NOT_SENT if is_forum else _NOT_SENT | _OF_A_FORUM
    payload = {key: value for key, value in payload_of(batch[0]).items() if key not in left_out}
    if len(batch) > 1:
        payload["embeds"] = [embed for each in batch for embed in embeds_of(payload_of(each))]
    payload["allowed_mentions"] = narrowed(payload.get("allowed_mentions"), notify.mentions)
    if username and not payload.get("username"):
        payload["username"] = username
    if notify.silent:
        payload["flags"] = _flags(payload) | SILENT
    if files:
        payload["attachments"] = _described(batch, files)
    return payload


def with_files(batch: Sequence[Delivery]) -> Sequence[Delivery]:
    """Those whose files a message has: from the last one on whose files replace the earlier ones."""
    replacing = [place for place, each in enumerate(batch) if payload_of(each).get(REPLACES_FILES)]
    return batch[replacing[-1] :] if replacing else batch


def raw_edit(delivery: Delivery, notify: Notify, files: Sequence[str] = ()) -> dict[str, Any]:
    """The body of an edit: the whole message as it shall be. Files that are there stay, unless its list of them is empty, or `files`, which
    go along, replace them.
    """
    payload = payload_of(delivery)
    edited: dict[str, Any] = {"allowed_mentions": narrowed(payload.get("allowed_mentions"), notify.mentions)}
    if payload.get("attachments") == []:
        edited["attachments"] = []
    if payload.get(REPLACES_FILES):
        edited["attachments"] = _described([delivery], files)
    if _flags(payload) & _COMPONENTS_V2:
        return edited | {"components": payload.get("components") or [], "flags": _COMPONENTS_V2}
    edited |= {"content": payload.get("content") or "", "embeds": payload.get("embeds") or []}
    return edited | ({"components": payload["components"] or []} if "components" in payload else {})


def file_names(delivery: Delivery) -> list[str]:
    """The names of the files that a message brings, in order: those of its payload, else that of its signal."""
    entries = _objects(payload_of(delivery).get("attachments"))
    named = [str(each.get("filename") or f"file-{place}") for place, each in enumerate(entries)]
    return named or ([delivery.signal.attach] if delivery.signal.attach else [])


def _described(batch: Sequence[Delivery], files: Sequence[str]) -> list[dict[str, Any]]:
    """The entries for files; a description is kept."""
    given = [entry for each in batch for entry in _objects(payload_of(each).get("attachments"))]
    texts = [
        {"description": entry["description"]} if isinstance(entry.get("description"), str) else {} for entry in given
    ]
    texts += [{}] * (len(files) - len(texts))
    return [
        {"id": place, "filename": name} | text for place, (name, text) in enumerate(zip(files, texts, strict=False))
    ]


def narrowed(asked: Any, permitted: Sequence[str]) -> dict[str, Any]:
    """`allowed_mentions` that permit what both the payload and the destination permit. A payload without any asks for all that its text
    mentions.
    """
    asked = asked if isinstance(asked, dict) else {"parse": ["everyone", "roles", "users"]}
    parse = _names(asked.get("parse"))
    found: dict[str, Any] = {"parse": ["everyone"] if "everyone" in parse and _has_everyone(permitted) else []}
    for kind in ("roles", "users"):
        named = _names(asked.get(kind))
        own = [id_ for word, _, id_ in (each.partition(":") for each in permitted) if f"{word}s" == kind and id_]
        if ids := [id_ for id_ in own if kind in parse or id_ in named]:
            found[kind] = ids
    return found


def _names(value: Any) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else []


def _has_everyone(permitted: Sequence[str]) -> bool:
    return not {"everyone", "here"}.isdisjoint(permitted)
