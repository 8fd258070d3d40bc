"""A trader reads a signal at a glance: which way, where in and out, for how much; and never a figure that is wrong."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.destinations.signals import ACCEPTED, deliveries, delivery, embed, plain

from tocsin.ids import id_of
from tocsin.signals import Signal
from tocsind.policy.delivery import Delivery
from tocsind.rendering import card_of, headline
from tocsind.rendering.discord import message, size
from tocsind.rendering.discord.embed import length
from tocsind.rendering.facts import LATE
from tocsind.rendering.trade import GREEN, GREY, PURPLE, RED, YELLOW, trade_of

slowly = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def told(action: str, price: float | None = None, **fields: Any) -> dict[str, str]:
    """What an embed's fields say of a trade."""
    made = embed(delivery(action=action, price=price, fields=fields))
    return {field["name"]: field["value"] for field in made.get("fields", []) if field["name"] != "Action"}


def colour(action: str, **fields: Any) -> int:
    trade = trade_of(Signal("T", action=action, fields=fields))
    assert trade is not None
    return trade.colour


# --- which way --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "mark", "shade"),
    [
        ("BUY", "▲", GREEN),
        ("long", "▲", GREEN),
        ("Strong_Buy", "▲", GREEN),
        ("open long", "▲", GREEN),
        ("SELL", "▼", RED),
        ("enter-short", "▼", RED),
        ("HOLD", "■", YELLOW),
        ("close", "◆", PURPLE),
        ("EXIT_LONG", "◆", PURPLE),
    ],
)
def test_trade_action_has_a_mark_and_a_colour(action: str, mark: str, shade: int) -> None:
    made = embed(delivery(title="MA cross", action=action))
    assert made["title"] == f"{mark} MA cross"
    assert made["fields"][0]["value"].replace("\\", "") == action
    assert made["color"] == shade


@pytest.mark.parametrize("action", ["", "RESTART", "BUY LUNCH", "LONG SHORT", "OPEN", "▲", None])
def test_action_outside_trading_stays_as_it_is(action: str | None) -> None:
    signal = delivery(action=action, price=1.0, fields={"stop": 5})
    assert trade_of(signal.signal) is None
    values = {field["name"]: field["value"] for field in embed(signal)["fields"]}
    assert (values.get("Action", ""), values["Price"], values["stop"]) == (action or "", "1", "5")


# --- where in, where out ------------------------------------------------------------------------------------------------------


def test_long_trade_shows_entry_stop_target_and_reward() -> None:
    assert told("BUY", 64000.5, stop=63360.5, target=65600.5) == {
        "Entry": "64,000.5",
        "Stop": "63,360.5 (-1 %)",
        "Target": "65,600.5 (+2.5 %)",
        "Risk / reward": "1 : 2.5",
    }


def test_short_trade_has_inverted_levels() -> None:
    assert told("SHORT", 100.0, stop=102, target=94)["Risk / reward"] == "1 : 3"


@pytest.mark.parametrize("name", ["stop", "STOP", "Stop-Loss", "stop_loss", "stop  loss", "SL"])
def test_trade_level_is_read_in_any_spelling_and_shown_once(name: str) -> None:
    assert told("BUY", 100.0, **{name: "98.0"}) == {"Entry": "100", "Stop": "98 (-2 %)"}


def test_trade_entry_other_than_the_price_is_shown_beside_it() -> None:
    assert told("BUY", 101.0, entry=100, take_profit=110) == {
        "Price": "101",
        "Entry": "100",
        "Target": "110 (+10 %)",
    }


def test_small_prices_keep_their_digits() -> None:
    assert told("BUY", 0.00001234, stop="0.0000120")["Entry"] == "0.00001234"


@pytest.mark.parametrize(
    ("action", "levels"),
    [
        ("BUY", {"stop": 101, "target": 110}),  # a stop above the entry of a long trade
        ("BUY", {"stop": 100, "target": 110}),  # no risk at all
        ("BUY", {"stop": 98, "target": 99}),  # a target that loses
        ("SELL", {"stop": 98, "target": 90}),
        ("BUY", {"stop": 98}),
        ("BUY", {"target": 110}),
        ("HOLD", {"stop": 98, "target": 110}),  # the side is unknown
        ("BUY", {"stop": 100 - 1e-9, "target": 1e9}),  # absurd
    ],
)
def test_inconsistent_levels_are_shown_without_a_ratio(action: str, levels: dict[str, float]) -> None:
    shown = told(action, 100.0, **levels)
    assert "Risk / reward" not in shown
    assert {name.capitalize() for name in levels} <= shown.keys()


@pytest.mark.parametrize("value", ["market", "64,000", "1_000", "nan", "inf", "1e999", "٤", True, None, "", "9" * 99])
def test_level_that_is_no_number_stays_a_field(value: Any) -> None:
    shown = told("BUY", 100.0, stop=value)
    assert "Stop" not in shown
    assert "stop" in shown
    assert shown["Price"] == "100"


