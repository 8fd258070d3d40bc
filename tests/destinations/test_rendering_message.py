"""A message of many: nothing in it vanishes, nothing wakes whom it should not, and any batch that was formed to fit does."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.destinations.saved_messages import slowly, stored
from tests.destinations.signals import deliveries, delivery, embed, plain

from tocsin.signals import PRIORITIES
from tocsind.config import DiscordOptions
from tocsind.destinations.discord import DiscordWebhook
from tocsind.destinations.http import HttpClient
from tocsind.policy.batch import form
from tocsind.policy.delivery import Delivery
from tocsind.rendering import card_of
from tocsind.rendering.discord import Notify, message, size
from tocsind.rendering.discord.embed import _embed, length
from tocsind.rendering.discord.line import Line
from tocsind.rendering.discord.message import _sizes
from tocsind.rendering.facts import LATE_ROOM
from tocsind.testing.mentions import mentions_of
from tocsind.testing.reader import seen_in


def read(payload: dict[str, Any]) -> list[str]:
    """The footers that a reader sees: each holds its alert's id."""
    return [seen.embed["footer"]["text"] for seen in seen_in([stored(payload)], "c") if seen.embed]


@slowly
@given(waiting=st.lists(deliveries, min_size=1, max_size=24))
def test_any_alerts_go_out_in_messages_that_discord_takes_and_each_is_seen_once(waiting: list[Delivery]) -> None:
    options = DiscordOptions(username="tocsin", mention={"urgent": ("role:1",)}, silent=("low",))
    destination = DiscordWebhook(options, HttpClient())
    while waiting:
        shares = [destination.footprint(each) for each in waiting]
        chosen = form(shares, destination.max_items, destination.max_chars).chosen
        batch = [waiting[place] for place in chosen]
        payload = destination.preview(batch)["payload"]
        footers = read(payload)
        assert len(footers) == len(batch)
        assert all(each.id[-8:] in footer for each, footer in zip(batch, footers, strict=True))
        assert stored(payload).mentions.roles == (("1",) if batch[0].priority.label == "urgent" else ())
        waiting = [each for place, each in enumerate(waiting) if place not in chosen]


@slowly
@given(delivery=deliveries)
def test_size_is_that_of_the_largest_format(delivery: Delivery) -> None:
    forms = [made for gone in ([], [0, 1]) for made in message([delivery] * 2, gone=gone)["embeds"]]
    led = Notify(push=PRIORITIES)
    forms += [made for gone in ([], [0, 1]) for made in message([delivery] * 2, notify=led, gone=gone)["embeds"]]
    forms += [made for gone in ([], [0]) for made in message([delivery], notify=led, gone=gone)["embeds"]]
    largest = max(map(length, forms))
    assert min(largest, 6000) <= size(delivery)
    # A line that does not fit is cut, and its embed says all; the size measures the form below a whole line all the same.
    cards = [card_of(delivery), card_of(delivery, gone=True)]
    led_sizes = _sizes(cards, [Line(led=True)], plainly=delivery.plain_format)
    assert size(delivery) <= max(largest, *led_sizes) + LATE_ROOM + len("① ") or size(delivery) == 6000


def test_link_of_several_embeds_is_a_field_in_the_later_ones() -> None:
    same, other = delivery(link="https://example.com/1"), delivery(link="https://example.com/2")
    payload = message([same, other, same])
    urls = [made.get("url") for made in payload["embeds"]]
    assert urls == ["https://example.com/1", "https://example.com/2", None]
    assert payload["embeds"][2]["fields"] == [{"name": "Link", "value": "https://example.com/1", "inline": True}]
    assert len(read(payload)) == 3


def test_batch_cuts_no_delivery_to_make_room() -> None:
    large, small = delivery(body="x" * 4000), delivery(body="short")
    assert message([large, small])["embeds"] == [embed(large), embed(small)]


# --- whom it wakes --------------------------------------------------------------------------------------------------------


