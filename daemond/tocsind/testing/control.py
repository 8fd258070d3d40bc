"""The control surface: the same hand on the fake, over HTTP, for tests and people in another process.

    GET    /_fake/webhooks         [{"id", "token", "channel_id", "name", "url"}]
    GET    /_fake/log[?after=N]    {"messages": [...]}: accepted messages in order, those with number > N
    GET    /_fake/counts           the Counts as an object
    GET    /_fake/seen[?channel=]  {"seen": [...]}: what a reader sees
    GET    /_fake/script           {"script": [...]}: what is left of it
    POST   /_fake/script           one behaviour or a list of them, appended
    DELETE /_fake/script           clear it
    POST   /_fake/hold             {"saved": false}: take messages, answer none
    POST   /_fake/release
    POST   /_fake/foreign          {"channel", "content"} once, or {"channel", "every", "count"} on a schedule
    POST   /_fake/clock            {"skew": 3600}
    POST   /_fake/webhooks         {"channel"}: one more
    POST   /_fake/delete-message   {"message": id}: as a person would who reads the channel
    POST   /_fake/delete           {"webhook": id}: as a person would; the real DELETE route works as well

All bodies are JSON and every key is optional unless it is the point. What cannot be read is a 400 with "problem".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec

from tocsind.discord_api.errors import as_json
from tocsind.http_server import Reply, Request
from tocsind.testing.behaviours import read_behaviours
from tocsind.testing.fake import Fake
from tocsind.testing.webhooks import Webhook

PREFIX: Final = "/_fake/"


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Any body but a script's: every route takes what it needs."""

    saved: bool = False
    channel: str | None = None
    content: str = "posted by someone else"
    every: float | None = None
    count: int | None = None
    skew: float = 0.0
    webhook: str | None = None
    message: str = ""


_Work: TypeAlias = Callable[[Fake, Request], Any]


def answer(fake: Fake, request: Request) -> Reply:
    """Do what is asked; the answer is always JSON."""
    name = request.path.removeprefix(PREFIX).strip("/")
    work = _ROUTES.get(f"{request.method} {name}")
    if work is None:
        return as_json(404, {"problem": f"there is no {request.method} {request.path}", "routes": sorted(_ROUTES)})
    try:
        return as_json(200, work(fake, request))
    except (msgspec.DecodeError, LookupError, ValueError) as problem:
        return as_json(400, {"problem": str(problem)})


def described(fake: Fake, webhook: Webhook) -> dict[str, str]:
    """A webhook with the URL to post to."""
    return {**msgspec.to_builtins(webhook), "url": fake.url(webhook)}


def _order(request: Request) -> Order:
    return msgspec.json.decode(request.body or b"{}", type=Order)


def _webhooks(fake: Fake, _request: Request) -> Any:
    return [described(fake, webhook) for webhook in fake.webhooks]


def _log(fake: Fake, request: Request) -> Any:
    return {"messages": fake.messages_after(int(request.query.get("after", "0")))}


def _counts(fake: Fake, _request: Request) -> Any:
    return fake.counts


def _seen(fake: Fake, request: Request) -> Any:
    return {"seen": fake.seen(request.query.get("channel"))}


def _script(fake: Fake, _request: Request) -> Any:
    return {"script": fake.scripted}


def _add_script(fake: Fake, request: Request) -> Any:
    fake.script(*read_behaviours(request.body))
    return _script(fake, request)


def _clear_script(fake: Fake, request: Request) -> Any:
    fake.clear_script()
    return _script(fake, request)


def _hold(fake: Fake, request: Request) -> Any:
    fake.hold(saved=_order(request).saved)
    return {"holding": True}


def _release(fake: Fake, _request: Request) -> Any:
    fake.release()
    return {"holding": False}


def _foreign(fake: Fake, request: Request) -> Any:
    order = _order(request)
    if order.every is None:
        return {"message": fake.foreign_post(order.channel, order.content)}
    fake.foreign_posts(order.channel, every=order.every, count=order.count)
    return {"every": order.every}


def _clock(fake: Fake, request: Request) -> Any:
    skew = _order(request).skew
    fake.skew_clock(skew)
    return {"skew": skew}


def _add_webhook(fake: Fake, request: Request) -> Any:
    return described(fake, fake.add_webhook(_order(request).channel))


def _delete(fake: Fake, request: Request) -> Any:
    webhook = fake.webhook(_order(request).webhook or 0)
    fake.delete(webhook)
    return {"deleted": webhook.id}


def _delete_message(fake: Fake, request: Request) -> Any:
    message = _order(request).message
    fake.delete_message(message)
    return {"deleted": message}


_ROUTES: Final[dict[str, _Work]] = {
    "GET webhooks": _webhooks,
    "GET log": _log,
    "GET counts": _counts,
    "GET seen": _seen,
    "GET script": _script,
    "POST script": _add_script,
    "DELETE script": _clear_script,
    "POST hold": _hold,
    "POST release": _release,
    "POST foreign": _foreign,
    "POST clock": _clock,
    "POST webhooks": _add_webhook,
    "POST delete": _delete,
    "POST delete-message": _delete_message,
}
