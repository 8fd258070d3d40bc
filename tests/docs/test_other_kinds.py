"""The pages of the kinds in docs/how-to, typed against the fakes of their services."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.docs.blocks import Shell, blocks, steps
from tests.harness import DaemonProcess, FakeProcess, ServiceProcess, service_process

from tocsind.testing.kinds.ntfy import TOKEN, TOPIC

FILE = '[destinations.local-file]\nkind = "file"\npath = "alerts.jsonl"\n'


def _ntfy(config: str, service: ServiceProcess) -> str:
    """The server of the page's own, with a token."""
    own = f'server = "{service.destination["server"]}"'
    return (
        config.replace('# server = "https://ntfy.example.com"', own).replace("# token", "token")
        + FILE
        + '[[routes]]\nto = ["signals-premium"]\n'
    )


def _webhook(config: str, service: ServiceProcess) -> str:
    return config + FILE + '[[routes]]\nto = ["bot"]\n'


def _email(config: str, service: ServiceProcess) -> str:
    """The page's own, with the relay on this machine."""
    config = config.replace('"alerts@example.com"', json.dumps(service.destination["username"]))
    config = config.replace('"smtp.example.com:587"', f'{json.dumps(service.destination["smarthost"])}\ntls = "none"')
    return config + FILE + '[[routes]]\nto = ["signals-premium"]\n'


def _exec(config: str, service: ServiceProcess) -> str:
    """The page's own, with another command."""
    command = json.dumps(service.destination["command"])
    return config.replace('["/usr/local/bin/siren", "--loud"]', command) + FILE + '[[routes]]\nto = ["siren"]\n'


def _apprise(config: str, _: ServiceProcess) -> str:
    return config + FILE + '[[routes]]\nto = ["pager"]\n'


@pytest.mark.parametrize(
    ("page", "adapted"),
    [("ntfy", _ntfy), ("webhook", _webhook), ("email", _email), ("exec", _exec), ("apprise", _apprise)],
)
def test_commands_of_page_send_to_the_service(
    tmp_path: Path, fake: FakeProcess, page: str, adapted: Callable[[str, ServiceProcess], str]
) -> None:
    document = f"how-to/{page}.md"
    (config,) = [block.text for block in blocks(document) if block.language == "toml"]
    with service_process(page) as service:
        environment = {
            "NTFY_TOPIC": TOPIC,
            "NTFY_TOKEN": TOKEN,
            "SMTP_PASSWORD": service.environment.get("FAKE_EMAIL_PASSWORD", ""),
            "SIREN_KEY": "a-key-of-the-siren",
            "APPRISE_URL": service.environment.get("FAKE_APPRISE_URL", ""),
            "BOT_URL": service.environment.get("FAKE_WEBHOOK_URL", ""),
            "BOT_SECRET": service.environment.get("FAKE_WEBHOOK_SECRET", ""),
            "DISCORD_WEBHOOK_SIGNALS_PREMIUM": fake.webhooks[0]["url"],
        }
        with DaemonProcess(tmp_path, adapted(config, service), environment).start() as daemon:
            env = {**daemon.env, "PATH": f"{Path(sys.executable).parent}:{daemon.env['PATH']}"}
            with Shell(daemon.folder, env | {"TOCSIN_CONFIG": str(daemon.config)}) as shell:
                for command, _ in steps(document):
                    code, said = shell.run(command)
                    assert code == 0, f"{command}\n{said}"
            assert len(service.control("GET", "log")["messages"]) == 1
