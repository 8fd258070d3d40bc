"""Slack: an incoming webhook, which returns no id, or a bot, whose messages can be edited.

The API answers most errors with status 200: `ok` and `error` decide. A webhook answers with a word.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from tocsind.config.kinds.slack import SlackOptions
from tocsind.policy.batch import Footprint
from tocsind.policy.delivery import Delivery
from tocsind.policy.live_message import Editing
from tocsind.policy.outcomes import ChannelInfo, Reach
from tocsind.rendering.card import card_of, card_of_update
from tocsind.rendering.slack import MAX_TEXT, message, size
from tocsind.secret import Secret

from .base import HttpDestination, HttpRequest
from .http import json_body
from .response import Response, bounded_reason
from .table import (
    ANY_SERVICE,
    Row,
    delivered,
    failed,
    gone,
    limited,
    no_proof,
    post_again,
    refused,
    rejected,
    strike,
    too_large,
)


class ApiResponse(Response):
    """An answer of the Web API: `ok`, then `channel` and `ts`, or `error`."""

    service = "Slack"

    @property
    def is_own(self) -> bool:
        return isinstance(self.body.get("ok"), bool)

    @property
    def code(self) -> str | None:
        error = self.body.get("error")
        return error if isinstance(error, str) else None

    @property
    def words(self) -> str:
        return self.code or ""

    @property
    def proof(self) -> str | None:
        """The channel's id and the message's time: an edit needs both."""
        channel, time = self.body.get("channel"), self.body.get("ts")
        both = self.body.get("ok") is True and isinstance(channel, str) and isinstance(time, str)
        return f"{channel}:{time}" if both else None


class WebhookResponse(Response):
    """An answer of an incoming webhook: one word of text."""

    service = "Slack"

    @property
    def is_own(self) -> bool:
        return self.code is not None

    @property
    def code(self) -> str | None:
        if isinstance(error := self.body.get("error"), str):
            return error
        word = self.answer.body[:100].decode("ascii", "replace").strip()  # Slack calls it text/html
        return word if re.fullmatch(r"[a-z_]{2,60}", word) else None

    @property
    def words(self) -> str:
        return self.code or ""


def _proven(response: ApiResponse) -> bool:
    """With `channel` and `ts`"""
    return response.proof is not None


def _own(response: Response) -> bool:
    """Said by the service itself"""
    return response.is_own


def _error(response: ApiResponse) -> bool:
    """With an `error`"""
    return response.is_own and response.code is not None


_LIMITED: Final = frozenset({"ratelimited", "rate_limited"})
_GONE: Final = frozenset({
    "invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "missing_scope", "not_allowed_token_type",
    "invalid_token", "no_service", "no_service_id", "no_active_hooks", "no_team", "team_disabled", "team_not_found", "org_login_required",
})  # fmt: skip
_STRIKES: Final = frozenset({
    "channel_not_found", "not_in_channel", "is_archived", "channel_is_archived", "ekm_access_denied", "action_prohibited",
    "restricted_action", "restricted_action_read_only_channel", "restricted_action_thread_only_channel",
    "restricted_action_non_threadable_channel", "restricted_action_thread_locked", "posting_to_general_channel_denied",
})  # fmt: skip
_IN_DOUBT: Final = frozenset(
    {"fatal_error", "internal_error", "request_timeout", "service_unavailable", "rollup_error"}
)
_TOO_LONG: Final = frozenset({"msg_too_long", "msg_blocks_too_long"})
_FAULTS: Final = frozenset({
    "no_text", "too_many_attachments", "invalid_blocks", "invalid_blocks_format", "invalid_arguments", "invalid_payload",
    "invalid_attachments", "user_not_found", "invalid_arg_name", "invalid_json",
})  # fmt: skip
_CLOSED: Final = frozenset(
    {"message_not_found", "cant_update_message", "edit_window_closed", "is_inactive", "block_mismatch"}
)

API_TABLE: Final[tuple[Row[ApiResponse], ...]] = (
    Row({200}, None, delivered, _proven),
    Row({429}, None, limited(Reach.CHANNEL), _own),
    Row({200}, _LIMITED, limited(Reach.CHANNEL)),
    Row({200, 401, 403}, _GONE, gone),
    Row({200, 403, 404}, _STRIKES, strike),
    Row({200, 500, 503}, _IN_DOUBT, failed),
    Row({200}, _TOO_LONG, too_large),
    Row({200, 400}, _FAULTS, rejected),
    Row({200}, None, refused, _error),
    Row({200}, None, no_proof, _own),
)
API_EDITS: Final[tuple[Row[ApiResponse], ...]] = (Row({200}, _CLOSED, post_again),)
WEBHOOK_TABLE: Final[tuple[Row[WebhookResponse], ...]] = (
    Row({200}, {"ok"}, delivered),
    Row({403, 404, 410}, _GONE, gone),
    Row({403, 404, 410}, _STRIKES, strike),
    Row({400}, _TOO_LONG, too_large),
    Row({400, 404}, _FAULTS, rejected),
)


class _Slack(HttpDestination[SlackOptions]):
    """What both ways have in common."""

    max_items = 5
    max_chars = float(MAX_TEXT)

    def message(self, batch: Sequence[Delivery], mentions: Sequence[str]) -> dict[str, Any]:
        """The message of a batch."""
        update = batch[0].update
        return message([card_of_update(update)] if update else [card_of(each) for each in batch], mentions)

    def mentions(self, batch: Sequence[Delivery]) -> tuple[str, ...]:
        """Who is notified by a batch."""
        return self.options.mention.get(min(each.priority for each in batch).label, ())

    def footprint(self, delivery: Delivery) -> Footprint:
        key = delivery.signal.key if self.editing is not Editing.NONE else None
        return Footprint(size(card_of(delivery)), key or self.mentions([delivery]), delivery.max_batch, bool(key))

    def limits(self, payload: Any) -> list[dict[str, Any]]:
        return [{"name": "blocks", "used": len(payload["blocks"]), "most": 50}]


class SlackWebhook(_Slack):
    """An incoming webhook."""

    response = WebhookResponse
    tables: ClassVar = (WEBHOOK_TABLE, ANY_SERVICE)

    def request(self, batch: Sequence[Delivery]) -> HttpRequest:
        payload = self.message(batch, self.mentions(batch))
        return HttpRequest(self.options.webhook, json_body(payload), payload)


class SlackBot(_Slack):
    """A bot in a channel."""

    editing = Editing.SILENT
    response = ApiResponse
    tables: ClassVar = (API_TABLE, ANY_SERVICE)
    edit_tables: ClassVar = (API_EDITS, API_TABLE, ANY_SERVICE)

    def question(self) -> HttpRequest:
        """Ask whom the token belongs to."""
        return self._calling("auth.test", {})

    def found(self, response: Response) -> ChannelInfo | None:
        if response.body.get("ok") is not True:
            return None
        bot, team = (bounded_reason(str(response.body.get(key) or "?"), 80) for key in ("user", "team"))
        return ChannelInfo(self.channel(), answered=True, shows=f"the token is that of {bot} in {team}")

    def channel(self) -> str | None:
        return self.options.channel

    def request(self, batch: Sequence[Delivery]) -> HttpRequest:
        update = batch[0].update
        if update and update.edits:  # it notifies no one, so it mentions no one
            channel, _, time = update.edits.partition(":")
            return self._calling("chat.update", {"channel": channel, "ts": time, **self.message(batch, ())})
        return self._calling(
            "chat.postMessage", {"channel": self.options.channel, **self.message(batch, self.mentions(batch))}
        )

    def _calling(self, method: str, values: dict[str, Any]) -> HttpRequest:
        token = self.options.bot_token
        payload = {**values, "parse": "none", "link_names": False} if values else {}
        headers: dict[str, str | Secret] = {"Authorization": Secret(f"Bearer {token.reveal()}")} if token else {}
        body = json_body(payload)._replace(content_type="application/json; charset=utf-8")
        return HttpRequest(Secret(f"{self.options.api_url}/{method}"), body, payload, headers=headers)
