"""Discord's webhook API: a program that posts to Discord changes its URL and nothing else.

    POST                .../webhooks/DESTINATION/TOKEN                 Execute Webhook: JSON, a form, or multipart with files
    POST                .../webhooks/DESTINATION/TOKEN/slack           Slack's format, as Discord takes it
    PATCH, DELETE, GET  .../webhooks/DESTINATION/TOKEN/messages/ID     messages whose ids this intake gave (`wait=true`)
    GET                 .../webhooks/DESTINATION/TOKEN                 the webhook

The payload is stored as it came and goes out as it is (tocsind.rendering.raw). A message whose sender asked for its id has a key of its own
(`message_ids.key_of`), so an edit is one more state of a live message: before it was sent it changes what is sent, after that it edits the
message at Discord, and a deletion is a state as well. Plain embeds of messages without an id may travel together.

Errors have Discord's shapes. There is no 429: what cannot be stored is a 503, and the limits that clients read in the headers leave room.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import trio

from tocsin.normalize import is_readable
from tocsin.payloads import MOST_BYTES
from tocsin.signals import Signal
from tocsind.clock import Clock
from tocsind.discord_api import REPLACES_FILES, errors
from tocsind.discord_api.bodies import MOST_REQUEST, Body, read_body
from tocsind.discord_api.forms import Json
from tocsind.discord_api.validation import Checked, check
from tocsind.errors import StorageFull
from tocsind.http_server import Reply, Request

from .access import Needs
from .intake import Intake
from .message_ids import MessageIds, key_of, read, signal_id
from .message_objects import EDITED, SHOWN_FILES, files_of, message_object, webhook_object
from .routing import Call, Handler, Router
from .slack import from_slack

_PREFIXES: Final = ("/api", "/api/{version}")
_PATH: Final = "/api/webhooks/{destination}/{token}"
_SHOWN: Final = "/api/webhooks/DESTINATION/TOKEN"
_SENT: Final = (
    "content", "embeds", "username", "avatar_url", "tts", "flags", "allowed_mentions", "components", "poll", "thread_name", "applied_tags"
)  # fmt: skip
_EDITED: Final = ("content", "embeds", "flags", "allowed_mentions", "components")
_TRUE: Final = frozenset({"true", "1"})
_IN_A_THREAD: Final = (
    256 * 1024
)  # bytes of a body that is read in a thread: it takes longer than other requests may wait
_TRIES: Final = 3  # ids; one that is taken already would be a duplicate
_RETRY_AFTER: Final = "5"  # seconds


class DiscordWebhooks:
    """The routes of Discord's webhook API."""

    def __init__(self, intake: Intake, clock: Clock) -> None:
        self._intake = intake
        self._clock = clock
        self._ids = MessageIds(clock)
        self._editing = trio.Lock()  # an edit reads, merges and writes

    def add_routes(self, router: Router) -> None:
        """Add them, with and without the version in the path."""
        for prefix in _PREFIXES:
            path = prefix + "/webhooks/{destination}/{token}"
            self._add(router, "POST", path, self.execute)
            self._add(router, "GET", path, self.describe)
            self._add(router, "POST", f"{path}/slack", self.execute_slack)
            self._add(router, "GET", path + "/messages/{message}", self.read_message)
            self._add(router, "PATCH", path + "/messages/{message}", self.edit_message)
            self._add(router, "DELETE", path + "/messages/{message}", self.delete_message)

    def _add(self, router: Router, method: str, path: str, handler: Handler) -> None:
        body, shown = MOST_REQUEST if method in {"POST", "PATCH"} else 0, _SHOWN if path == _PATH else None
        router.add(method, path, self._guarded(handler), needs=Needs.SEND, body=body, refusal=_refusal, shown=shown)

    def _guarded(self, handler: Handler) -> Handler:
        """The handler for a destination that is there and that the token permits, with the headers that clients look for."""

        async def guarded(call: Call) -> Reply:
            name = self._intake.destination(call.values["destination"])
            if not call.grant.permits(name or ""):
                reply = errors.invalid_token()
            elif name is None:
                reply = errors.unknown_webhook()
                if call.request.method in {"POST", "PATCH"}:
                    self._intake.report_refused(call.request, f"there is no destination {call.values['destination']!r}")
            else:
                try:
                    reply = await handler(msgspec.structs.replace(call, values={**call.values, "destination": name}))
                except StorageFull as full:
                    return _unavailable(str(full))
                if reply.status in {400, 413}:
                    self._intake.report_refused(call.request, f"a message for {name}: {errors.reason_of(reply)}")
            return msgspec.structs.replace(reply, headers={**self._room(), **reply.headers})

        return guarded

    def _room(self) -> dict[str, str]:
        """Rate limit headers: nothing here has to wait."""
        return {
            "X-RateLimit-Limit": "1000",
            "X-RateLimit-Remaining": "999",
            "X-RateLimit-Reset": f"{self._clock.wall() + 1:.3f}",
            "X-RateLimit-Reset-After": "1.000",
            "X-RateLimit-Bucket": "tocsin",
        }

    async def describe(self, call: Call) -> Reply:
        """GET: the webhook."""
        return errors.as_json(200, webhook_object(call.values["destination"], call.values["token"]))

    # --- new messages -------------------------------------------------------------------------------------------------

    async def execute(self, call: Call) -> Reply:
        """POST: store a message."""
        body = await _read(call.request)
        if isinstance(body, Reply):
            return body
        return await self._execute(call, body, waits=_is_true(call.request, "wait"))

    async def execute_slack(self, call: Call) -> Reply:
        """POST in Slack's format."""
        body = await _read(call.request)
        if isinstance(body, Reply):
            return body
        stored = await self._execute(call, Body(from_slack(body.value)), waits=False)
        return stored if stored.status != 204 else Reply(200, {"Content-Type": "text/plain"}, b"ok")

    async def _execute(self, call: Call, body: Body, *, waits: bool) -> Reply:
        """204 or, with `waits`, the message object of a stored message; or what is wrong with it."""
        if fault := _fault(body, call.request, body.files):
            return fault
        payload = _payload(body, call.request)
        if len(msgspec.json.encode(payload)) > MOST_BYTES:
            return errors.too_large()
        if not waits and not body.files:
            values = {"payload": payload, "to": [call.values["destination"]], "priority": _priority(call.request)}
            await self._intake.hand_over(values, call.request)
            return Reply(204)
        for _ in range(_TRIES):
            snowflake = self._ids.next()
            key = key_of(snowflake) if waits else None
            fields = {"key": key, "id": signal_id(snowflake), "priority": _priority(call.request)}
            if await self._store(call, payload, body, fields):
                return _stored(snowflake, call.values["destination"], payload) if waits else Reply(204)
        return _unavailable("no id is free")

    async def _store(self, call: Call, payload: Json, body: Body, fields: Mapping[str, Any]) -> bool:
        """Store the next state of a message, and its files; False when the id is taken."""
        note = None
        if body.files and (
            reason := await self._intake.save_files(fields["id"], [file.content for file in body.files])
        ):
            payload = {key: value for key, value in payload.items() if key != "attachments"}
            note = f"{len(body.files)} files are not attached: {reason}"
        shown = payload if _says_something(payload) else {**payload, "content": note}
        signal = Signal(payload=shown, to=[call.values["destination"]], attach_note=note, **fields)
        (receipt,) = await self._intake.store([signal], call.request)
        return receipt.state != "duplicate"

    # --- messages that are there ---------------------------------------------------------------------------------------

    async def read_message(self, call: Call) -> Reply:
        """GET: a message as it is now."""
        found = await self._find(call)
        if found is None:
            return errors.unknown_message()
        snowflake, signal = found
        return errors.as_json(200, message_object(snowflake, call.values["destination"], signal.payload or {}))

    async def edit_message(self, call: Call) -> Reply:
        """PATCH: what is named is replaced, what is not stays."""
        body = await _read(call.request)
        if isinstance(body, Reply):
            return body
        async with self._editing:
            found = await self._find(call)
            if found is None:
                return errors.unknown_message()
            snowflake, signal = found
            payload = _merged(signal.payload or {}, body.value)
            if fault := _fault(Body(payload), call.request, payload.get("attachments") or body.files, edit=body):
                return fault
            new = _attachments(body).get("attachments", [])
            replaces = _replaces_files(body)
            files = [*([] if replaces else files_of(payload)), *new]
            stored = {**payload, SHOWN_FILES: files, EDITED: self._clock.wall()}
            if len(msgspec.json.encode(stored)) > MOST_BYTES:
                return errors.too_large()
            await self._add_state(call, signal, _state(payload, files, new, replaces=replaces), body)
            await self._intake.save(_with_payload(signal, stored))
        return errors.as_json(200, message_object(snowflake, call.values["destination"], stored))

    async def delete_message(self, call: Call) -> Reply:
        """DELETE: it is deleted at Discord too, or never posted."""
        async with self._editing:
            found = await self._find(call)
            if found is None:
                return errors.unknown_message()
            _, signal = found
            await self._add_state(call, signal, {"deleted": True, **_thread(signal.payload or {})}, Body(None))
            await self._intake.save(_with_payload(signal, {"deleted": True}))
        return Reply(204)

    async def _add_state(self, call: Call, signal: Signal, payload: Json, body: Body) -> None:
        """A later state of a message. It is never urgent: an urgent state is posted again."""
        priority = "high" if signal.priority == "urgent" else signal.priority
        fields = {"key": signal.key, "priority": priority}
        while not await self._store(call, payload, body, {**fields, "id": signal_id(self._ids.next())}):
            pass

    async def _find(self, call: Call) -> tuple[int, Signal] | None:
        """The message of the path: one of this destination, that was not deleted."""
        snowflake = read(call.values["message"])
        signal = None if snowflake is None else await self._intake.load(signal_id(snowflake))
        if snowflake is None or signal is None or signal.key != key_of(snowflake):
            return None
        is_here = signal.to == [call.values["destination"]] and not (signal.payload or {}).get("deleted")
        return (snowflake, signal) if is_here else None


