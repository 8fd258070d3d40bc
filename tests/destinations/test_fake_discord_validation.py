"""What the fake accepts as a message, tried at the very edge of each limit."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsind.discord_api.validation import check
from tocsind.testing.mentions import Mentions, mentions_of

ASTRAL = "\N{POLICE CARS REVOLVING LIGHT}"  # one code point, two UTF-16 units, four bytes


def embed(**parts: Any) -> dict[str, Any]:
    return {"embeds": [{"description": "body", **parts}]}


def faults_in(body: Any) -> dict[str, str]:
    """Each fault's place, dotted, with its code."""
    found: dict[str, str] = {}

    def walk(node: dict[str, Any], path: str) -> None:
        for step, below in node.items():
            if step == "_errors":
                found[path] = below[0]["code"]
            else:
                walk(below, f"{path}.{step}" if path else step)

    walk(check(body).errors, "")
    return found


SIZES = [
    ("content", 2000, lambda text: {"content": text}),
    ("username", 80, lambda text: {"content": "x", "username": text}),
    ("embeds.0.title", 256, lambda text: embed(title=text)),
    ("embeds.0.description", 4096, lambda text: embed(description=text)),
    ("embeds.0.footer.text", 2048, lambda text: embed(footer={"text": text})),
    ("embeds.0.author.name", 256, lambda text: embed(author={"name": text})),
    ("embeds.0.fields.0.name", 256, lambda text: embed(fields=[{"name": text, "value": "v"}])),
    ("embeds.0.fields.0.value", 1024, lambda text: embed(fields=[{"name": "n", "value": text}])),
]


@pytest.mark.parametrize(("place", "most", "body"), SIZES, ids=[place for place, _, _ in SIZES])
def test_fake_counts_lengths_in_code_points_after_trimming(place: str, most: int, body: Any) -> None:
    assert faults_in(body(" \n" + ASTRAL * most + "\t ")) == {}
    assert faults_in(body(ASTRAL * (most + 1))) == {place: "BASE_TYPE_MAX_LENGTH"}


def test_fake_limits_the_sum_over_all_embeds() -> None:
    full = [{"description": "x" * 3000}, {"description": "y" * 2990, "footer": {"text": "z" * 10}}]
    assert faults_in({"embeds": full}) == {}
    assert faults_in({"embeds": [*full, {"title": "!"}]}) == {"embeds": "MAX_EMBED_SIZE_EXCEEDED"}


def test_ten_embeds_fit_and_eleven_do_not() -> None:
    assert faults_in({"embeds": [{"title": "t"}] * 10}) == {}
    assert faults_in({"embeds": [{"title": "t"}] * 11}) == {"embeds": "BASE_TYPE_MAX_LENGTH"}


def test_twenty_five_fields_fit_and_twenty_six_do_not() -> None:
    field = {"name": "n", "value": "v"}
    assert faults_in(embed(fields=[field] * 25)) == {}
    assert faults_in(embed(fields=[field] * 26)) == {"embeds.0.fields": "BASE_TYPE_MAX_LENGTH"}


@pytest.mark.parametrize("field", [{"name": " ", "value": "v"}, {"value": "v"}])
def test_fake_requires_a_field_name(field: dict[str, str]) -> None:
    assert faults_in(embed(fields=[field])) == {"embeds.0.fields.0.name": "BASE_TYPE_REQUIRED"}


def test_fake_requires_a_field_value() -> None:
    assert faults_in(embed(fields=[{"name": "n", "value": "\n"}])) == {"embeds.0.fields.0.value": "BASE_TYPE_REQUIRED"}


