"""Two services in different failure domains: Discord, and ntfy as its fallback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tomli_w
from tests.harness import DaemonProcess, FakeProcess, ServiceProcess, service_process, until

QUICK = {"retry": {"first": "100ms", "most": "300ms"}, "breaker": {"failures": 2, "rest": "300ms", "most": "300ms"}}


def configuration(*, webhooks: dict[str, str], phone: ServiceProcess, patience: str = "1s") -> str:
    """Discord destinations by name and URL; `phone` is their fallback."""
    discord = {
        name: {
            "kind": "discord",
            "webhook": {"env": f"HOOK_{name.upper()}"},
            "fallback": ["phone"],
            "patience": {"urgent": patience, "high": "never", "normal": "never"},
            **QUICK,
        }
        for name in webhooks
    }
    destinations: dict[str, Any] = {**discord, "phone": phone.destination}
    return tomli_w.dumps({"destinations": destinations, "routes": [{"to": list(webhooks)}]})


def titles(phone: ServiceProcess) -> list[str]:
    return [f"{each['title']}{each['text'].partition(chr(10))[0]}" for each in phone.control("GET", "log")["messages"]]


def texts(chat: ServiceProcess) -> list[str]:
    """Everything that a reader sees of each message; one may hold several alerts."""
    return [f"{each['title']}\n{each['text']}" for each in chat.control("GET", "log")["messages"]]


def test_urgent_signal_is_on_the_phone_within_its_patience_and_not_on_discord_later(tmp_path: Path, port: int) -> None:
    with service_process("ntfy") as phone:
        with FakeProcess("--limits", "none", "--port", str(port)) as earlier:
            url = earlier.webhooks[0]["url"]  # a later one at this port has the same
        config = configuration(webhooks={"signals": url}, phone=phone)
        with DaemonProcess(tmp_path, config, {"HOOK_SIGNALS": url, **phone.environment}).start() as daemon:
            urgent = daemon.client.send("disk full", priority="urgent").id
            normal = daemon.client.send("hourly report", priority="normal").id
            daemon.wait_for("sent", id=urgent, destination="phone")
            assert titles(phone) == ["🚨 disk full"]
            with FakeProcess("--limits", "none", "--port", str(port)) as discord:
                assert discord.webhooks[0]["url"] == url
                daemon.wait_for("sent", id=normal, destination="signals")
                daemon.settled(urgent)
                assert [embed["title"] for embed in discord.embeds()] == ["hourly report"]


def test_block_of_all_of_discord_leaves_another_service_alone(tmp_path: Path, two: FakeProcess) -> None:
    hooks = {"a": two.webhooks[0]["url"], "b": two.webhooks[1]["url"]}
    with service_process("ntfy") as phone:
        environment = {f"HOOK_{name.upper()}": url for name, url in hooks.items()} | phone.environment
        config = configuration(webhooks=hooks, phone=phone, patience="1h")
        two.script({"behaviour": "rate_limited", "scope": "cloudflare", "retry_after": 600, "count": None})
        with DaemonProcess(tmp_path, config, environment).start() as daemon:
            daemon.client.send("shut out", to="a")
            daemon.wait_for("rate-limited")
            until(lambda: daemon.destination("b")["condition"] == "limited")
            assert daemon.destination("phone")["condition"] == "ready"
            id_ = daemon.client.send("still here", to="phone").id
            assert daemon.settled(id_) == ["delivered"]
            assert "still here" in titles(phone)  # beside the daemon's own alarm about the block
            assert "shut out" not in titles(phone)


def test_block_of_all_of_discord_leaves_the_telegram_lane_alone_and_its_alarm_arrives_there(
    tmp_path: Path, two: FakeProcess
) -> None:
    hooks = {"a": two.webhooks[0]["url"], "b": two.webhooks[1]["url"]}
    with service_process("telegram") as chat:
        environment = {f"HOOK_{name.upper()}": url for name, url in hooks.items()} | chat.environment
        config = configuration(webhooks=hooks, phone=chat, patience="1h")
        two.script({"behaviour": "rate_limited", "scope": "cloudflare", "retry_after": 600, "count": None})
        with DaemonProcess(tmp_path, config, environment).start() as daemon:
            daemon.client.send("left behind", to="a")
            daemon.wait_for("rate-limited")
            until(lambda: daemon.destination("b")["condition"] == "limited")
            assert daemon.settled(daemon.client.send("still here", to="phone", priority="urgent").id) == ["delivered"]
            until(lambda: any("No alerts reach a: shut out for 10m" in text for text in texts(chat)))
            assert any("still here" in text for text in texts(chat))
            assert not any("left behind" in text for text in texts(chat))


def test_alarm_about_a_dead_discord_reaches_telegram(tmp_path: Path, fake: FakeProcess) -> None:
    url = fake.webhooks[0]["url"]
    with service_process("telegram") as chat:
        config = configuration(webhooks={"signals": url}, phone=chat)
        with DaemonProcess(tmp_path, config, {"HOOK_SIGNALS": url, **chat.environment}).start() as daemon:
            fake.control("POST", "delete", {"webhook": fake.webhooks[0]["id"]})
            id_ = daemon.client.send("disk full", priority="high").id
            assert daemon.settled(id_) == ["delivered"]
            daemon.wait_for("sent", id=id_, destination="phone")
            until(lambda: any("No alerts reach signals: it is disabled" in text for text in texts(chat)))
            assert any("disk full" in text for text in texts(chat))
            assert fake.messages() == []
