"""tocsin.trading: weighs the signals of several strategies, sorts them, and hands them over as alerts.

    from tocsin.trading import MultiStrategyGenerator, SignalAggregator, TradingSignal

    aggregator = SignalAggregator({"ma": 0.6, "rsi": 0.4}, {"discord_alerts": True, "min_confidence": 0.7})
    signals = aggregator.aggregate_signals({"ma": [TradingSignal("BTCUSDT", "BUY", 64000.5, 0.93, bar.time)]})

Strategies give objects of any kind, which are converted (`tradingsignal`) and checked once (tocsin.signals). An input is
valid if it can be handed over, whether alerts are on or not. Three results are kept apart:

    returned      every valid input, the same object, sorted by (-confidence, -timestamp); an input without a readable time comes last among
                  equals. Inputs are never dropped or changed, because the strategy's own code goes on with them
    verdicts      one for each valid input, by weights, agreement, conflict, window and minimum confidence (`consensus`, `decisions`):
                  whether it is *alerted*, and why not. They are in `aggregator.report`, with the rejected inputs and the reasons
    handed over   the alerts, oldest first whatever their confidence, so that a trade's end cannot overtake its beginning; the daemon sends
                  urgent ones first. All batches that are queued are one `send_many`

The caller does not wait for the hand-off: a background thread does it, one for each process (`submit_queue`), and `aggregate_signals` costs
the same with alerts on and off. For that time, about a millisecond, a batch is in memory only, and lost if the process is killed. `flush()`
waits until it is on disk; the end of the program waits by itself, two seconds at most.

There is no thread pool and no `__del__`.
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
