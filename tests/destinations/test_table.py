"""The default table of answers, for any HTTP service, and the page that is made from the tables."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tocsind.config.kinds import KINDS
from tocsind.destinations import kinds_page
from tocsind.destinations.http import Answer
from tocsind.destinations.rejections import Rejection
from tocsind.destinations.response import Response
from tocsind.destinations.table import ANY_SERVICE, Row, delivered, judge, refused
from tocsind.destinations.table_page import page
from tocsind.policy.outcomes import Cause, Deferred, Delivered, Outcome, Reach, Refused
from tocsind.secret import Secret


def outcome(status: int, body: object = None, **headers: str) -> Outcome | Rejection:
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return judge(Response(Answer(status, named, content)), ANY_SERVICE)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_any_service_accepts_with_every_2xx(status: int) -> None:
    assert outcome(status, b"ok") == Delivered()


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry_after": "30"}, 30.0),
        ({"retry_after": "Sun, 29 Nov 2026 12:01:30 GMT", "date": "Sun, 29 Nov 2026 12:00:00 GMT"}, 90.0),
        ({"retry_after": "Sun, 29 Nov 2026 12:01:30 GMT"}, None),
        ({"retry_after": "Sun, 29 Nov 2026 12:01:30 GMT", "date": "29 Nov 2026 12:00:00 -0000"}, 90.0),
        ({"retry_after": "Sun, 29 Nov 2026 11:01:30 GMT", "date": "29 Nov 2026 12:00:00 -0000"}, 0.0),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "9999999"}, 86400.0),
        ({}, None),
    ],
)
def test_limit_of_any_service_holds_for_its_endpoint_as_long_as_stated(
    headers: dict[str, str], wait: float | None
) -> None:
    found = outcome(429, {"message": "slow down"}, **headers)
    assert isinstance(found, Deferred)
    assert (found.cause, found.reach, found.wait) == (Cause.LIMITED, Reach.ENDPOINT, wait)


def test_date_of_a_limit_is_measured_by_this_hosts_clock_where_the_server_sends_none() -> None:
    response = Response(Answer(429, {"retry-after": "Thu, 01 Jan 2026 00:00:40 GMT"}))
    response.received = 1_767_225_600.0
    assert response.wait == 40.0


@pytest.mark.parametrize(
    ("status", "ambiguous"), [(408, False), (425, False), (500, True), (501, False), (503, True), (521, True)]
)
def test_failure_of_any_service_is_deferred(status: int, ambiguous: bool) -> None:
    found = outcome(status)
    assert isinstance(found, Deferred)
    assert (found.cause, found.ambiguous) == (Cause.FAILED, ambiguous)


def test_refusal_of_any_service_names_it_and_quotes_its_words() -> None:
    assert outcome(401, {"error": "no"}) == Refused("401 from the server: no", disable=True)
    assert outcome(410) == Refused("410 from the server", disable=True)
    assert outcome(403, {"description": "kicked"}) == Refused("403 from the server: kicked", strike=True)
    assert outcome(405) == Refused("405 from the server")


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_rejected_message_may_be_sent_in_another_format(status: int) -> None:
    found = outcome(status)
    assert isinstance(found, Rejection)
    assert found.curable


def test_table_has_a_meaning_for_every_answer() -> None:
    assert all(outcome(status) for status in range(1000))


def test_redirect_is_not_followed() -> None:
    assert isinstance(outcome(302, location="http://elsewhere/"), Deferred)


@pytest.mark.parametrize(
    "told",
    [
        "123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsawA",
        "xoxb-1234567890-abcdefgh",
        "tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2",
        "uQiRzpo4DXghDmr9QzzfQu27cmVRsG",
        "my-own-topic-name",
    ],
)
def test_quoted_secrets_and_what_looks_like_one_are_masked(told: str) -> None:
    Secret("my-own-topic-name")
    found = outcome(403, {"error": f"{told} is not allowed"})
    assert isinstance(found, Refused)
    assert told not in found.reason
    assert "is not allowed" in found.reason


def test_row_fits_by_status_code_and_words() -> None:
    class Coded(Response):
        @property
        def code(self) -> str:
            return str(self.body.get("error"))

    table = (
        Row({200}, {"gone"}, refused),
        Row({200}, None, refused, says="not MODIFIED"),
        Row(range(1000), None, delivered),
    )
    answers = [{"error": "gone"}, {"error": "x", "message": "is Not modified"}, {"error": "fine"}]
    found = [judge(Coded(Answer(200, {}, msgspec.json.encode(each))), table) for each in answers]
    assert [type(each) for each in found] == [Refused, Refused, Delivered]


def test_page_of_answers_is_made_from_the_tables() -> None:
    kept = Path(__file__).parents[2] / "docs/reference/answers.md"
    assert page() == kept.read_text(), "run `make reference`"
    assert "| 401, 410 |  | refused, and the destination is disabled |" in page()
    assert "| 500, 502-504, 520-529 |  | deferred, and it may have been saved |" in page()


def test_page_of_kinds_is_made_from_the_code_and_has_every_kind() -> None:
    kept = Path(__file__).parents[2] / "docs/reference/kinds.md"
    assert kinds_page.page() == kept.read_text(), "run `make reference`"
    assert {row.kind for row in kinds_page.ROWS} == set(KINDS)
    assert "| discord | edited in place, silently | 10 | yes | yes |  | 10 MiB | marked | 30/min |" in kinds_page.page()
