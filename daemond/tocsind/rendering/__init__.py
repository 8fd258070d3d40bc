"""Signals as people read them: pure functions from deliveries to what a far end takes.

Two laws. What a program wrote is what a person reads: markup is made harmless, not removed, and nothing vanishes without a mark. And
whatever the signal, the far end accepts it: every limit is met here, by cutting, because an alert cut short is worth more than a 400.

    text     cleaning, escaping, cutting
    numbers  prices, confidences, times
    embed    a delivery as a Discord embed, within a given room
    message  deliveries as one Discord message: the shared room, whose link, who may be woken (nobody)
    lines    a delivery as a line of JSON

Source of the limits: Discord's documentation of embed limits; code points, after trimming.
"""

from .embed import embed
from .lines import json_line
from .message import message

__all__ = ["embed", "json_line", "message"]
