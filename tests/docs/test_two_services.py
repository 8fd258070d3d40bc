"""docs/how-to/two-services.md, typed against the fakes of both services."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.docs.blocks import Shell, matches, steps
from tests.harness import FakeProcess, service_process

from tocsind.testing.kinds.ntfy import TOPIC

PAGE = "how-to/two-services.md"


def test_commands_of_page_print_what_it_shows(tmp_path: Path, fake: FakeProcess) -> None:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("DISCORD_", "NTFY_", "XDG_"))}
    with service_process("ntfy") as phone:
        phone.control("POST", "set", {"is_open": True})
        env = {
            **clean,
            "PATH": f"{Path(sys.executable).parent}:{clean['PATH']}",
            "TOCSIN_SOCKET": str(tmp_path / "t.sock"),
            "TOCSIN_SPOOL": str(tmp_path / "state" / "spool"),
            "STATE_DIRECTORY": str(tmp_path / "state"),
            "DISCORD_WEBHOOK": fake.webhooks[0]["url"],
            "NTFY_TOPIC": TOPIC,
        }
        with Shell(tmp_path, env) as shell:
            for command, shown in steps(PAGE):
                typed = command.replace("--ntfy", f"--ntfy {phone.destination['server']}")
                code, said = shell.run(typed)
                assert code == 0, f"{typed}\n{said}"
                assert shown is None or matches(shown, said), f"{typed}\nshould say\n{shown}\nand says\n{said}"
        marked = f"Test from {os.uname().nodename}"
        assert fake.titles() == [marked]
        assert [marked in f"{each['title']}{each['text']}" for each in phone.control("GET", "log")["messages"]] == [
            True
        ]
