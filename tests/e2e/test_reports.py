"""Reports of the daemon: expired signals, all-clears, and both by a route that works."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.assertions import all_delivered, arrived, delivery, written
from tests.harness import DaemonProcess, FakeProcess, discord, file, route

RETRY = '{ first = "50ms", most = "200ms" }'
BREAKER = '{ failures = 3, rest = "200ms", most = "500ms" }'
DEFAULT = Path(__file__).parents[2] / "alerts.toml"
VARIABLES = ("SIGNALS_FREE", "SIGNALS_PREMIUM", "ALERTS_CRITICAL", "ALERTS_GENERAL")


def titles(fake: FakeProcess, number: int) -> list[str]:
    """The titles that arrived at one webhook."""
    return [copy.title for copy in arrived(fake, fake.webhooks[number]["id"])]


def test_missed_signals_are_reported_and_the_alarm_is_cleared_when_the_outage_ends(tmp_path: Path, port: int) -> None:
    with FakeProcess("--limits", "none", "--port", str(port)) as fake:
        options = {"retry": RETRY, "breaker": BREAKER}
        config = discord("d", fake.webhooks[0]["url"], **options) + file() + route("d") + '[alarms]\nbreaker = "1s"\n'
    with DaemonProcess(tmp_path, config).start() as daemon:
        missed = [daemon.client.send(f"BUY {n}", priority="urgent", expires=1).id for n in range(2)]
        assert daemon.settled(*missed) == ["dropped", "dropped"]
        alarm = daemon.wait_for("alarm-raised", condition="breaker", about="d")
        assert alarm["route"] == "local-file"
        lane = daemon.destination("d")
        assert (lane["expired"], lane["unreported"]) == (2, 2)
        daemon.kill()
        daemon.start()
        with FakeProcess("--limits", "none", "--port", str(port)) as back:
            report = daemon.wait_for("loss-reported", destination="d")
            assert (report["state"], report["signals"], report["route"]) == ("expired", 2, "d")
            clear = daemon.wait_for("all-clear", condition="breaker", about="d")
            assert clear["route"] == "d", "the alarm went to a file only, and d works again"
            assert all_delivered(daemon, [report["id"], clear["id"]])
            (message,) = [each for each in back.alerts() if "missed" in each.title]
            assert "Alerts reach d again: it is no longer failing" in back.titles()
        assert message.title == "2 signals missed by d: expired"
        assert all(id_ in message.embed["description"] for id_ in missed)
        assert daemon.destination("d")["unreported"] == 0
        titles_in_file = [copy.title for copy in written(daemon.state / "alerts.jsonl")]
    assert next(title for title in titles_in_file if "failing" in title).startswith("No alerts reach d: failing for")


def test_default_configuration_uses_other_channels_before_file(tmp_path: Path) -> None:
    with FakeProcess("--limits", "none", "--webhooks", "4") as fake:
        env = {f"DISCORD_WEBHOOK_{name}": hook["url"] for name, hook in zip(VARIABLES, fake.webhooks, strict=True)}
        with DaemonProcess(tmp_path, DEFAULT.read_text(), env).start() as daemon:
            fake.control("POST", "delete", {"webhook": fake.webhooks[1]["id"]})
            urgent = daemon.client.send("premium", priority="urgent", tier="premium").id
            assert all_delivered(daemon, [urgent])
            alarm = daemon.wait_for("alarm-raised", condition="disabled", about="signals-premium")
            assert all_delivered(daemon, [alarm["id"]])
            assert delivery(daemon, urgent, "alerts-critical")["state"] == "sent"
            assert alarm["route"] == "alerts-critical"
            assert not (daemon.state / "alerts.jsonl").exists()
        assert sorted(titles(fake, 2)) == ["No alerts reach signals-premium: it is disabled", "premium"]


def test_fresh_machine_without_any_webhook_delivers_to_the_file_in_one_step(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, DEFAULT.read_text()).start() as daemon:
        id_ = daemon.client.send("premium", priority="urgent", tier="premium").id
        assert all_delivered(daemon, [id_])
        assert {each["destination"] for each in daemon.client.why(id_)["deliveries"]} == {
            "signals-premium",
            "local-file",
        }
