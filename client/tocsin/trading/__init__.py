"""tocsin.trading: what strategies raise, weighed against one another, sorted, and handed over.

    from tocsin.trading import MultiStrategyGenerator, SignalAggregator, TradingSignal

    aggregator = SignalAggregator({"ma": 0.6, "rsi": 0.4}, {"discord_alerts": True, "min_confidence": 0.7})
    signals = aggregator.aggregate_signals({"ma": [TradingSignal("BTCUSDT", "BUY", 64000.5, 0.93, bar.time)]})

What comes in is anybody's, so it is read tolerantly (`tradingsignal`) and judged once, by the check that every signal goes through
(tocsin.signals): valid is what can be handed over, whether alerts are on or not. From there three things are kept apart:

    returned    every valid input, the same object, sorted by (-confidence, -timestamp); what has no time, or nonsense, comes last among
                its equals. Nothing is dropped or changed, for a strategy's own code goes on working with it
    verdicts    what weights, agreement, conflict, window and minimum confidence make of each (`agreement`, `verdicts`): they decide what
                is *alerted*, and why not, and stand in `aggregator.report`, beside the inputs that were none, each with place and reason
    handed over what is alerted, oldest first whatever its confidence, so that a trade's end cannot overtake its beginning; which of it is
                pressing is the daemon's business. A batch, and all batches that wait behind it, is one `send_many`

The caller does not even wait for the hand-off: `courier` does that on a thread, one a process, and `aggregate_signals` costs the same
with alerts on and off. The price is a moment, the hand-off's millisecond, in which a batch is in memory alone: a process that is killed
in it takes the batch along. `flush()` waits for the disk, for whoever must know before he trades; the end of the program waits by
itself, two seconds at most.

Two things that the code which this follows did are not done: no thread pool, and no `__del__`. There is nothing to leak.
"""

from __future__ import annotations

from .aggregator import SignalAggregator
from .decisions import Decision
from .generator import MultiStrategyGenerator, Strategy
from .parsing import Rejected
from .report import Failed, Report
from .tradingsignal import TradingSignal

__all__ = [
    "Decision",
    "Failed",
    "MultiStrategyGenerator",
    "Rejected",
    "Report",
    "SignalAggregator",
    "Strategy",
    "TradingSignal",
]
