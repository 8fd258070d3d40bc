"""A service that recognizes what it has seen: a request that a crash interrupted is repeated, without a copy and without a mark."""

from __future__ import annotations

from pathlib import Path

import pytest
import tomli_w
from tests.harness import DaemonProcess, ServiceProcess, service_process, until


def messages(service: ServiceProcess) -> list[dict[str, object]]:
    found: list[dict[str, object]] = service.control("GET", "log")["messages"]
    return found


@pytest.mark.parametrize("kind", ["webhook", "ntfy"])
def test_kill_between_saving_and_answer_leaves_one_unmarked_message(tmp_path: Path, kind: str) -> None:
    with service_process(kind) as service:
        config = tomli_w.dumps({"destinations": {"d": service.destination}, "routes": [{"to": ["d"]}]})
        daemon = DaemonProcess(tmp_path, config, service.environment)
        with daemon.start():
            daemon.settled(daemon.client.send("before").id)  # ntfy's answer shows that it knows sequence ids
            service.control("POST", "script", {"behaviour": "slow", "delay": 30})
            id_ = daemon.client.send("interrupted").id
            until(lambda: len(messages(service)) == 2)
            daemon.process.kill()
            daemon.process.wait()
        with daemon.start():
            assert daemon.settled(id_) == ["delivered"]
            (delivery,) = daemon.client.why(id_)["deliveries"]
    assert [attempt["outcome"] for attempt in delivery["attempts"]] == ["unknown", "delivered"]
    assert not delivery["possible_duplicate"]


def test_message_of_a_repeated_request_is_shown_once(tmp_path: Path) -> None:
    with service_process("webhook") as service:
        config = tomli_w.dumps({"destinations": {"d": service.destination}, "routes": [{"to": ["d"]}]})
        with DaemonProcess(tmp_path, config, service.environment).start() as daemon:
            service.control("POST", "script", {"behaviour": "drop", "saved": True})
            assert daemon.settled(daemon.client.send("once").id) == ["delivered"]
        (message,) = messages(service)
    assert (message["title"], message["copies"]) == ("once", 1)
    assert "possible_duplicate" not in str(message["body"])
