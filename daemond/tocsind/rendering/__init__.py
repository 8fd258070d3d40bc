"""Signals as people read them: pure functions from deliveries to what a far end takes.

Two laws. What a program wrote is what a person reads: markup is made harmless, not removed, and nothing vanishes without a mark. And
whatever the signal, the far end accepts it: every limit is met here, by cutting, because an alert cut short is worth more than a 400.

    limits   what a Discord message may hold
    text     cleaning, escaping, cutting
    numbers  prices, confidences, times
    facts    what is told of a signal beside title and body, and how late it is
    trade    what a trading signal says of its trade
    embed    a delivery as a Discord embed
    plain    the same, when its embed was refused
    mentions whom a message wakes
    message  deliveries as one Discord message, and what each takes of it
    history  what a living message said before
    review   how near it comes to the limits, and what a reader will miss
    digest   many deliveries as one signal
    enclosures  the files that go along with a message
    lines    a delivery as a line of JSON
"""

from .json_lines import json_line
from .lint import limit_usage, warnings_for
from .mentions import Notify
from .message import living_message, message, size

__all__ = ["Notify", "json_line", "limit_usage", "living_message", "message", "size", "warnings_for"]
