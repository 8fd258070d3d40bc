"""Several webhooks, one channel, one limit that no header shows. Windows are a twentieth of the real ones: 30 in 3 s, 5 in 0.1 s."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.assertions import all_delivered, arrived, copies_in, until
from tests.harness import DaemonProcess, FakeProcess, discord, route

from tocsin.signals import Signal

SCALE = "0.05"
LIMITS = {"channel-limit": '"30/3s"', "webhook-limit": '"5/100ms"'}  # the limits of the fake, so scaled
MANY = 200  # for each destination: together more messages than one window allows


@pytest.fixture
def two() -> Iterator[FakeProcess]:
    """Two webhooks of one channel."""
    with FakeProcess("--limits", SCALE, "--webhooks", "2", "--channels", "1") as running:
        yield running


def lanes(fake: FakeProcess) -> str:
    """A destination for each."""
    a, b = (discord(name, hook["url"], **LIMITS) for name, hook in zip("ab", fake.webhooks, strict=True))
    return a + b + route("a")


def signals(to: str, count: int = MANY) -> list[Signal]:
    """`count` signals for one destination."""
    return [Signal(f"{to} {number}", priority="low", to=to) for number in range(count)]


@pytest.mark.slow
def test_destinations_of_one_channel_share_its_limit_without_429(tmp_path: Path, two: FakeProcess) -> None:
    with DaemonProcess(tmp_path, lanes(two)).start() as daemon:
        for_a, for_b = signals("a"), signals("b")
        daemon.client.send_many([signal for pair in zip(for_a, for_b, strict=True) for signal in pair])
        assert all_delivered(daemon, (signal.id for signal in (*for_a, *for_b)))
        channels = [daemon.destination(name)["limits"]["channel"] for name in "ab"]
    counts, messages = two.counts(), two.messages()
    assert channels == [f"channel:discord:{two.webhooks[0]['channel_id']}"] * 2
    assert (counts["limited"], counts["by_status"]) == ({}, {"200": counts["requests"]})
    assert counts["most_in_flight"] == {two.webhooks[0]["channel_id"]: 1}
    for hook, mine in zip(two.webhooks, (for_a, for_b), strict=True):
        assert [copy.id for copy in arrived(two, hook["id"])] == [signal.id for signal in mine]
    halfway = Counter(message["webhook_id"] for message in messages[: len(messages) // 2])
    assert all(share >= len(messages) // 2 * 0.4 for share in halfway.values())
    assert len(halfway) == 2


@pytest.mark.slow
def test_urgent_signal_overtakes_queue_of_other_destination_in_channel(tmp_path: Path, two: FakeProcess) -> None:
    with DaemonProcess(tmp_path, lanes(two)).start() as daemon:
        many = signals("a", 2 * MANY)
        daemon.client.send_many(many)
        until(two, lambda counts: counts["accepted"] >= 26)  # all but the reserve is used up
        urgent = daemon.client.send("urgent", priority="urgent", to="b").id
        assert all_delivered(daemon, [urgent])
        before = len(two.messages())
        assert all_delivered(daemon, (signal.id for signal in many))
    place = next(n for n, message in enumerate(two.messages()) if urgent in {copy.id for copy in copies_in(message)})
    assert place <= before < 2 * MANY / 10
    assert two.counts()["limited"] == {}


def test_shared_429_limits_both_destinations_also_after_kill(tmp_path: Path, two: FakeProcess) -> None:
    two.script({"behaviour": "rate_limited", "scope": "shared", "retry_after": 30})
    with DaemonProcess(tmp_path, lanes(two)).start() as daemon:
        daemon.client.send("to a", to="a")
        reason = daemon.wait_for("rate-limited", destination="a")["reason"]
        daemon.client.send("to b", to="b", priority="urgent")
        before = [(lane["condition"], lane["reason"]) for lane in map(daemon.destination, "ab")]
        daemon.kill()
        daemon.start()
        after = [(lane["condition"], lane["reason"]) for lane in map(daemon.destination, "ab")]
    assert before == after == [("limited", reason)] * 2
    assert two.counts()["posts"] == 1
