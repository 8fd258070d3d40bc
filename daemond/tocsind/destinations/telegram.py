"""Telegram, by a bot: a batch becomes one message, and its number in the answer proves that it arrived.

The signals of one key are one live message, which is edited; an edit notifies no one. A group that was upgraded has another id: the answer
names it, the destination uses it from then on, and a note asks the operator to write it into alerts.toml.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from tocsind.config.kinds.telegram import TelegramOptions
from tocsind.policy.batch import Footprint
from tocsind.policy.delivery import Delivery
from tocsind.policy.live_message import Editing
from tocsind.policy.outcomes import Cause, ChannelInfo, Deferred, Outcome, Reach
from tocsind.rendering.card import Card, card_of, card_of_update
from tocsind.rendering.telegram import MAX_TEXT, message, size
from tocsind.rendering.text import utf16_units

from .base import HttpDestination, HttpRequest
from .http import Answer, HttpClient, json_body
from .response import Response, bounded, bounded_reason
from .table import ANY_SERVICE, Row, delivered, gone, limited, no_proof, post_again, rejected, strike, too_large


class TelegramResponse(Response):
    """An answer of the Bot API: `ok`, then `result`, or `error_code`, `description` and `parameters`."""

    service = "Telegram"
    known_chats: frozenset[str] = frozenset()  # the ids that were tried: a group cannot move to one of them

    @property
    def is_own(self) -> bool:
        return isinstance(self.body.get("ok"), bool)

    @property
    def code(self) -> int | None:
        code = self.body.get("error_code")
        return code if isinstance(code, int) else None

    @property
    def words(self) -> str:
        return str(self.body.get("description") or "")

    @property
    def wait(self) -> float | None:
        return bounded(self._parameters.get("retry_after")) or super().wait

    @property
    def result(self) -> dict[str, Any]:
        """The message or chat; empty without one."""
        result = self.body.get("result")
        return result if isinstance(result, dict) else {}

    @property
    def proof(self) -> str | None:
        """The ids of chat and message: an edit needs both."""
        chat, number = self.result.get("chat"), self.result.get("message_id")
        if not isinstance(number, int):
            return None
        return f"{chat['id']}:{number}" if isinstance(chat, dict) and isinstance(chat.get("id"), int) else str(number)

    @property
    def new_chat_id(self) -> str | None:
        """The id that the group has since it was upgraded."""
        number = self._parameters.get("migrate_to_chat_id")
        return str(number) if isinstance(number, int) and str(number) not in self.known_chats else None

    @property
    def _parameters(self) -> dict[str, Any]:
        found = self.body.get("parameters")
        return found if isinstance(found, dict) else {}


def _proven(response: TelegramResponse) -> bool:
    """With `message_id`"""
    return response.proof is not None


def _own(response: TelegramResponse) -> bool:
    """Said by the service itself"""
    return response.is_own


def _has_moved(response: TelegramResponse) -> bool:
    """With `migrate_to_chat_id`"""
    return response.new_chat_id is not None


def _sent_there(response: TelegramResponse) -> Outcome:  # noqa: ARG001 - the signature of a row's outcome
    """deferred: sent again at once to the group's new id"""
    return Deferred("the group has another id since it was upgraded; it is used from now on", Cause.TARGET_GONE)


_GONE: Final = "kicked|blocked by the user|not a member|user is deactivated|was deleted"
_STRIKES: Final = (
    "chat not found|not enough rights|have no rights|thread not found|TOPIC_|CHAT_WRITE_FORBIDDEN|need administrator"
    "|was upgraded"
)
_CLOSED: Final = "message to edit not found|message can't be edited|MESSAGE_ID_INVALID|was upgraded"