def test_message_without_mentions_has_no_content_and_notifies_no_reader() -> None:
    payload = message([delivery()])
    assert payload["allowed_mentions"] == {"parse": []}
    assert not {"content", "flags", "username"} & payload.keys()


@pytest.mark.parametrize(
    ("mentions", "content", "allowed"),
    [
        (("role:1",), "<@&1>", {"parse": [], "roles": ["1"]}),
        (("user:2", "role:1", "user:3"), "<@2> <@&1> <@3>", {"parse": [], "users": ["2", "3"], "roles": ["1"]}),
        (("everyone",), "@everyone", {"parse": ["everyone"]}),
        (("here", "role:1"), "@here <@&1>", {"parse": ["everyone"], "roles": ["1"]}),
    ],
)
def test_those_who_are_named_are_woken_and_no_others(
    mentions: tuple[str, ...], content: str, allowed: dict[str, Any]
) -> None:
    payload = message([delivery("<@99> @everyone")], notify=Notify(mentions))
    assert (payload["content"], payload["allowed_mentions"]) == (content, allowed)
    woken = mentions_of(content, allowed)
    assert len(woken.users) + len(woken.roles) + woken.everyone == len(mentions)


def test_silent_message_has_the_silent_flag() -> None:
    assert message([delivery()], notify=Notify(silent=True))["flags"] == 4096


# --- the plain form ---------------------------------------------------------------------------------------------------------


def test_plain_format_is_text_only() -> None:
    signal = delivery(
        body="fast _MA_ crossed",
        action="BUY",
        price=64000.5,
        link="https://example.com/1",
        fields={"*rsi*": 33, "note": "a\nb"},
        plain=True,
    )
    assert message([signal])["embeds"] == [plain(signal)]
    assert plain(signal) == {
        "title": "▲ BUY BTCUSDT",
        "description": (
            "fast \\_MA\\_ crossed\n\n"
            "Price: 64,000.5\nLink: https://example.com/1\n\\*rsi\\*: 33\nnote: a b\n"
            "Time: <t:1767225600:f>"
        ),
        "footer": {"text": signal.id[-8:]},
    }


def test_plain_format_cuts_the_body_to_half_at_most() -> None:
    made = plain(delivery(body="b" * 9000, fields={f"f{n}": "v" * 900 for n in range(30)}, plain=True))
    body, _, lines = made["description"].partition("\n\n")
    assert len(made["description"]) == 4096
    assert len(body) == 2048
    assert lines.startswith("f0: vvv")
    assert lines.endswith("…")


def test_plain_format_needs_no_body() -> None:
    assert plain(delivery(plain=True))["description"] == "Time: <t:1767225600:f>"


@slowly
@given(delivery=deliveries)
def test_any_alert_has_a_plain_form_without_anything_to_object_to(delivery: Delivery) -> None:
    delivery = msgspec.structs.replace(delivery, plain_format=True)
    made = plain(delivery)
    assert made.keys() == {"title", "description", "footer"}
    assert length(made) <= size(delivery) <= 6000
    stored({"embeds": [made]})


def test_embed_is_rendered_once_to_be_measured_and_sent() -> None:
    waiting = delivery(title="measured, then claimed")
    size(waiting)
    rendered = _embed.cache_info().misses
    claimed = msgspec.structs.replace(waiting, attempts=1, first_try=waiting.accepted, tried=waiting.accepted + 1)
    sent = message([claimed])["embeds"][0]
    assert _embed.cache_info().misses == rendered
    sent["title"] = "changed by the caller"
    assert message([claimed])["embeds"][0]["title"] == "measured, then claimed"


def test_embed_rendered_before_shows_what_became_of_its_delivery_since() -> None:
    waiting = delivery(title="waits long")
    size(waiting)
    late = msgspec.structs.replace(waiting, attempts=1, tried=waiting.accepted + 3600, maybe_duplicate=True)
    sent = message([late])["embeds"][0]
    assert sent["title"] == "waits long · 1h late · possible duplicate"