def test_fake_names_every_fault_with_its_embed() -> None:
    body = {
        "content": "x" * 2001,
        "embeds": [{"title": "fine"}, {"title": "x" * 257}, {"color": 2**24, "title": "t"}, {}],
    }
    assert faults_in(body) == {
        "content": "BASE_TYPE_MAX_LENGTH",
        "embeds.1.title": "BASE_TYPE_MAX_LENGTH",
        "embeds.2.color": "NUMBER_TYPE_MAX",
        "embeds.3.description": "BASE_TYPE_REQUIRED",
    }


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("Discord Alerts", "USERNAME_INVALID_CONTAINS"),
        ("BonnieAndCLYDE", "USERNAME_INVALID_CONTAINS"),
        ("Everyone", "USERNAME_INVALID"),
    ],
)
def test_fake_refuses_a_forbidden_username_in_any_case(name: str, code: str) -> None:
    assert faults_in({"content": "x", "username": name}) == {"username": code}


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ([], ""),
        ({"content": {}}, "content"),
        ({"embeds": {}}, "embeds"),
        ({"embeds": ["text"]}, "embeds.0"),
        (embed(footer="text"), "embeds.0.footer"),
        (embed(url="no url"), "embeds.0.url"),
        (embed(url="ftp://example.org"), "embeds.0.url"),
        (embed(image={}), "embeds.0.image.url"),
        (embed(timestamp="yesterday"), "embeds.0.timestamp"),
        (embed(color="red"), "embeds.0.color"),
        (embed(color=-1), "embeds.0.color"),
        ({"content": "x", "flags": "4"}, "flags"),
        ({"content": "x", "allowed_mentions": {"parse": "users"}}, "allowed_mentions.parse"),
        ({"content": "x", "allowed_mentions": {"parse": ["all"]}}, "allowed_mentions.parse.0"),
        ({"content": "x", "allowed_mentions": {"parse": ["users"], "users": ["1"]}}, "allowed_mentions"),
    ],
)
def test_fake_names_the_place_of_a_wrong_type(body: Any, place: str) -> None:
    assert list(faults_in(body)) == [place]


@pytest.mark.parametrize("body", [{}, {"content": " \n"}, {"embeds": []}, {"username": "someone"}])
def test_fake_treats_an_invisible_message_as_empty(body: dict[str, Any]) -> None:
    checked = check(body)
    assert checked.is_empty
    assert checked.errors == {}


def test_stored_message_is_trimmed_and_has_no_unknown_keys() -> None:
    checked = check(
        {"content": " hello ", "nonce": 1, "flags": 4096 | 64, "embeds": [{"title": " t ", "mood": "grim"}]}
    )
    assert checked.payload["content"] == "hello"
    assert checked.payload["flags"] == 4096
    assert checked.payload["embeds"] == [{"type": "rich", "title": "t"}]
    assert "nonce" not in checked.payload


def test_without_allowed_mentions_everything_in_the_content_pings() -> None:
    assert mentions_of("@everyone <@1> <@!2> <@&3> <@1>", None) == Mentions(
        everyone=True, users=("1", "2"), roles=("3",)
    )


def test_fake_empty_parse_list_pings_no_reader() -> None:
    assert not mentions_of("@here <@1> <@&3>", {"parse": []})


def test_fake_named_role_pings_alone() -> None:
    allowed = {"parse": [], "roles": ["3"]}
    assert mentions_of("@here <@1> <@&3> <@&4>", allowed) == Mentions(roles=("3",))


KEYS = st.sampled_from(
    [
        "content",
        "username",
        "avatar_url",
        "flags",
        "embeds",
        "description",
        "url",
        "timestamp",
        "color",
        "image",
        "footer",
        "text",
        "author",
        "name",
        "fields",
        "value",
        "allowed_mentions",
        "parse",
        "roles",
        "users",
        "odd",
    ]
)
ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=4)),
)


@given(st.dictionaries(KEYS, ANYTHING))
def test_fake_validation_survives_any_payload(body: dict[str, Any]) -> None:
    checked = check(body)
    json.dumps(checked.payload)
    json.dumps(checked.errors)
    mentions_of(checked.payload.get("content"), checked.payload.get("allowed_mentions"))


@pytest.mark.parametrize("key", ["content", "username", "embeds", "flags", "allowed_mentions"])
def test_deep_or_huge_value_is_refused_and_not_repeated(key: str) -> None:
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    for monster in (deep, {"parse": deep}, [{"color": deep, "timestamp": deep}], 10**4000):
        assert len(json.dumps(check({key: monster}).errors)) < 1000
