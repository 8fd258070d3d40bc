"""A cancelled request leaves nothing behind: the pool would otherwise run dry over the weeks."""

from __future__ import annotations

import random
from typing import Any

import trio

from tocsind.destinations.http import Answer, HttpClient, json_body
from tocsind.secret import Secret
from tocsind.testing import Settings, serve_fake

WAVES, REQUESTS = 8, 60


def pool_of(client: HttpClient) -> Any:
    (asking,) = client._clients.values()
    transport: Any = asking._transport
    return transport._pool  # the only place that shows a lost slot


async def cancelled_at_random(client: HttpClient, url: Secret, until: float) -> None:
    with trio.move_on_after(random.uniform(0, until)):
        await client.request("POST", url, body=json_body({"content": "storm"}))


async def test_http_pool_leaks_no_slot_under_many_cancellations() -> None:
    async with serve_fake(Settings(latency=0.005).without_limits()) as fake, HttpClient() as client:
        url = Secret(fake.url().replace("/api/", "/api/v10/"))
        for wave in range(WAVES):
            async with trio.open_nursery() as nursery:
                for _ in range(REQUESTS):
                    nursery.start_soon(cancelled_at_random, client, url, 0.01 * (wave + 1))
        pool = pool_of(client)
        assert pool._requests == []
        assert all(connection.is_idle() or connection.is_closed() for connection in pool.connections)
        with trio.fail_after(30):
            assert isinstance(await client.request("POST", url, body=json_body({"content": "calm"})), Answer)
        assert len(pool.connections) <= 33


async def test_http_request_cancelled_in_flight_closes_its_connection() -> None:
    async with serve_fake() as fake, HttpClient() as client:
        url = Secret(fake.url())
        fake.hold(saved=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.request, "POST", url)
            await fake.until(lambda: fake.counts.held == 1)
            nursery.cancel_scope.cancel()
        assert pool_of(client)._requests == []
        assert pool_of(client).connections == []
