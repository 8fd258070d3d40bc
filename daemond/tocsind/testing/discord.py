"""A fake Discord on a loopback port: real HTTP, no network.

    async with serve_fake(Settings(webhooks=2, channels=1, scale=0.01)) as fake:
        ...                                   # point the program at fake.url(0)
        with trio.fail_after(5):
            await fake.until(lambda: len(fake.messages) == 3)
        assert fake.counts.limited == {}

`serve` may be cancelled and started again on the same object: the port, the webhooks and the log stay, as they
would after an outage.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import formatdate

import msgspec
import trio

from tocsind.discord_api import errors
from tocsind.http_server import Reply, Request, WebServer
from tocsind.testing import control
from tocsind.testing.api import Api
from tocsind.testing.fake import HOST, Fake
from tocsind.testing.routes import Call
from tocsind.testing.settings import Settings
from tocsind.testing.webhooks import route_of


class FakeDiscord(Fake):
    """The server of one fake: Discord's routes, and the control surface (`control`)."""

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings)
        self._api = Api(self._guild, self._script)
        self._server = WebServer(self._handle, self.settings.bounds)

    @property
    def _connections(self) -> int:
        return self._server.connections

    async def serve(self, *, task_status: trio.TaskStatus[FakeDiscord] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen and answer until cancelled. Raises OSError when the port is taken."""
        listeners = await trio.open_tcp_listeners(self._port, host=HOST)
        self._port = listeners[0].socket.getsockname()[1]
        task_status.started(self)  # the kernel already queues connections
        await trio.serve_listeners(self._server.serve_connection, listeners)

    async def _handle(self, request: Request) -> Reply:
        reply = await self._dispatch(request)
        date = formatdate(self._now().server, usegmt=True)
        return msgspec.structs.replace(reply, headers={"Date": date, **reply.headers})

    async def _dispatch(self, request: Request) -> Reply:
        if request.path.startswith(control.PREFIX):
            self._catch_up()
            return control.answer(self, request)
        route = route_of(request.path)
        if route is None:
            return errors.plain_error(404)
        channel, asks = self._guild.channel_of(route.webhook_id), request.method == "GET"
        self._tally.enter(channel, posting=request.method == "POST" and route.message_id is None, asking=asks)
        try:
            await self._held(asks, saved=False)
            answer = self._api.answer(Call(request, route, self._now()))
            await self._held(asks, saved=True)
            self._tell()
            await trio.sleep(answer.delay + self.settings.latency)
            return answer.reply
        finally:
            self._tally.leave(channel, asking=asks)
            self._tell()

    async def _held(self, asks: bool, *, saved: bool) -> None:  # noqa: FBT001 - a fact about the request, not a switch
        if asks or self._released is None or saved is not self._holds_saved:
            return
        self._tally.held += 1
        self._tell()
        try:
            await self._released.wait()
        finally:
            self._tally.held -= 1


@asynccontextmanager
async def serve_fake(settings: Settings | None = None) -> AsyncIterator[FakeDiscord]:
    """A fake that serves for the length of the block."""
    async with trio.open_nursery() as nursery:
        fake = FakeDiscord(settings)
        await nursery.start(fake.serve)
        yield fake
        nursery.cancel_scope.cancel()
