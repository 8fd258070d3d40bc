"""`make demo-hosts`: three daemons, one channel, a common engine; the daemon that sends is killed; then the verdict. Takes 20 s."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.harness import DaemonProcess, FakeProcess, until
from tests.shared.conftest import PROGRAM, RedisServer
from tests.shared.test_hosts import holder_of, hosts, send, settled

EACH = 200
FIRST = 100  # alerts that have arrived when the daemon is killed
UNAVAILABLE = 69


class Story:
    """Prints what happens, with seconds since the first alert."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def tell(self, text: str) -> None:
        print(f"{time.monotonic() - self._began:6.1f} s   {text}", flush=True)


def main() -> int:
    """Show it; 0 when nothing was lost, nothing came twice without a mark, and no request was refused."""
    if not shutil.which(PROGRAM):
        print(f"{PROGRAM} is not installed; on Debian: apt install redis-server", file=sys.stderr)
        return UNAVAILABLE
    with tempfile.TemporaryDirectory(prefix="tocsin-demo-") as name, FakeProcess("--limits", "0.05") as fake:
        engine = RedisServer(Path(name)).start()
        try:
            with hosts(Path(name), fake, engine) as found:
                print(f"3 daemons share 1 webhook through {PROGRAM}; each accepts {EACH} alerts.")
                print("The channel takes 30 messages in 3 s, as many as Discord's does in a minute.\n")
                titles = show(found, fake)
        finally:
            engine.kill()
        return verdict(fake, titles)


def show(found: list[DaemonProcess], fake: FakeProcess) -> list[str]:
    """Let the daemons send, and kill the one that does. Returns the titles of all alerts."""
    names = {host: f"host {n}" for n, host in enumerate(found, 1)}
    story = Story()
    titles = [title for host in found for title in send(host, f"{names[host]}:", EACH)]
    until(lambda: len(fake.titles()) > FIRST)
    first = holder_of(found)
    rest = [host for host in found if host is not first]
    story.tell(f"{names[first]} sends for all: {len(fake.titles())} of {len(titles)} alerts have arrived")
    first.kill()
    story.tell(f"kill -9 of {names[first]}")
    second = holder_of(rest)
    story.tell(f"{names[second]} sends for all")
    first.start()
    story.tell(f"{names[first]} is started again, and hands over what it had kept")
    until(lambda: set(titles) <= set(fake.titles()), 60)
    until(lambda: all(map(settled, found)))
    story.tell("everything has arrived")
    return titles


def verdict(fake: FakeProcess, titles: list[str]) -> int:
    """Print it."""
    copies, limited = Counter(fake.titles()), sum(fake.counts()["limited"].values())
    again = {title for title, n in copies.items() if n > 1}
    unmarked = again - {alert.title for alert in fake.alerts() if alert.doubt}
    missing = set(titles) - set(copies)
    print(f"""
{len(fake.messages())} messages with {len(titles)} alerts
  lost                                                {len(missing)}
  twice, the copy marked as a possible duplicate      {len(again - unmarked)}   (in flight when the daemon was killed)
  twice without a mark                                {len(unmarked)}
  requests that the channel refused (429)             {limited}""")
    return 1 if missing or unmarked or limited else 0


if __name__ == "__main__":
    sys.exit(main())
