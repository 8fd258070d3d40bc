"""Signals as messages: pure functions from deliveries to what a far end accepts.

Two laws. A reader sees what the program wrote: markup is escaped, not removed, and nothing disappears without a mark. And the far end
accepts every signal: this package applies every limit, by cutting, because a cut alert is worth more than a 400.

    limits       what a Discord message may hold
    text         cleaning, escaping, cutting
    numbers      prices, confidences, times
    facts        name and value of everything beside title and body; lateness; the footer
    trade        what a trading signal says about its trade
    embed        a delivery as a Discord embed
    plain        the same after a rejection: text only
    mentions     who is notified by a message
    message      deliveries as one Discord message, and how much of it each needs
    raw          messages that a program wrote for Discord itself
    history      earlier states of a live message
    lint         how close a message comes to the limits, and what readers will not see
    digest       many deliveries as one signal
    attachments  the files of a message
    json_lines   a delivery as a line of JSON
"""

from . import raw
from .json_lines import json_line
from .lint import limit_usage, warnings_for
from .mentions import Notify
from .message import living_message, message, size

__all__ = ["Notify", "json_line", "limit_usage", "living_message", "message", "raw", "size", "warnings_for"]
