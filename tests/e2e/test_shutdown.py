"""A message with several signals fails: the outcome of each, its reason in `why`, and no effect on other lanes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.e2e.assertions import all_delivered, arrived, attempts, by_id, copies_in, delivery
from tests.harness import DaemonProcess, FakeProcess, discord, route

from tocsin.signals import PRIORITIES, Signal

RETRY = '{ first = "10ms", most = "10ms" }'
FULL = 10  # signals in a message


class Ending(NamedTuple):
    """The behaviour for the first message, the outcome of its attempt, and the marks of the copies of a LOW signal and of any other."""

    fault: dict[str, Any]
    attempt: tuple[str, str]
    low: tuple[bool, ...]
    others: tuple[bool, ...]


DISCONNECTED = "the connection ended without a proper answer: it may have arrived"
UNPROVED = "200 from Discord without a message id: it may have arrived"
TABLE = {
    "a 5xx before anything is saved": Ending(
        {"behaviour": "status", "status": 502, "html": True},
        ("deferred", "502 from Discord: it may have arrived"),
        (True,),
        (True,),
    ),
    "a 5xx after all is saved": Ending(
        {"behaviour": "status", "status": 500, "saved": True},
        ("deferred", "500 from Discord: it may have arrived"),
        (False, True),
        (False, True),
    ),
    "a connection cut before processing": Ending({"behaviour": "drop"}, ("unknown", DISCONNECTED), (), (True,)),
    "a connection cut after processing": Ending(
        {"behaviour": "drop", "saved": True}, ("unknown", DISCONNECTED), (False,), (False, True)
    ),
    "an answer cut in the middle": Ending({"behaviour": "cut"}, ("unknown", UNPROVED), (False,), (False, True)),
}


def lanes(fake: FakeProcess, **options: str) -> str:
    """The failing lane, and another."""
    first, second = (hook["url"] for hook in fake.webhooks)
    return discord("d", first, retry=RETRY, **options) + discord("other", second) + route("d")


def send_together(daemon: DaemonProcess, fake: FakeProcess, signals: list[Signal], *script: dict[str, Any]) -> None:
    """Queue signals while their destination has no webhook, then configure it, so that they share a message."""
    daemon.configure(lanes(fake).replace(f'"{fake.webhooks[0]["url"]}"', '{ env = "NOT_SET" }'))
    daemon.start()
    daemon.client.send_many(signals)
    fake.script(*({"webhook": fake.webhooks[0]["id"], **line} for line in script))
    daemon.configure(lanes(fake))
    daemon.reload()
    daemon.wait_for("reloaded")
    assert all_delivered(daemon, [daemon.client.send("unconcerned", to="other").id])


@pytest.mark.parametrize("name", TABLE)
def test_failed_batch_settles_each_signal_as_the_table_says(tmp_path: Path, two: FakeProcess, name: str) -> None:
    ending = TABLE[name]
    signals = [Signal(f"signal {n}", priority=PRIORITIES[n % len(PRIORITIES)]) for n in range(8)]
    with DaemonProcess(tmp_path, lanes(two)) as daemon:
        send_together(daemon, two, signals, ending.fault)
        assert all_delivered(daemon, (signal.id for signal in signals))
        copies = by_id(arrived(two))
        for signal in signals:
            is_low = signal.priority == "low"
            assert tuple(copy.marked for copy in copies[signal.id]) == (ending.low if is_low else ending.others)
            settled = ending.attempt[0] == "unknown" and is_low
            assert attempts(daemon, signal.id) == [ending.attempt, *([] if settled else [("delivered", None)])]
            assert delivery(daemon, signal.id)["state"] == ("unknown" if settled else "sent")
            assert delivery(daemon, signal.id)["possible_duplicate"]
        why = daemon.tocsin("why", signals[0].id).stdout
        other = daemon.destination("other")
    assert f"attempt 1: {ending.attempt[0]}" in why
    assert ending.attempt[1] in why
    assert "attempt 2: delivered" in why
    assert (other["condition"], other["sent"], other["failed"], other["trips"]) == ("ready", 1, 0, 0)


@pytest.mark.parametrize("named", [True, False], ids=["named", "not named"])
def test_rejected_signal_among_ten_is_dead_and_nine_arrive(tmp_path: Path, two: FakeProcess, named: bool) -> None:
    signals = [Signal(f"signal {n}" if n != 6 else "poison", priority=PRIORITIES[n % 4]) for n in range(FULL)]
    with DaemonProcess(tmp_path, lanes(two)) as daemon:
        send_together(daemon, two, signals, {"behaviour": "poison", "text": "poison", "named": named})
        states = daemon.settled(*(signal.id for signal in signals))
        poisoned, other = delivery(daemon, signals[6].id), daemon.destination("other")
        story = attempts(daemon, signals[6].id)
        counts, copies = two.counts(), arrived(two, two.webhooks[0]["id"])
    assert states == ["dead" if n == 6 else "delivered" for n in range(FULL)]
    assert sorted(copy.title for copy in copies) == [f"signal {n}" for n in range(FULL) if n != 6]
    assert not any(copy.marked for copy in copies)  # a refusal is unambiguous
    assert poisoned["reason"].startswith("400 from Discord")
    assert ("This is refused." in poisoned["reason"]) is named
    assert [outcome for outcome, _ in story][-1] == "refused"
    assert counts["by_status"]["400"] <= (2 if named else 5)  # again in plain format; else halved until it is alone
    assert (other["condition"], other["sent"], other["failed"]) == ("ready", 1, 0)


def test_signal_with_rejected_format_is_repaired_and_all_ten_arrive(tmp_path: Path, two: FakeProcess) -> None:
    signals = [Signal(f"signal {n}", fields={"rsi": "poison" if n == 6 else 33}) for n in range(FULL)]
    with DaemonProcess(tmp_path, lanes(two)) as daemon:
        send_together(daemon, two, signals, {"behaviour": "poison", "text": "poison", "within": "fields"})
        assert all_delivered(daemon, (signal.id for signal in signals))
        story = attempts(daemon, signals[6].id)
        (repaired,) = [alert.embed for alert in two.alerts() if alert.title == "signal 6"]
        copies = [copy.id for message in two.messages() for copy in copies_in(message)]
    assert [outcome for outcome, _ in story] == ["deferred", "delivered"]
    assert all(copies.count(signal.id) == 1 for signal in signals)
    assert "fields" not in repaired
    assert "rsi: poison" in repaired["description"]


def test_open_breaker_does_not_affect_other_lane(tmp_path: Path, two: FakeProcess) -> None:
    breaker = '{ failures = 2, rest = "1h", most = "1h" }'
    with DaemonProcess(tmp_path, lanes(two, breaker=breaker)).start() as daemon:
        two.script({"behaviour": "status", "status": 503, "count": None, "webhook": two.webhooks[0]["id"]})
        daemon.client.send_many([Signal(f"signal {n}") for n in range(3 * FULL)])
        daemon.wait_for("breaker-opened", destination="d")
        ids = [daemon.client.send(f"unconcerned {n}", to="other").id for n in range(FULL)]
        assert all_delivered(daemon, ids)
        other = daemon.destination("other")
    assert [copy.id for copy in arrived(two, two.webhooks[1]["id"])] == ids
    assert (other["condition"], other["failed"], other["trips"]) == ("ready", 0, 0)
