"""Signals and deliveries for the tests of this room."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tocsin.signals import Signal
from tocsind.policy.delivery import Delivery, Priority
from tocsind.rendering import card_of
from tocsind.rendering.discord.embed import embed as embed_of
from tocsind.rendering.discord.plain import plain as plain_of

ACCEPTED = 1_767_225_600.0  # 2026-01-01T00:00:00Z


def delivery(title: str = "BUY BTCUSDT", *, doubt: bool = False, plain: bool = False, **fields: Any) -> Delivery:
    priority = Priority[(fields.get("priority") or "normal").upper()]
    return Delivery(
        1, signal(title, fields), "signals-premium", priority, ACCEPTED, maybe_duplicate=doubt, plain_format=plain
    )


def embed(delivery: Delivery, *, gone: bool = False, **options: Any) -> dict[str, Any]:
    """The embed of a delivery's card."""
    return embed_of(card_of(delivery, gone=gone), **options)


def plain(delivery: Delivery) -> dict[str, Any]:
    """The plain form of a delivery's card."""
    return plain_of(card_of(delivery))


def signal(title: str, fields: dict[str, Any]) -> Signal:
    """A signal whose texts are as long as they are given: what another client wrote, or an older version stored."""
    read = Signal(title, **fields)
    long = {name: fields[name] for name in _TEXTS if isinstance(fields.get(name), str) and len(fields[name]) > 256}
    if len(fields.get("fields") or ()) > 25 or any(
        len(str(value)) > 1024 for value in (fields.get("fields") or {}).values()
    ):
        long["fields"] = fields["fields"]
    longer = {"title": title} if len(title) > 256 else {}
    return Signal.trusted({**read.as_dict(), **longer, **long}) if long or longer else read


_TEXTS = ("body", "link", "tier", "strategy", "symbol", "action", "source", "attach_note")


# Everything that markup, cleaning and cutting trip over comes up often, the rest of Unicode now and then.
_NASTY = st.sampled_from(
    [
        *"\\*_~`|<>#-+[]()@:!. \n\t1aZé\u200b\u202e\x00\r\u2028",
        "@everyone",
        "](http://x.y)",
        "https://a.b/c_d",
        "||",
        "~~",
    ]
)
nasty = st.lists(st.one_of(_NASTY, st.characters(exclude_categories=["Cs"])), max_size=60).map("".join)
long = st.builds(lambda part, times: part * times, nasty, st.sampled_from([1, 1, 10, 400]))
titles = long.filter(lambda text: text.strip())
_values = st.one_of(long, st.booleans(), st.none(), st.integers(), st.floats(allow_nan=False, allow_infinity=False))
_optional = {
    "body": long,
    "confidence": st.floats(0, 1),
    "tier": nasty,
    "strategy": long,
    "symbol": nasty,
    "action": st.one_of(nasty, st.sampled_from(["BUY", "sell", "HOLD"])),
    "price": st.floats(allow_nan=False, allow_infinity=False),
    "fields": st.dictionaries(long, _values, max_size=40),
    "tags": st.lists(long, max_size=5),
    "timestamp": st.one_of(st.floats(), nasty, st.integers()),
    "link": st.one_of(
        long, st.just("https://example.com/chart?symbol=BTC#1"), st.just(f"https://example.com/{'long' * 500}")
    ),
    "attach": st.sampled_from(["chart.png", "report.csv"]),
    "attach_note": long,
    "priority": st.sampled_from(["urgent", "high", "normal", "low"]),
    "source": long,
}
deliveries = st.builds(
    lambda title, doubt, plain, fields: delivery(title, doubt=doubt, plain=plain, **fields),
    titles,
    st.booleans(),
    st.booleans(),
    st.fixed_dictionaries({}, optional=_optional),
)
