"""A producer of the demo: `python -m tocsind.demo.producer SOCKET STRATEGY SYMBOL SIGNALS`. Its last word is one JSON object.

It knows nothing of what happens to the daemon: what no daemon takes is spooled. A signal that even the spool does not take is handed over
again under the same id, so that the daemon takes it once.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Iterator

import tocsin

PAUSE = 0.03  # seconds between two signals
PATIENCE = 60.0  # seconds for all of it


def main(socket: str, strategy: str, symbol: str, signals: str) -> int:
    """Raise the signals; print receipts and what each hand-off cost, in seconds."""
    client = tocsin.Client(socket, timeout=1.0)
    ids, costs, repeats = [], [], 0
    end = time.monotonic() + PATIENCE
    for signal in _market(strategy, symbol, int(signals)):
        began = time.perf_counter()
        while not client.send(signal).accepted:
            if time.monotonic() > end:
                return 1
            repeats += 1
            time.sleep(PAUSE)
        costs.append(time.perf_counter() - began)
        ids.append(signal.id)
        time.sleep(PAUSE)
    print(json.dumps({"ids": ids, "costs": costs, "repeats": repeats}))  # noqa: T201 - this is what the stage waits for
    return 0


def _market(strategy: str, symbol: str, signals: int) -> Iterator[tocsin.Signal]:
    """A random walk that somebody trades."""
    chance = random.Random(strategy)
    price = chance.uniform(20, 70_000)
    for number in range(signals):
        change = chance.gauss(0, 0.004)
        price *= 1 + change
        action = "BUY" if change > 0.001 else "SELL" if change < -0.001 else "HOLD"
        yield tocsin.Signal(
            f"{action} {symbol}",
            body=f"{symbol} moved {change:+.2%} in a minute",
            action=action,
            symbol=symbol,
            price=round(price, 2),
            confidence=round(min(0.99, 0.5 + abs(change) * 60), 2),
            strategy=strategy,
            fields={"bar": number, "move": f"{change:+.2%}"},
            tier="premium" if number % 2 else "free",
            timestamp=time.time(),
        )


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