async def _read(request: Request) -> Body | Reply:
    if len(request.body) > _IN_A_THREAD:
        return await trio.to_thread.run_sync(read_body, request)
    return read_body(request)


def _stored(snowflake: int, destination: str, payload: Json) -> Reply:
    return errors.as_json(200, message_object(snowflake, destination, payload))


def _fault(body: Body, request: Request, files: object, *, edit: Body | None = None) -> Reply | None:
    """What Discord would refuse a message for. `edit`: the body that changes a message, where `body` is the result."""
    components = _is_true(request, "with_components") or (edit is not None and isinstance(body.value, dict))
    checked = check(body.value if edit is None else edit.value, with_components=components)
    faults = checked.errors | _thread_fault(request)
    if faults:
        return errors.invalid_form(faults)
    result: Checked = checked if edit is None else check(body.value, with_components=components)
    if result.errors:
        return errors.invalid_form(result.errors)
    return errors.empty_message() if result.is_empty and not files else None


def _thread_fault(request: Request) -> Json:
    thread = _asked(request, "thread_id")
    if not thread or thread.isdecimal():
        return {}
    return {
        "thread_id": {
            "_errors": [{"code": "NUMBER_TYPE_COERCE", "message": f'Value "{thread[:100]}" is not snowflake.'}]
        }
    }


