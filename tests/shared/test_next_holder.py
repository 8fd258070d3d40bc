"""The next holder learns of attempts of the last one: their outcome, their kind, and the deliveries of a digest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.harness import DaemonProcess, FakeProcess, discord, route, until
from tests.shared.conftest import RedisServer
from tests.shared.test_hosts import all_arrived, hosts, settled
from tests.shared.test_in_flight import SLOW, handed_over, in_flight, one_of, pair

from tocsin.signals import Signal

SLOW_RETRY = {**SLOW, "retry": '{ first = "10m", most = "10m" }'}
PACED = {"channel-limit": '"1/1s"', "webhook-limit": '"1/1s"', "deadline": '"2m"'}
DIGESTS = {**PACED, "digest": '{ normal = "1s" }'}  # of ten deliveries that wait, none is merged; of 60, most are


def test_next_holder_marks_what_may_have_arrived_before_it_had_the_lease(
    tmp_path: Path, fake: FakeProcess, redis_server: RedisServer
) -> None:
    with hosts(tmp_path, fake, redis_server, 2, limits=SLOW_RETRY) as found:
        holder, other = pair(found)
        fake.script({"behaviour": "drop", "saved": True})
        id_ = other.client.send("answer lost").id
        until(lambda: handed_over(redis_server, id_) and bool(fake.titles()))
        until(lambda: "unknown" in str(holder.client.why(id_)["deliveries"]))
        holder.kill()
        assert other.settled(id_) == ["delivered"]
        assert one_of(other, id_)["possible_duplicate"]
        until(lambda: fake.titles().count("answer lost") == 2)
        assert [alert.doubt for alert in fake.alerts()] == [False, True]


def test_edit_in_flight_is_not_taken_back(tmp_path: Path, fake: FakeProcess, redis_server: RedisServer) -> None:
    with hosts(tmp_path, fake, redis_server, 2, limits=SLOW) as found:
        _, other = pair(found)
        assert other.settled(other.client.send("state 0", key="k").id) == ["delivered"]
        id_ = in_flight(fake, other, "state 1", key="k")
        assert other.client.request("drop", id=id_)["deliveries"] == 0
        fake.release()
        assert other.settled(id_) == ["delivered"]
        (message,) = fake.messages()
        assert message["payload"]["embeds"][0]["title"].startswith("state 1")
        until(lambda: all(map(settled, found)))


@contextmanager
def with_digest(
    folder: Path, fake: FakeProcess, engine: RedisServer
) -> Iterator[tuple[list[DaemonProcess], Mapping[str, str]]]:
    """Two hosts. The one that sends makes a digest of most of what the other accepted, whose signals have these titles, by id. Until
    `fake.release` nothing leaves. The other host, when it sends, makes no digests.
    """
    with hosts(folder, fake, engine, 2, limits=DIGESTS) as found:
        holder, other = pair(found)
        other.configure(
            f'[shared]\nurl = "{engine.url}"\n' + discord("d", fake.webhooks[0]["url"], **PACED) + route("d")
        )
        other.reload()
        other.wait_for("reloaded")
        fake.hold()
        holder.client.send("plug", priority="urgent")
        fake.await_held()
        titles = [f"signal {n}" for n in range(60)]
        receipts = other.client.send_many([Signal(title) for title in titles])
        ids = {receipt.id: title for receipt, title in zip(receipts, titles, strict=True)}
        until(lambda: all(handed_over(engine, id_) for id_ in ids))
        holder.wait_for("digested")
        yield [holder, other], ids


def digested(host: DaemonProcess) -> list[str]:
    """The ids of signals that a digest replaced."""
    rows: list[dict[str, str]] = host.client.request("queue", state="digested", limit=1000)["deliveries"]
    return [row["id"] for row in rows]


def test_next_holder_marks_what_was_in_a_digest_in_flight(
    tmp_path: Path, fake: FakeProcess, redis_server: RedisServer
) -> None:
    with with_digest(tmp_path, fake, redis_server) as ((holder, other), ids):
        members = digested(holder)
        fake.script({"behaviour": "normal", "count": 1}, {"behaviour": "slow", "delay": 100})
        fake.release()
        until(lambda: any("in one digest" in title for title in fake.titles()))
        assert other.client.request("drop", id=members[0])["deliveries"] == 0
        holder.kill()
        until(all_arrived(fake, list(ids.values())), 90)
        marked = {alert.title for alert in fake.alerts() if alert.doubt}
        assert marked >= {ids[id_] for id_ in members}, "and what shared its message"
        until(lambda: settled(other))


def test_digest_leaves_out_dropped_alerts_of_another_host(
    tmp_path: Path, fake: FakeProcess, redis_server: RedisServer
) -> None:
    with with_digest(tmp_path, fake, redis_server) as ((holder, other), ids):
        dropped = digested(holder)[0]
        assert other.client.request("drop", id=dropped)["deliveries"] == 1
        fake.release()
        until(lambda: settled(other) and settled(holder), 90)
        assert one_of(other, dropped)["state"] == "dropped"
        states = Counter(one_of(other, id_)["state"] for id_ in ids)
        assert states == {"sent": len(ids) - 1, "dropped": 1}
        counts = [int(title.split()[0]) for title in fake.titles() if "in one digest" in title]
        singles = set(fake.titles()) & set(ids.values())
        assert len(singles) + sum(counts) == len(ids) - 1


def test_alert_that_died_at_another_host_is_sent_when_its_operator_retries_it(
    tmp_path: Path, fake: FakeProcess, redis_server: RedisServer
) -> None:
    with hosts(tmp_path, fake, redis_server, 2, limits=SLOW) as found:
        _, other = pair(found)
        fake.script({"behaviour": "status", "status": 400, "code": 50006})
        id_ = other.client.send("refused once").id
        assert other.settled(id_) == ["dead"]
        assert other.client.request("retry", id=id_)["deliveries"] == 1
        assert other.settled(id_) == ["delivered"]
        assert fake.titles().count("refused once") == 1
