"""What exists behind the API: webhooks, channels, messages, other people.

Pure state: every method that needs the time is handed it. Foreign posts on a schedule are not made by a task but
caught up with, in the order they fell due, whenever `advance` is called; so a run can be told exactly.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tocsind.testing.counts import Tally
from tocsind.testing.messages import Message, MessageLog, Moment
from tocsind.testing.quotas import Quotas
from tocsind.testing.settings import Settings
from tocsind.testing.webhooks import Webhook, numbered_channel, numbered_webhook


class Schedule(msgspec.Struct):
    """Posts of someone else: the next one falls due at `due` on the steady clock."""

    channel_id: str
    every: float
    due: float
    left: int | None


class Guild:
    """The state of one fake Discord. `on_accept` is called for every message of a webhook, once, when it is saved."""

    def __init__(self, settings: Settings, tally: Tally) -> None:
        self.quotas = Quotas(settings)
        self.log = MessageLog(settings.keep)
        self.webhooks: dict[str, Webhook] = {}
        """All there ever were, by id, in order; deleted ones included."""
        self.deleted: set[str] = set()
        self.on_accept: Callable[[Message], None] = _ignore
        self.tally = tally
        self._schedules: list[Schedule] = []
        for number in range(settings.webhooks):
            self.add_webhook(numbered_channel(number % (settings.channels or settings.webhooks)))

    def add_webhook(self, channel_id: str) -> Webhook:
        webhook = numbered_webhook(len(self.webhooks), channel_id)
        self.webhooks[webhook.id] = webhook
        return webhook

    def delete(self, webhook_id: str) -> None:
        """Its messages stay, as they do in Discord."""
        self.deleted.add(webhook_id)

    def living(self, webhook_id: str) -> Webhook | None:
        return None if webhook_id in self.deleted else self.webhooks.get(webhook_id)

    def channel_of(self, webhook_id: str) -> str:
        """Its channel, even after its deletion; one name for whatever was never there."""
        webhook = self.webhooks.get(webhook_id)
        return webhook.channel_id if webhook else "unknown"

    def accept(self, webhook: Webhook, payload: dict[str, object], thread_id: str | None, at: Moment) -> Message:
        """Save a message; whether it may be sent has been asked before."""
        message = self.log.add(payload, at=at, channel_id=webhook.channel_id, by=webhook, thread_id=thread_id)
        self.tally.accepted += 1
        self.on_accept(message)
        return message

    def foreign_post(self, channel_id: str, content: str, at: Moment) -> Message | None:
        """Someone else posts; None when the channel's limit refused them."""
        if not self.quotas.take_channel(channel_id, at.steady).passes:
            self.tally.foreign_refused += 1
            return None
        self.tally.foreign += 1
        return self.log.add({"content": content}, at=at, channel_id=channel_id, by=None)

    def schedule(self, schedule: Schedule) -> None:
        self._schedules.append(schedule)

    def advance(self, at: Moment) -> None:
        """Let everything happen that fell due until now, in order."""
        while self._schedules:
            first = min(self._schedules, key=lambda schedule: schedule.due)
            if first.due > at.steady:
                return
            late = at.steady - first.due
            self.foreign_post(
                first.channel_id, "posted by someone else", Moment(first.due, at.wall - late, at.server - late)
            )
            self._step(first)

    def _step(self, schedule: Schedule) -> None:
        schedule.due += schedule.every
        if schedule.left is not None:
            schedule.left -= 1
        if schedule.left == 0:
            self._schedules.remove(schedule)


def _ignore(message: Message) -> None:
    """Do nothing: no observer is registered yet."""