TABLE: Final[tuple[Row[TelegramResponse], ...]] = (
    Row({200}, None, delivered, _proven),
    Row({200}, None, no_proof, _own),
    Row({429}, None, limited(Reach.CHANNEL), _own),
    Row({401, 404}, None, gone, _own),
    Row({403}, None, gone, _own, _GONE),
    Row({400}, None, _sent_there, _has_moved),
    Row({400, 403}, None, strike, _own, _STRIKES),
    Row({400}, None, too_large, _own, "too long"),
    Row({400}, None, rejected, _own),
)
EDITS: Final[tuple[Row[TelegramResponse], ...]] = (
    Row({400}, None, delivered, _own, "message is not modified"),
    Row({400}, None, post_again, _own, _CLOSED),
)


def _described(chat: Mapping[str, Any]) -> str:
    """A chat, for people; its texts come from the service."""
    name = bounded_reason(str(chat.get("title") or chat.get("first_name") or chat.get("id")), 80)
    return f"the {bounded_reason(str(chat.get('type') or 'chat'), 20)} {name}"


class Telegram(HttpDestination[TelegramOptions]):
    """One chat."""

    max_items = 5
    max_chars = float(MAX_TEXT)
    editing = Editing.SILENT
    response = TelegramResponse
    tables: ClassVar = (TABLE, ANY_SERVICE)
    edit_tables: ClassVar = (EDITS, TABLE, ANY_SERVICE)

    def __init__(self, options: TelegramOptions, client: HttpClient) -> None:
        super().__init__(options, client)
        self._chat_id = options.chat_id

    def footprint(self, delivery: Delivery) -> Footprint:
        key = delivery.signal.key
        return Footprint(size(card_of(delivery)), key or self._is_silent([delivery]), delivery.max_batch, bool(key))

    def question(self) -> HttpRequest:
        """Ask for the chat: destinations of one chat share its limit, whether they have its id or its name."""
        return self._asking("getChat", {"chat_id": self._chat_id})

    def found(self, response: Response) -> ChannelInfo | None:
        assert isinstance(response, TelegramResponse)
        number = response.result.get("id")
        if not isinstance(number, int):
            return None
        return ChannelInfo(str(number), answered=True, shows=f"the bot sees {_described(response.result)}")

    def request(self, batch: Sequence[Delivery]) -> HttpRequest:
        update = batch[0].update
        cards: list[Card] = [card_of_update(update)] if update else [card_of(each) for each in batch]
        values = {"chat_id": self._chat_id, **message(cards), "link_preview_options": {"is_disabled": True}}
        if update and update.edits:
            chat, _, number = update.edits.rpartition(":")
            in_chat = {
                "chat_id": chat or self._chat_id,
                "message_id": int(number),
            }  # a group that was upgraded has another id
            return self._asking("editMessageText", values | in_chat)
        thread = {} if self.options.thread_id is None else {"message_thread_id": self.options.thread_id}
        silent = {"disable_notification": True} if self._is_silent(batch) else {}
        return self._asking("sendMessage", {**values, **thread, **silent})

    def channel(self) -> str | None:
        return self._chat_id

    def read(self, answer: Answer) -> TelegramResponse:
        response = TelegramResponse(answer)
        response.known_chats = frozenset({self.options.chat_id, self._chat_id})
        return response

    def learn(self, response: Response) -> str | None:
        assert isinstance(response, TelegramResponse)
        if response.new_chat_id is not None:
            self._chat_id = response.new_chat_id
        if self._chat_id == self.options.chat_id:
            return None
        return f"the group was upgraded and has the id {self._chat_id} now: write it into alerts.toml as chat-id"

    def limits(self, payload: Any) -> list[dict[str, Any]]:
        return [{"name": "text", "used": utf16_units(payload["text"]), "most": MAX_TEXT}]

    def _is_silent(self, batch: Sequence[Delivery]) -> bool:
        return min(each.priority for each in batch).label in self.options.silent

    def _asking(self, method: str, values: dict[str, Any]) -> HttpRequest:
        return HttpRequest(self.options.method(method), json_body(values), values)
