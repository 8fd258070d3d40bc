"""What the fake Discord holds, and what a test may do with it and read from it. `discord` puts a server around it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
import trio

from tocsind.testing.behaviour import Behaviour
from tocsind.testing.behaviours import as_behaviour
from tocsind.testing.counts import Counts, Tally
from tocsind.testing.guild import Guild, Schedule
from tocsind.testing.messages import Message, Moment
from tocsind.testing.reader import Seen, seen_in
from tocsind.testing.script import Script
from tocsind.testing.settings import Settings
from tocsind.testing.webhooks import Webhook

HOST: Final = "127.0.0.1"


class Fake:
    """The state of one fake.

    Wherever a method takes a webhook it takes the Webhook, its id, or its number from 0.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self._port = self.settings.port
        self._skew = self.settings.clock_skew
        self._tally = Tally()
        self._script = Script()
        self._guild = Guild(self.settings, self._tally)
        self._guild.on_accept = self._write_down
        self._changed = trio.Event()
        self._released: trio.Event | None = None
        self._holds_saved = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} on port {self._port}: {len(self.webhooks)} webhooks, {self._tally.accepted} accepted>"

    # Where it is.

    @property
    def port(self) -> int:
        """The TCP port; 0 until it serves for the first time."""
        return self._port

    @property
    def webhooks(self) -> tuple[Webhook, ...]:
        """All webhooks there ever were, in order, deleted ones included."""
        return tuple(self._guild.webhooks.values())

    def url(self, webhook: Webhook | str | int = 0) -> str:
        """The webhook URL as a user would paste it: no version, plain http."""
        return f"http://{HOST}:{self._port}{self.webhook(webhook).path}"

    def webhook(self, which: Webhook | str | int) -> Webhook:
        """Look one up. Raises LookupError."""
        if isinstance(which, Webhook):
            return which
        if isinstance(which, int):
            return self.webhooks[which]
        return self._guild.webhooks[which]

    # What it saw.

    @property
    def messages(self) -> tuple[Message, ...]:
        """What webhooks posted and was accepted, in order, edits and deletions applied."""
        return tuple(message for message in self._guild.log if message.webhook_id is not None)

    @property
    def _connections(self) -> int:
        """How many connections were opened. Overridden by the server."""
        return 0

    @property
    def counts(self) -> Counts:
        return self._tally.snapshot(self._connections)

    def messages_after(self, number: int) -> tuple[Message, ...]:
        """Those of `messages` with a higher number, for a reader who continues."""
        return tuple(message for message in self.messages if message.number > number)

    def seen(self, channel: str | None = None) -> tuple[Seen, ...]:
        """What a reader of a channel (or thread) sees, foreign posts included; None: the first webhook's channel."""
        self._catch_up()
        return seen_in(self._guild.log, channel or self._first_channel)

    async def until(self, fact: Callable[[], bool]) -> None:
        """Wait until `fact` holds; it is asked again after everything that happens here."""
        while not fact():
            await self._changed.wait()

    # Commands of a test.

    def script(self, *lines: Behaviour | Mapping[str, Any]) -> None:
        """Append behaviours for the next requests; see `behaviours` for their names."""
        for line in [as_behaviour(line) for line in lines]:
            self._script.add(line)

    def clear_script(self) -> None:
        self._script.clear()

    @property
    def scripted(self) -> tuple[Behaviour, ...]:
        """What is left of the script."""
        return self._script.lines

    def hold(self, *, saved: bool = False) -> None:
        """Take messages and answer none until `release`; `saved` processes them first. Questions (GET) are answered."""
        self._released = self._released or trio.Event()
        self._holds_saved = saved

    def release(self) -> None:
        if self._released is not None:
            self._released.set()
            self._released = None

    def add_webhook(self, channel_id: str | None = None) -> Webhook:
        """One more webhook, in that channel or in the first webhook's."""
        return self._guild.add_webhook(channel_id or self._first_channel)

    def delete(self, webhook: Webhook | str | int = 0) -> None:
        """Delete a webhook as a person would in Discord's settings; later requests to it are counted."""
        self._guild.delete(self.webhook(webhook).id)

    def delete_message(self, message_id: str) -> None:
        """Delete a message as a person would who reads the channel. Raises LookupError when there is none."""
        message = next((each for each in self.messages if each.message_id == message_id and not each.deleted), None)
        if message is None:
            raise LookupError(f"there is no message {message_id}")
        self._guild.log.remove(message)

    def foreign_post(self, channel: str | None = None, content: str = "posted by someone else") -> Message | None:
        """Someone else's message; counts against the hidden limit. None when that refused it."""
        return self._guild.foreign_post(channel or self._first_channel, content, self._now())

    def foreign_posts(self, channel: str | None = None, *, every: float, count: int | None = None) -> None:
        """Someone else posts `every` so many seconds from now on, `count` times or for good."""
        if every <= 0:
            raise ValueError("a schedule needs some time between its posts")
        where = channel or self._first_channel
        self._guild.schedule(Schedule(where, every, self._now().steady + every, count))

    def skew_clock(self, seconds: float) -> None:
        """Set the server's wall clock ahead of the true one."""
        self._skew = seconds

    @property
    def _first_channel(self) -> str:
        return self.webhooks[0].channel_id

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def _now(self) -> Moment:
        wall = time.time()
        return Moment(trio.current_time(), wall, wall + self._skew)

    def _catch_up(self) -> None:
        if trio.lowlevel.in_trio_run():
            self._guild.advance(self._now())

    def _write_down(self, message: Message) -> None:
        if self.settings.log is not None:
            with self.settings.log.open("ab") as log:
                log.write(msgspec.json.encode(message) + b"\n")