def _payload(body: Body, request: Request) -> Json:
    """The payload to store: the parts that Discord knows, its files, and what belongs into the query there."""
    value: Json = body.value
    payload = {key: value[key] for key in _SENT if value.get(key) is not None}
    if thread := _asked(request, "thread_id"):
        payload["thread_id"] = thread
    if _is_true(request, "with_components"):
        payload["with_components"] = "true"
    return payload | _attachments(body)


def _attachments(body: Body) -> Json:
    """`attachments` for the files of a request, with the descriptions that the message gives them."""
    if not body.files:
        return {}
    entries = body.value.get("attachments") if isinstance(body.value, dict) else None
    given = entries if isinstance(entries, list) else []
    named = {str(each.get("id")): each for each in given if isinstance(each, dict)}
    return {
        "attachments": [
            {"id": place, "filename": file.filename[:256], "size": len(file.content)}
            | {key: text for key in ("description",) if isinstance(text := named.get(file.id, {}).get(key), str)}
            for place, file in enumerate(body.files)
        ]
    }


def _merged(old: Mapping[str, Any], value: Any) -> Json:
    """The payload after an edit; null takes a part away."""
    named = {key: value[key] for key in _EDITED if key in value} if isinstance(value, dict) else {}
    if isinstance(value, dict) and value.get("attachments", 1) in (
        [],
        None,
    ):  # the ids in another list are not Discord's: all stay
        named["attachments"] = []
    return {key: each for key, each in {**old, **named}.items() if each is not None}


def _replaces_files(body: Body) -> bool:
    """Whether an edit takes the files away that were there: its list of attachments names none, or only files of its own.

    Any other list may name files of the message, by ids that are not Discord's: all stay.
    """
    if not isinstance(body.value, dict) or "attachments" not in body.value:
        return False
    listed, own = body.value["attachments"] or [], {file.id for file in body.files}
    return isinstance(listed, list) and all(isinstance(each, dict) and str(each.get("id")) in own for each in listed)


def _state(payload: Json, files: list[Json], new: list[Json], *, replaces: bool) -> Json:
    """The state that an edit makes: the whole message, and of its files those that are new."""
    state = {key: value for key, value in payload.items() if key not in {"attachments", SHOWN_FILES, EDITED}}
    if new:
        return state | {"attachments": new} | ({REPLACES_FILES: True} if replaces else {})
    return state | ({"attachments": []} if not files and "attachments" in payload else {})


def _thread(payload: Mapping[str, Any]) -> Json:
    return {"thread_id": payload["thread_id"]} if "thread_id" in payload else {}


def _with_payload(signal: Signal, payload: Json) -> Signal:
    return Signal.trusted({**signal.as_dict(), "payload": payload})


def _says_something(payload: Mapping[str, Any]) -> bool:
    return any(payload.get(part) for part in ("content", "embeds", "poll", "components", "attachments", "deleted"))


def _priority(request: Request) -> str | None:
    """The priority that the query or a header asks for; what cannot be read asks for none."""
    found = _asked(request, "priority") or request.headers.get("x-priority")
    return found if found and is_readable("priority", found) else None


def _asked(request: Request, name: str) -> str:
    """A value of the query; the case of its name does not matter. Empty without one."""
    return next((value for key, value in request.query.items() if key.lower() == name), "")


def _is_true(request: Request, name: str) -> bool:
    return _asked(request, name).lower() in _TRUE


def _refusal(status: int, text: str) -> Reply:
    return {401: errors.invalid_token, 413: errors.too_large}.get(status, lambda: errors.error(status, 0, text))()


def _unavailable(reason: str) -> Reply:
    return errors.as_json(503, {"message": reason, "code": 0}, {"Retry-After": _RETRY_AFTER})
