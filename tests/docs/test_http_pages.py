"""The pages about the HTTP intake: their commands run against a daemon, and what they show of other programs is what those read."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.docs.blocks import Shell, blocks, matches, steps
from tests.harness import DaemonProcess, FakeProcess, need, until
from tests.http_client import address, ask

PAGES = ("discord-api", "alertmanager", "uptime-kuma", "freqtrade")
LONGEST = 62  # lines of a page: a screen
TOKEN = "0123456789abcdef"


def config() -> str:
    """The configuration of the first page, and a route for signals."""
    (text,) = (block.text for block in blocks("how-to/discord-api.md") if block.language == "toml")
    wide = '"100000/s"'
    limits = f"limit = {wide}\nchannel-limit = {wide}\nwebhook-limit = {wide}\n"
    return f'{text.replace(":9464", ":0")}{limits}[[routes]]\nto = ["alerts"]\n'


@pytest.fixture
def daemon(tmp_path: Path, fake: FakeProcess) -> Iterator[DaemonProcess]:
    (tmp_path / "http.token").write_text(TOKEN)
    (tmp_path / "http.token").chmod(0o600)
    with DaemonProcess(tmp_path, config(), {"DISCORD_WEBHOOK_ALERTS": fake.webhooks[0]["url"]}) as made:
        made.env["PATH"] = f"{Path(sys.executable).parent}:{made.env['PATH']}"
        yield made.start()


def run_steps(page: str, daemon: DaemonProcess, folder: Path) -> None:
    need("curl")
    need("jq")
    port = address(daemon)[1]
    with Shell(folder, daemon.env) as shell:
        for typed, shown in steps(page):
            if "urandom" in typed:
                continue  # the daemon reads the token at its start
            code, said = shell.run(typed.replace(":9464", f":{port}"))
            assert code == 0, f"{typed}\n{said}"
            assert shown is None or matches(shown, said), f"{typed}\nshould say\n{shown}\nand says\n{said}"


@pytest.mark.parametrize("page", PAGES)
def test_http_page_prints_what_it_shows(page: str, daemon: DaemonProcess, tmp_path: Path, fake: FakeProcess) -> None:
    run_steps(f"how-to/{page}.md", daemon, tmp_path)
    until(lambda: len(fake.messages()) > 0)


def test_http_reference_prints_what_it_shows(daemon: DaemonProcess, tmp_path: Path) -> None:
    run_steps("reference/http.md", daemon, tmp_path)


@pytest.mark.parametrize("page", [*PAGES, "grafana"])
def test_http_page_fits_a_screen(page: str) -> None:
    text = (Path(__file__).parents[2] / "docs" / "how-to" / f"{page}.md").read_text()
    assert text.count("\n") <= LONGEST


def test_urls_in_configurations_of_other_programs_are_answered(daemon: DaemonProcess) -> None:
    """Grafana's two contact points, Alertmanager's receiver, and both of freqtrade."""
    first, second = (yaml.safe_load(block.text) for block in blocks("how-to/grafana.md") if block.language == "yaml")
    points = [point["receivers"][0] for made in (first, second) for point in made["contactPoints"]]
    assert [point["type"] for point in points] == ["webhook", "discord"]
    (alertmanager,) = (block.text for block in blocks("how-to/alertmanager.md") if block.language == "yaml")
    receiver = yaml.safe_load(alertmanager)["receivers"][0]["webhook_configs"][0]
    discord, webhook = (json.loads(block.text) for block in blocks("how-to/freqtrade.md") if block.language == "json")
    bodies = {
        points[0]["settings"]["url"]: {"alerts": []},
        points[1]["settings"]["url"]: {"content": "x"},
        receiver["url"]: {"alerts": []},
        discord["discord"]["webhook_url"]: {"content": "x"},
        webhook["webhook"]["url"]: webhook["webhook"]["entry_fill"],
    }
    for url, body in bodies.items():
        path = url.removeprefix("http://127.0.0.1:9464").replace("$TOCSIN_TOKEN", TOKEN).replace("TOKEN", TOKEN)
        assert ask(daemon, "POST", path, body, Authorization=f"Bearer {TOKEN}").status in {200, 204}, url
