"""Destinations change while their deliveries wait at the engine."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path

from tests.harness import FakeProcess, discord, file, route, until
from tests.shared.conftest import RedisServer
from tests.shared.test_hosts import all_arrived, holder_of, hosts, lane, settled


def test_destinations_that_change_while_alerts_wait_elsewhere_lose_and_double_nothing(
    tmp_path: Path, fake: FakeProcess, redis_server: RedisServer
) -> None:
    with hosts(tmp_path, fake, redis_server, 2) as found:
        holder = holder_of(found)
        (other,) = [host for host in found if host is not holder]
        shared, url = f'[shared]\nurl = "{redis_server.url}"\n', fake.webhooks[0]["url"]
        kept = shared + discord("d", url, shared="false") + route("d")
        renamed = shared + discord("e", url) + route("e")
        removed = shared + file() + route("local-file")
        expected: list[str] = []
        for number, config in enumerate((kept, renamed, removed)):
            other.configure(shared + discord("d", url) + route("d"))
            other.reload()
            other.wait_for("reloaded", nth=2 * number + 1)
            until(lambda: bool(lane(other)["holder"]))
            fake.hold()
            expected.append(f"plug {number}")
            holder.client.send(expected[-1])
            fake.await_held()
            before = known(redis_server)
            names = [f"alert {number}.{n}" for n in range(3)]
            for name in names:
                other.client.send(name)
            until(partial(three_more, redis_server, before))
            other.configure(config)
            other.reload()
            other.wait_for("reloaded", nth=2 * number + 2)
            if config != removed:
                expected += names
            until(partial(none_left, redis_server, before))
            fake.release()
            until(all_arrived(fake, expected))
            until(lambda: all(map(settled, found)))
            assert Counter(fake.titles()) == Counter(expected)


def known(engine: RedisServer) -> set[str]:
    """The ids of all that waits at the engine."""
    keys = [key for key in engine.command("KEYS", "tocsin:*:at").split() if "scope" not in key]
    return {id_ for key in keys for id_ in engine.command("HKEYS", key).split()}


def three_more(engine: RedisServer, before: set[str]) -> bool:
    return len(known(engine) - before) == 3


def none_left(engine: RedisServer, before: set[str]) -> bool:
    """Whether nothing that came since then is for the destination "d"."""
    return not any(id_.endswith("/d") for id_ in known(engine) - before)
