"""A producer of the demo: `python -m tocsind.demo.producer SOCKET STRATEGY SYMBOL SIGNALS`. It prints one JSON object at its end.

It does not know what happens to the daemon: without a daemon, signals are spooled. A signal that is not spooled either is sent again under
the same id, so that the daemon stores it once.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Iterator

import tocsin

PAUSE = 0.03  # seconds between two signals
PATIENCE = 60.0  # seconds for all signals


def main(socket: str, strategy: str, symbol: str, signals: str) -> int:
    """Send the signals; print their ids and the seconds that each send took."""
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
    print(json.dumps({"ids": ids, "costs": costs, "repeats": repeats}))  # noqa: T201 - the scenario reads it
    return 0


def _market(strategy: str, symbol: str, signals: int) -> Iterator[tocsin.Signal]:
    """The signals of a strategy on a random walk."""
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
