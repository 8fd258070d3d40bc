"""The commands of docs/how-to/living-messages.md, against a fake Discord."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.docs.blocks import Shell, blocks, matches, steps
from tests.harness import DaemonProcess, FakeProcess, discord, route, until

DOCUMENT = "how-to/living-messages.md"


def test_living_messages_page_prints_what_it_shows(tmp_path: Path, fake: FakeProcess) -> None:
    (script,) = [block.text for block in blocks(DOCUMENT) if block.language == "python"]
    with DaemonProcess(tmp_path, discord("d", fake.webhooks[0]["url"]) + route("d")).start() as daemon:
        path = f"{Path(sys.executable).parent}:{daemon.env['PATH']}"
        with Shell(tmp_path, {**daemon.env, "PATH": path}) as shell:
            (first, _), *rest = steps(DOCUMENT)
            assert shell.run(first)[0] == 0
            assert shell.run(f"python - <<'end'\n{script}end")[0] == 0
            until(lambda: daemon.status()["queue"]["depth"] == 0)
            (message,) = fake.messages()
            assert [each.title for each in fake.alerts()] == ["BTCUSDT closed"]
            lines = message["payload"]["embeds"][0]["fields"][-1]["value"].split("\n")
            assert [line.split("> ", 1)[1] for line in lines] == [
                "BTCUSDT filled · 64,010",
                "BTCUSDT opened · 64,000.5",
            ]
            for typed, shown in rest:
                code, said = shell.run(typed)
                assert (code, shown is None or matches(shown, said)) == (0, True), said
    assert fake.titles() == [
        "BTCUSDT audited",
        "BTCUSDT stopped out",
    ]
