"""Signals as messages: pure functions from deliveries to what a service accepts.

    delivery --card--> Card: what the message says, as clean text --dialect--> the request of one service

What a message says is decided in `card`, once for all services: title, lateness and doubt, body, facts, time, where it comes from, and the
one line that a lock screen shows (`push_line`). A dialect decides how its service shows that, and does four things: it escapes what its
service would obey; it measures in its service's unit (`text.Measure`); it cuts to its service's limits; and it assembles the request. It
never reads the signal. `discord` is one; services without cards start from `plain_text`.

Two laws. A reader sees what the program wrote: markup is escaped, not removed, and nothing disappears without a mark. And the service
accepts every signal: the dialect applies every limit, by cutting, because a cut alert is worth more than a refused one.

    card         a delivery, or the state of a live message, as a Card
    facts        its facts, its lateness, its footer
    trade        what a trading signal says about its trade
    numbers      prices, confidences, times
    text         cleaning; cutting to fit, in any unit
    plain_text   a card as plain text
    discord      cards as Discord messages
    digest       many deliveries as one signal
    json_lines   a delivery as a line of JSON
"""

from .card import BodyForm, Card, card_of, card_of_update, headline, push_line
from .facts import Fact
from .json_lines import json_line

__all__ = ["BodyForm", "Card", "Fact", "card_of", "card_of_update", "headline", "json_line", "push_line"]