# --- how it ended ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "fields", "result", "shade"),
    [
        ("CLOSE", {"pnl": 1250.5}, "Profit +1,250.5", GREEN),
        ("CLOSE", {"pnl": "-12"}, "Loss -12", RED),
        ("CLOSE", {"pnl": 0}, "Result 0", GREY),
        ("SELL", {"entry": 100, "exit": 104, "pnl": 40}, "Profit +40 (+4 %)", GREEN),
        ("BUY", {"entry": 100, "exit": 104, "pnl": -40}, "Loss -40 (-4 %)", RED),  # a short trade, bought back dearer
        ("SELL", {"entry": 100, "exit": 100.1, "pnl": -2}, "Loss -2", RED),  # fees: the prices alone would say profit
        ("CLOSE LONG", {"entry": 100, "exit": 99}, "Loss -1 a unit (-1 %)", RED),
        ("EXIT", {"entry": 100, "exit": 98, "Side": "short"}, "Profit +2 a unit (+2 %)", GREEN),
        ("CLOSE", {"entry": -37, "exit": -30, "side": "long", "pnl": 7}, "Profit +7", GREEN),  # oil, April 2020
    ],
)
def test_closed_trade_shows_its_result(action: str, fields: dict[str, Any], result: str, shade: int) -> None:
    name, _, figures = result.partition(" ")
    assert told(action, **fields)[name] == figures
    assert colour(action, **fields) == shade


def test_held_trade_shows_its_result_and_keeps_its_colour() -> None:
    assert told("HOLD", entry=100, pnl=-5) == {"Entry": "100", "Loss": "-5"}
    assert colour("HOLD", pnl=-5) == YELLOW


def test_side_of_a_trade_is_never_guessed() -> None:
    assert told("CLOSE", entry=100, exit=104) == {"Entry": "100", "Exit": "104"}


def test_without_an_exit_the_price_is_where_it_was_left() -> None:
    assert told("CLOSE_LONG", 104.0, entry=100) == {
        "Entry": "100",
        "Exit": "104",
        "Profit": "+4 a unit (+4 %)",
    }


# --- how sure, and how late -------------------------------------------------------------------------------------------------------


def headline_of(delivery: Delivery) -> str:
    return headline(card_of(delivery))


def late(seconds: float, **fields: Any) -> Delivery:
    return msgspec.structs.replace(delivery(**fields), tried=ACCEPTED + seconds)


@pytest.mark.parametrize(
    ("seconds", "title"),
    [
        (0, "BUY BTCUSDT"),
        (LATE, "BUY BTCUSDT"),
        (61, "BUY BTCUSDT · 1m late"),
        (12 * 60 + 59, "BUY BTCUSDT · 12m late"),
        (2 * 3600 + 34 * 60, "BUY BTCUSDT · 2h34m late"),
        (40 * 86400, "BUY BTCUSDT · 40d late"),
        (-5, "BUY BTCUSDT"),
    ],
)
def test_late_signal_shows_its_age_in_the_title(seconds: float, title: str) -> None:
    signal = late(seconds)
    assert embed(signal)["title"] == plain(signal)["title"] == title


def test_signal_with_short_expires_is_late_sooner() -> None:
    assert headline_of(late(40, expires=60)) == "BUY BTCUSDT · 40s late"
    assert headline_of(late(40)) == "BUY BTCUSDT"


def test_age_counts_from_when_it_was_raised_and_not_from_when_a_spool_was_taken_in() -> None:
    made = id_of(int((ACCEPTED - 3600) * 1000), b"0123456789")
    assert headline_of(late(5, id=made)) == "BUY BTCUSDT · 1h late"
    invented = id_of(0, b"0123456789")
    assert headline_of(late(5, id=invented)) == "BUY BTCUSDT"


@slowly
@given(waiting=st.lists(deliveries, min_size=1, max_size=12), seconds=st.floats(0, 1e9))
def test_late_message_fits_the_size_measured_in_time(waiting: list[Delivery], seconds: float) -> None:
    shares = [size(each) for each in waiting]
    offered = [msgspec.structs.replace(each, tried=ACCEPTED + seconds) for each in waiting]
    room = 6000
    batch: list[Delivery] = []
    for each, share in zip(offered, shares, strict=True):
        if len(batch) < 10 and (not batch or share <= room):
            batch.append(each)
            room -= share
    assert sum(map(length, message(batch)["embeds"])) <= 6000


# --- whatever it says ---------------------------------------------------------------------------------------------------------------

_names = st.sampled_from(["entry", "STOP", "stop loss", "Target", "take_profit", "exit", "pnl", "side", "Direction"])
_figures = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**63), 2**63),
    st.sampled_from(["long", "SHORT", "64000.5", "1e308", "-0", "nan", ".", "+", "1e", None, True, 0, -1e-320]),
    st.text(max_size=50),
)
_actions = st.sampled_from(["BUY", "sell", "LONG", "short", "HOLD", "CLOSE", "exit_long", "close short", "HOLD LONG"])


@given(
    action=_actions,
    price=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    fields=st.dictionaries(_names, _figures, max_size=9),
)
def test_trade_of_any_numbers_is_rendered(action: str, price: float | None, fields: dict[str, Any]) -> None:
    signal = delivery(action=action, price=price, fields=fields)
    trade = trade_of(signal.signal)
    assert trade is not None
    words = " ".join(f"{name} {value}" for name, value in trade.facts())
    assert "nan" not in words
    assert "inf" not in words
    assert length(embed(signal)) <= size(signal)
    shown = {field["name"] for field in embed(signal).get("fields", [])}
    assert shown >= {name for name in fields if name not in trade.read}
