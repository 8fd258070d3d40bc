"""What each webhook route does, after the checks before it.

`wait=false` is taken at its word: once the request itself can be read, no fault of the message is reported, and a
message that was not saved gets the same 204 as one that was.

Whether an edit counts against the channel's hidden limit is not known; here it does. It has a bucket of its own, as each kind of
request has, and it finds a message of a thread only when it names the thread.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec

from tocsind.discord_api import errors
from tocsind.discord_api.bodies import Body, read_body
from tocsind.discord_api.forms import Json
from tocsind.discord_api.validation import Checked, check
from tocsind.http_server import Reply, Request
from tocsind.testing import answers
from tocsind.testing.answers import Scope
from tocsind.testing.guild import Guild
from tocsind.testing.messages import Message, Moment
from tocsind.testing.webhooks import GUILD, Route, Webhook

_EDITABLE: Final = frozenset({"content", "embeds", "flags", "components"})


class Call(msgspec.Struct, frozen=True):
    """A request on its way through the checks."""

    request: Request
    route: Route
    at: Moment

    @property
    def kind(self) -> str:
        """Which route it takes, and so which bucket of the webhook it belongs to."""
        return f"{self.request.method} {'message' if self.route.message_id else 'webhook'}"

    @property
    def has_components(self) -> bool:
        """Whether it asks for components; without that they are dropped."""
        return self.request.query.get("with_components", "").lower() in {"true", "1"}

    @property
    def waits(self) -> bool:
        return self.request.query.get("wait", "").lower() in {"true", "1"}


Work: TypeAlias = Callable[[Guild, Call, Webhook], Reply]


def _execute(guild: Guild, call: Call, webhook: Webhook) -> Reply:
    """POST: save a message."""
    body = read_body(call.request)
    if isinstance(body, Reply):
        return body
    if isinstance(body.value, dict) and body.value.get("thread_name"):
        return errors.no_forum()
    checked = _with_place(check(body.value, with_components=call.has_components), call, body)
    if fault := _fault_of(checked):
        return fault if call.waits else _unsaved(guild)
    room = guild.quotas.take_channel(webhook.channel_id, call.at.steady)
    if not room.passes:
        return answers.limited(Scope.SHARED, room.reset_after, call.route.version, {})
    message = guild.accept(webhook, checked.payload, call.request.query.get("thread_id"), call.at)
    return errors.as_json(200, _shown(message, webhook)) if call.waits else Reply(204)


def _unsaved(guild: Guild) -> Reply:
    guild.tally.unsaved += 1
    return Reply(204)


def _tell(_guild: Guild, _call: Call, webhook: Webhook) -> Reply:
    """GET: what a webhook is."""
    return errors.as_json(200, _described(webhook))


def _delete(guild: Guild, _call: Call, webhook: Webhook) -> Reply:
    guild.delete(webhook.id)
    return Reply(204)


def _read_message(guild: Guild, call: Call, webhook: Webhook) -> Reply:
    message = _message(guild, call, webhook)
    return errors.as_json(200, _shown(message, webhook)) if message else errors.unknown_message()


def _edit_message(guild: Guild, call: Call, webhook: Webhook) -> Reply:
    """PATCH: what is named is replaced, what is not stays; mentions are parsed again either way."""
    message = _message(guild, call, webhook)
    if message is None:
        return errors.unknown_message()
    body = read_body(call.request)
    if isinstance(body, Reply):
        return body
    checked = check(body.value, with_components=call.has_components)
    if not checked.errors:
        files = {"attachments": _kept_files(message.payload, body) + _attachments(body)} if body.files else {}
        checked = Checked(_merged(message.payload, body.value, checked.payload) | files, {})
    if fault := _fault_of(checked):
        return fault
    room = guild.quotas.take_channel(webhook.channel_id, call.at.steady)
    if not room.passes:
        return answers.limited(Scope.SHARED, room.reset_after, call.route.version, {})
    guild.tally.edited += 1
    return errors.as_json(200, _shown(guild.log.edit(message, checked.payload), webhook))


def _delete_message(guild: Guild, call: Call, webhook: Webhook) -> Reply:
    message = _message(guild, call, webhook)
    if message is None:
        return errors.unknown_message()
    guild.tally.removed += 1
    guild.log.remove(message)
    return Reply(204)


ROUTES: Final[dict[str, Work]] = {
    "POST webhook": _execute,
    "GET webhook": _tell,
    "DELETE webhook": _delete,
    "GET message": _read_message,
    "PATCH message": _edit_message,
    "DELETE message": _delete_message,
}


def _message(guild: Guild, call: Call, webhook: Webhook) -> Message | None:
    found = guild.log.find(call.route.message_id or "", webhook.id)
    return found if found and found.thread_id == call.request.query.get("thread_id") else None


def _fault_of(checked: Checked) -> Reply | None:
    if checked.errors:
        return errors.invalid_form(checked.errors)
    return errors.empty_message() if checked.is_empty else None


def _with_place(checked: Checked, call: Call, body: Body) -> Checked:
    """Add what the body of a message does not hold: its files, and faults of the thread it is meant for."""
    payload, faults = checked.payload, checked.errors
    if body.files:
        payload = payload | {"attachments": _attachments(body)}
    thread = call.request.query.get("thread_id")
    if thread is not None and not thread.isdecimal():
        coerce = {"code": "NUMBER_TYPE_COERCE", "message": f'Value "{thread}" is not snowflake.'}
        faults = faults | {"thread_id": {"_errors": [coerce]}}
    return Checked(payload, faults)


def _kept_files(payload: Json, body: Body) -> list[Json]:
    """The files that stay beside new ones: all, or with a list of attachments none, as a list of new files is all that is sent here."""
    is_listed = isinstance(body.value, dict) and "attachments" in body.value
    return [] if is_listed else list(payload.get("attachments", ()))


def _attachments(body: Body) -> list[Json]:
    """The files as attachment objects, with the `sha256` that proves their content."""
    return [
        {
            "id": file.id,
            "filename": file.filename,
            "size": len(file.content),
            "sha256": hashlib.sha256(file.content).hexdigest(),
        }
        for file in body.files
    ]


def _merged(old: Json, body: Json, new: Json) -> Json:
    """The payload after an edit; `body` tells an absent key from one set to null."""
    named = _EDITABLE & body.keys()
    gone = {"attachments"} if body.get("attachments") == [] else set()
    kept = {key: value for key, value in old.items() if key not in named | gone | {"allowed_mentions"}}
    return kept | {key: value for key, value in new.items() if key in named | {"allowed_mentions"}}


def _shown(message: Message, webhook: Webhook) -> Json:
    return message.as_discord(message.payload.get("username", webhook.name))


def _described(webhook: Webhook) -> Json:
    return {
        "id": webhook.id,
        "type": 1,
        "name": webhook.name,
        "avatar": None,
        "channel_id": webhook.channel_id,
        "guild_id": GUILD,
        "application_id": None,
        "token": webhook.token,
        "url": f"https://discord.com{webhook.path}",
    }
