"""docs/how-to/migrate.md: every example runs, and the two versions of the strategy differ in imports only."""

from __future__ import annotations

import difflib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.harness import PATIENCE, DaemonProcess, end_daemon, file, route, until

TEXT = (Path(__file__).parents[2] / "docs" / "how-to" / "migrate.md").read_text()


def blocks(chapter: int, language: str) -> list[str]:
    """The code of a chapter."""
    found: list[str] = re.findall(rf"```{language}\n(.*?)```", TEXT.split("\n## ")[chapter], re.DOTALL)
    return found


@pytest.fixture
def host(tmp_path: Path) -> Iterator[DaemonProcess]:
    """A machine without a running daemon."""
    with DaemonProcess(tmp_path, file() + route("local-file")) as process:
        process.env["TOCSIN_SPOOL"] = str(process.spool)
        process.env["PATH"] = f"{Path(sys.executable).parent}:{process.env['PATH']}"
        yield process
        end_daemon(process.state)


def run(host: DaemonProcess, *words: str) -> str:
    """The output of a command of the page."""
    done = subprocess.run(
        words,
        env=host.env,
        cwd=host.folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def arrived(host: DaemonProcess) -> list[dict[str, Any]]:
    """The signals in the file, once there is one."""
    path = host.state / "alerts.jsonl"
    until(lambda: path.exists() and path.read_text().endswith("\n"))
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_migrated_strategy_changes_only_imports() -> None:
    before, after = (block.splitlines() for block in blocks(2, "python"))
    changed = [line for line in difflib.ndiff(before, after) if line[:2] in {"- ", "+ "}]
    assert len(changed) == 4
    assert all(re.match(r"[-+] from \S+ import", line) for line in changed)


def test_migrated_strategy_starts_daemon_that_delivers_and_stops(host: DaemonProcess) -> None:
    assert run(host, sys.executable, "-c", blocks(2, "python")[1]) == "True\n"
    [alert] = arrived(host)
    assert (alert["title"], alert["priority"], alert["tier"], alert["price"]) == (
        "BUY BTCUSDT",
        "high",
        "premium",
        64000.5,
    )
    assert alert["fields"]["rsi"] == 33
    check, end = blocks(1, "sh")
    assert "local-file" in run(host, "sh", "-c", check)
    run(host, "sh", "-c", end)
    until(lambda: " stopped " in (host.state / "daemon.log").read_text())


def test_autostart_starts_daemon_at_send(host: DaemonProcess) -> None:
    host.configure(blocks(1, "toml")[0] + file() + route("local-file"))
    run(host, sys.executable, "-c", blocks(3, "python")[1])
    [alert] = arrived(host)
    assert (alert["title"], alert["tier"]) == ("BUY BTCUSDT", "premium")
    run(host, "sh", "-c", blocks(1, "sh")[1])
    until(lambda: " stopped " in (host.state / "daemon.log").read_text())


def test_message_of_old_code_is_the_payload(host: DaemonProcess) -> None:
    host.start()
    run(host, sys.executable, "-c", blocks(3, "python")[2])
    [alert] = arrived(host)
    assert (alert["title"], alert["tier"]) == ("BUY BTCUSDT at 64000.5", "premium")
    assert host.client.why(alert["id"])["signal"]["payload"]["embeds"] == [{"title": "RSI", "description": "33"}]


def test_client_webhook_is_used_only_where_permitted(host: DaemonProcess) -> None:
    script = blocks(3, "python")[3]
    host.start()
    assert "alerts go by the routes: write `client-webhooks = true` under [daemon]" in run(
        host, sys.executable, "-c", script
    )
    host.stop()
    host.configure("[daemon]\nclient-webhooks = true\n" + file() + route("local-file"))
    host.start()
    assert run(host, sys.executable, "-c", script) == ""
    [row] = host.client.request("queue")["deliveries"]
    assert row["destination"].startswith("client-")


IN_CONTEXT = {
    "sync": "main()",
    "asyncio": "async def run():\n    main()\nimport asyncio\nasyncio.run(run())",
    "trio": "async def run():\n    main()\nimport trio\ntrio.run(run)",
    "threads": "import threading\none = threading.Thread(target=main)\none.start()\none.join()",
}


@pytest.mark.parametrize("context", IN_CONTEXT)
def test_subclass_of_the_aggregator_alerts_in_every_context(host: DaemonProcess, context: str) -> None:
    host.start()
    definitions, _, use = blocks(5, "python")[0].partition("\nconfig = ")
    indented = "".join(f"    {line}\n" for line in f"config = {use}".splitlines())
    done = subprocess.run(
        [sys.executable, "-c", f"{definitions}\ndef main():\n{indented}\n{IN_CONTEXT[context]}"],
        env=host.env,
        cwd=host.folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "['BTCUSDT']\n")
    assert done.stderr == blocks(5, "text")[0]
    [alert] = arrived(host)
    assert (alert["title"], alert["confidence"], alert["priority"]) == ("BUY BTCUSDT", 0.93, "urgent")


def test_health_and_metrics_example_prints_values(host: DaemonProcess) -> None:
    host.start()
    assert run(host, sys.executable, "-c", blocks(4, "python")[0]) == "healthy ok closed True\n0 0 0\n"
