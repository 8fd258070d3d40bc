"""Real limits, real time, real sockets and the real daemon: the one test that takes as long as Discord does.

The floor of 400 LOW signals in one burst: 40 full messages, of which the channel takes 30 in 60 s, and the webhook 5 in 2 s. So ten
wait until the first are a minute old. The daemon reaches it although it reserves 4 of the 30, because the urgent messages that use
the reserve carry nine LOW signals each.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.e2e.assertions import all_delivered, arrived, copies_in
from tests.harness import DaemonProcess, FakeProcess, route

from tocsin.signals import Signal

LOWS, FULL = 400, 10  # signals, and signals in a full message
WEBHOOK, CHANNEL = (5, 2.0), (30, 60.0)  # requests in seconds: the default limits of the fake
FLOOR = CHANNEL[1] + ((LOWS // FULL - CHANNEL[0]) - 1) // WEBHOOK[0] * WEBHOOK[1]  # seconds
FIRST, EVERY = 3.0, 15.0  # seconds until the first urgent signal, and between two: four a minute


def send_urgent_ones(daemon: DaemonProcess, last: str) -> dict[str, float]:
    """Send urgent signals until the last of the burst is settled; returns the time of each hand-off by id."""
    handed_off: dict[str, float] = {}
    pause = FIRST
    while daemon.client.request("wait", id=last, seconds=pause)["state"] == "queued":
        signal, pause = Signal(f"urgent {len(handed_off)}", priority="urgent"), EVERY
        handed_off[signal.id] = time.time()
        daemon.client.send(signal)
    return handed_off


@pytest.mark.slow
def test_low_burst_takes_floor_time_and_urgent_signal_overtakes_it(tmp_path: Path) -> None:
    with FakeProcess() as fake:
        config = f'[destinations.d]\nkind = "discord"\nwebhook = "{fake.webhooks[0]["url"]}"\nlimit = "30/min"\n'
        with DaemonProcess(tmp_path, config + route("d")).start() as daemon:
            burst = [Signal(f"low {number}", priority="low") for number in range(LOWS)]
            began = time.time()
            daemon.client.send_many(burst)
            urgent = send_urgent_ones(daemon, burst[-1].id)
            assert all_delivered(daemon, [*urgent, *(signal.id for signal in burst)])
        counts, messages, copies = fake.counts(), fake.messages(), arrived(fake)
    came = {copy.id: message["at"] for message in messages for copy in copies_in(message)}
    waits = [came[id_] - at for id_, at in urgent.items()]
    took = max(came[signal.id] for signal in burst) - began
    print(f"{len(messages)} messages in {took:.1f} s, floor {FLOOR:.0f} s; urgent after {[round(w, 2) for w in waits]}")
    assert (counts["limited"], counts["by_status"]) == ({}, {"200": counts["requests"]})
    assert [copy.id for copy in copies if copy.priority == "low"] == [signal.id for signal in burst]
    assert [copy.id for copy in copies if copy.priority == "urgent"] == list(urgent)
    assert len(urgent) >= 4
    assert max(waits) < EVERY  # the reserve serves them; without it they wait for the channel's next minute
    assert took < 2 * CHANNEL[1]  # two windows of the channel, and no third
