"""`make demo-hosts`: three hosts, one channel, an engine; the host that sends is killed; then the verdict."""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.harness import FakeProcess, until
from tests.shared.conftest import RedisServer
from tests.shared.test_hosts import holder_of, hosts, send, settled

EACH = 60


def main() -> int:
    """Show it; 0 when nothing was lost and no request was refused."""
    with tempfile.TemporaryDirectory(prefix="tocsin-demo-") as name, FakeProcess("--limits", "0.05") as fake:
        folder = Path(name)
        engine = RedisServer(folder).start()
        try:
            with hosts(folder, fake, engine) as found:
                print("3 daemons share one webhook by redis-server; each accepts", EACH, "signals")
                titles = [title for n, host in enumerate(found) for title in send(host, f"host {n}:", EACH)]
                until(lambda: len(fake.titles()) > EACH)
                holder = holder_of(found)
                rest = [host for host in found if host is not holder]
                holder.kill()
                print(f"{len(fake.titles())} arrived; kill -9 of the daemon that sends, and a wait for the next one")
                killed, before = time.monotonic(), len(fake.titles())
                until(lambda: len(fake.titles()) > before + 10, 30)
                print(f"another daemon sends after {time.monotonic() - killed:.1f} s")
                holder.start()
                until(lambda: set(titles) <= set(fake.titles()), 60)
                until(lambda: all(map(settled, [*rest, holder])))
            return verdict(fake, titles)
        finally:
            engine.kill()


def verdict(fake: FakeProcess, titles: list[str]) -> int:
    """Print it."""
    copies, limited = Counter(fake.titles()), sum(fake.counts()["limited"].values())
    again = {title for title, n in copies.items() if n > 1}
    unmarked = again - {alert.title for alert in fake.alerts() if alert.doubt}
    missing = set(titles) - set(copies)
    print(
        f"accepted {len(titles)}, missing {len(missing)}, twice and marked {len(again - unmarked)},"
        f" twice and not marked {len(unmarked)}, requests refused with 429: {limited}"
    )
    return 1 if missing or unmarked or limited else 0


if __name__ == "__main__":
    sys.exit(main())
