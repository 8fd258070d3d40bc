"""Files in a message: each is named once, shown by its own alert, and missed in words when it is not attached."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.destinations.signals import deliveries, delivery, embed, plain

from tocsind.policy.delivery import Delivery
from tocsind.rendering.digest import digest
from tocsind.rendering.discord import message, size
from tocsind.rendering.discord.embed import length


@pytest.mark.parametrize(
    ("name", "shown"),
    [("chart.png", True), ("a.JPG", True), ("b.jpeg", True), ("c.gif", True), ("d.webp", True), ("e.svg", False), ("f", False)],
)  # fmt: skip
def test_embed_shows_images_and_no_other_attachment(name: str, shown: bool) -> None:
    payload = message([delivery(attach=name)])
    assert payload["attachments"] == [{"id": 0, "filename": name}]
    assert payload["embeds"][0].get("image") == ({"url": f"attachment://{name}"} if shown else None)


def test_without_files_a_message_says_nothing_of_them() -> None:
    assert "attachments" not in message([delivery(), delivery()])


def test_attachments_of_one_name_are_kept_apart() -> None:
    payload = message([delivery(attach="a.png"), delivery(), delivery(attach="a.png"), delivery(attach="b.png")])
    assert payload["attachments"] == [
        {"id": 0, "filename": "a.png"},
        {"id": 2, "filename": "3-a.png"},
        {"id": 3, "filename": "b.png"},
    ]
    images = [made.get("image", {}).get("url") for made in payload["embeds"]]
    assert images == ["attachment://a.png", None, "attachment://3-a.png", "attachment://b.png"]


def missed(made: dict[str, object]) -> list[str]:
    fields = made.get("fields", [])
    assert isinstance(fields, list)
    return [field["value"] for field in fields if field["name"] == "Attachment"]


def test_missing_attachment_is_named_in_words() -> None:
    payload = message([delivery(attach="a.png"), delivery(attach="b.png")], gone=[1])
    assert [each["id"] for each in payload["attachments"]] == [0]
    assert [missed(made) for made in payload["embeds"]] == [[], ["b.png is not attached: it is not there any more"]]


def test_embed_says_why_a_file_was_not_attached() -> None:
    signal = delivery(attach_note="a.png is not attached: it is larger than 8 MiB")
    assert missed(embed(signal)) == ["a.png is not attached: it is larger than 8 MiB"]
    assert "Attachment: a.png is not attached" in plain(signal)["description"]


def test_plain_format_has_no_attachment_and_says_so() -> None:
    payload = message([delivery(attach="a.png", plain=True)])
    assert "attachments" not in payload
    assert "Attachment: a.png is not attached: this is" in payload["embeds"][0]["description"]


def test_digest_counts_attachments_that_it_does_not_show() -> None:
    body = digest([delivery(attach="a.png"), delivery(), delivery(attach="b.png")], "low")["body"]
    assert body.endswith(" Attachments that are not shown: 2.")


@settings(max_examples=60, deadline=None)
@given(delivery=deliveries, gone=st.booleans())
def test_alert_with_or_without_its_file_fits_its_size(delivery: Delivery, gone: bool) -> None:
    values = {**delivery.signal.as_dict(), "attach": "chart.png"}
    with_file = msgspec.structs.replace(delivery, signal=type(delivery.signal).trusted(values))
    (made,) = message([with_file], gone=[0] if gone else [])["embeds"]
    assert length(made) <= size(with_file) <= 6000
