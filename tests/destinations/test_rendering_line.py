"""The line of content: what a lock screen shows, once, and it notifies only those whom the configuration names."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.destinations.saved_messages import slowly, stored
from tests.destinations.signals import ACCEPTED, delivery

from tocsin.signals import PRIORITIES
from tocsind.policy.delivery import Delivery, LiveUpdate
from tocsind.policy.live_message import Line, LiveMessage
from tocsind.rendering.discord import Notify, living_message, message
from tocsind.testing.mentions import mentions_of
from tocsind.testing.reader import alerts_in

ALL = Notify(push=PRIORITIES)
USUAL = Notify(push=("urgent", "high"))


def lines(payload: dict[str, Any]) -> list[str]:
    return str(payload.get("content", "")).split("\n")


def test_message_with_a_line_says_title_and_leading_facts_once() -> None:
    alert = delivery("disk full", body="see df", priority="urgent", fields={"used": "97 %", "host": "db1"})
    payload = message([alert], notify=USUAL)
    assert payload["content"] == "🚨 disk full · used 97 %"
    [embed] = payload["embeds"]
    assert "title" not in embed
    assert embed["description"] == "see df"
    assert [field["name"] for field in embed["fields"]] == ["host"]


def test_alert_of_another_priority_has_its_title_in_its_embed() -> None:
    payload = message([delivery("disk full")], notify=USUAL)
    assert "content" not in payload
    assert payload["embeds"][0]["title"] == "disk full"


def test_link_below_a_line_says_where_it_leads() -> None:
    payload = message([delivery("disk full", link="https://grafana.example.com/d/1")], notify=ALL)
    assert payload["embeds"][0]["title"] == "grafana.example.com/d/1"
    assert payload["embeds"][0]["url"] == "https://grafana.example.com/d/1"


def test_lines_of_several_alerts_are_labelled_and_others_keep_their_titles() -> None:
    batch = [delivery("one", priority="urgent"), delivery("two"), delivery("three", priority="high", body="why")]
    payload = message(batch, notify=USUAL)
    assert lines(payload) == ["① 🚨 one", "② ❗ three"]
    assert [made.get("title") for made in payload["embeds"]] == ["①", "two", "②"]
    assert [alert.title for alert in alerts_in(payload)] == ["one", "two", "three"]


def test_doubt_and_lateness_stand_in_the_line() -> None:
    alert = msgspec.structs.replace(delivery("disk full", priority="high", doubt=True), tried=ACCEPTED + 600)
    payload = message([alert], notify=USUAL)
    assert payload["content"] == "❗ disk full · 10m late · possible duplicate"
    assert "duplicate" not in str(payload["embeds"])


def test_mentions_stand_behind_the_line() -> None:
    payload = message([delivery("disk full", priority="high")], notify=USUAL._replace(mentions=("role:1", "here")))
    assert payload["content"] == "❗ disk full <@&1> @here"


def test_title_that_does_not_fit_the_line_is_whole_in_the_embed() -> None:
    batch = [delivery("w" * 250, priority="urgent", fields={"used": 97})] * 10
    payload = message(batch, notify=USUAL._replace(mentions=tuple(f"role:{n:018}" for n in range(50))))
    assert len(payload["content"]) <= 2000
    assert lines(payload)[0].endswith("…")
    assert payload["embeds"][0]["title"] == f"① {'w' * 250}"
    assert payload["embeds"][0]["fields"][0]["name"] == "used"


def test_address_in_a_title_gets_no_preview() -> None:
    payload = message([delivery("see https://x.example/a_b, now", priority="high")], notify=USUAL)
    assert payload["content"] == "❗ see <https://x.example/a_b>, now"


@pytest.mark.parametrize(("priority", "content"), [("high", "❗ closed"), ("normal", "")])
def test_edit_replaces_the_line_and_removes_one_that_no_longer_holds(priority: str, content: str) -> None:
    update = living("closed", priority, edits="m1")
    assert living_message(update, notify=USUAL)["content"] == content


def test_embed_of_an_alert_that_its_line_says_whole_shows_the_time() -> None:
    [embed] = message([delivery("disk full", priority="high")], notify=USUAL)["embeds"]
    assert embed["description"] == "<t:1767225600:f>"
    assert not embed.keys() & {"title", "fields", "timestamp"}


# --- whom it notifies -----------------------------------------------------------------------------------------------------


def living(title: str, priority: str, edits: str | None, body: str = "") -> LiveUpdate:
    shown = delivery(title, priority=priority, body=body)
    history = (Line(1, ACCEPTED, title), Line(2, ACCEPTED, title))
    return LiveUpdate("key", "webhook", edits, LiveMessage(edits, history), shown)


_PINGS = st.sampled_from(
    ["@everyone", "@here", "<@1>", "<@!1>", "<@&1>", "<@2>", "<@&2>", "\\<@1>", "`<@1>`", "@\u200beveryone", "<@", "&1>", "1>", "@",
     "everyone", " ", "[a](https://x.example)", "https://x.example/<@1>", "https://x.example/@everyone", "<https://x.example/@here>",
     "\n", "\u200b", "\x1b[1m", "*"]
)  # fmt: skip
_hostile = st.lists(_PINGS, min_size=1, max_size=8).map("".join)
_named = st.sets(st.sampled_from(["role:1", "user:1", "everyone", "here"])).map(tuple)
_alerts = st.lists(
    st.builds(
        lambda title, body, priority, name, doubt: delivery(
            title,
            body=body,
            priority=priority,
            fields={name: title},
            symbol=name,
            tags=[name],
            source=title,
            doubt=doubt,
        ),
        _hostile.filter(lambda text: text.strip()),
        _hostile,
        st.sampled_from(PRIORITIES),
        _hostile,
        st.booleans(),
    ),
    min_size=1,
    max_size=4,
)


def pinged(payload: dict[str, Any]) -> set[str]:
    """Whom Discord notifies: what the stored content mentions, as far as it is permitted."""
    saved = stored(payload).payload
    found = mentions_of(saved.get("content"), saved["allowed_mentions"])
    everyone = {"everyone"} if found.everyone else set()
    return {*(f"role:{id_}" for id_ in found.roles), *(f"user:{id_}" for id_ in found.users), *everyone}


def meant(mentions: Collection[str]) -> set[str]:
    return {"everyone" if each == "here" else each for each in mentions}


@slowly
@given(batch=_alerts, mentions=_named, push=st.sets(st.sampled_from(PRIORITIES)), username=st.none() | _hostile)
def test_message_notifies_exactly_those_whom_the_configuration_names(
    batch: list[Delivery], mentions: tuple[str, ...], push: set[str], username: str | None
) -> None:
    notify = Notify(mentions, push=tuple(push))
    payload = message(batch, username, notify)
    assert pinged(payload) == meant(mentions)
    own = payload.get("content", "").removesuffix(message([delivery()], notify=Notify(mentions)).get("content", ""))
    everything = {"parse": ["everyone", "roles", "users"]}
    assert not mentions_of(own, everything), "no text of an alert is a mention, whatever is permitted"


@slowly
@given(title=_hostile.filter(lambda text: text.strip()), priority=st.sampled_from(PRIORITIES), mentions=_named)
def test_edit_notifies_no_reader(title: str, priority: str, mentions: tuple[str, ...]) -> None:
    notify = Notify(mentions, push=PRIORITIES)
    edit = living_message(living(title, priority, "m1", title), "Bell", notify)
    assert pinged(edit) == set()
    assert pinged(living_message(living(title, priority, None, title), "Bell", notify)) == meant(mentions)
