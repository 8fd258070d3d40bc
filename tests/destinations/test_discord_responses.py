"""What an answer means, row by row, as a pure function."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsind.destinations.discord_response import LONGEST_WINDOW, DiscordResponse
from tocsind.destinations.discord_table import outcome_of
from tocsind.destinations.http import Answer
from tocsind.destinations.rejections import Rejection
from tocsind.destinations.response import LONGEST_WAIT, bounded, bounded_reason
from tocsind.policy.outcomes import Cause, Deferred, Delivered, RateHeaders, Reach, Refused, Unknown

BETWEEN = "in words that are not Discord's: is a proxy, a firewall or a captive portal in between?"
HTML = b"<html><body><h1>Attention Required! | Cloudflare</h1></body></html>"


def json(status: int, body: Any, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, named, msgspec.json.encode(body))


def limited(seconds: Any, **headers: str) -> Answer:
    return json(429, {"message": "You are being rate limited.", "retry_after": seconds, "global": False}, **headers)


def means(answer: Answer) -> Any:
    return outcome_of(DiscordResponse(answer))


def limit(reason: str, wait: float, reach: Reach = Reach.ENDPOINT) -> Deferred:
    return Deferred(reason, Cause.LIMITED, reach, wait)


def kind(reason: str, wait: float | None) -> Deferred:
    return Deferred(reason, Cause.LIMITED, Reach.KIND, wait)


def test_message_id_proves_delivery() -> None:
    assert means(json(200, {"id": "123"})) == Delivered("123")


def told(**headers: str) -> RateHeaders | None:
    given = {"limit": "5", "remaining": "3", "reset_after": "1.234", **headers}
    return DiscordResponse(
        json(404, {}, **{f"x_ratelimit_{name}": value for name, value in given.items()})
    ).rate_headers


def test_any_answer_may_tell_of_the_webhooks_window() -> None:
    assert told() == RateHeaders(limit=5, remaining=3, reset_after=1.234)
    assert told(remaining="0", reset_after="60") == RateHeaders(limit=5, remaining=0, reset_after=LONGEST_WINDOW)


@pytest.mark.parametrize("after", ["", "nan", "-5", "soon", "inf", "60.1", "86400"])
def test_rate_window_with_a_senseless_end_is_ignored(after: str) -> None:
    assert told(reset_after=after) is None


@pytest.mark.parametrize("count", ["", "-1", "1.5", "many", "9" * 10_000])
@pytest.mark.parametrize("name", ["limit", "remaining"])
def test_rate_window_without_counts_is_ignored(name: str, count: str) -> None:
    assert told(**{name: count}) is None


def test_rate_window_with_impossible_counts_is_ignored() -> None:
    assert told(limit="0", remaining="0") is None
    assert told(limit="5", remaining="6") is None


@pytest.mark.parametrize(
    ("answer", "invalid"),
    [
        (json(401, {}), True),
        (json(403, {}), True),
        (limited(1), True),
        (limited(1, x_ratelimit_scope="user"), True),
        (limited(1, x_ratelimit_scope="global"), True),
        (Answer(429, {}, HTML), True),
        (limited(1, x_ratelimit_remaining="3"), True),  # no header says that it is shared
        (limited(1, x_ratelimit_scope="shared"), False),
        (json(404, {}), False),
        (json(400, {}), False),
        (json(200, {"id": "1"}), False),
    ],
)
def test_response_says_whether_cloudflare_counts_it_as_invalid(answer: Answer, invalid: bool) -> None:
    assert DiscordResponse(answer).is_invalid is invalid


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, {}, b'{"id": "12', whole=False),
        Answer(200, {"content-length": "11"}, b' {"id": "123'),
        Answer(201, {}, b'{"id": "1", "content": "\xe2'),
        Answer(200, {}, b" \r\n"),
        Answer(200, {}, HTML, whole=False),
        Answer(202),
    ],
)
def test_success_with_an_empty_or_cut_body_is_unknown(answer: Answer) -> None:
    assert means(answer) == Unknown(f"{answer.status} from Discord without a message id: it may have arrived")


@pytest.mark.parametrize(
    ("answer", "ambiguous"),
    [
        (Answer(200, {}, b"blocked by your administrator"), False),
        (Answer(200, {}, b"<html><body>Please log in</body></html>"), False),
        (Answer(202, {}, b"queued"), False),
        (json(200, []), False),
        (json(200, "ok"), False),
        (json(200, {"type": 0}), True),  # an API answers, which may be one that passes messages on
        (json(200, {"id": 5}), True),
        (json(200, {"id": ""}), True),
        (json(200, {"id": "9" * 1000}), True),
        (
            Answer(200, {"x-ratelimit-limit": "5"}, HTML),
            True,
        ),  # Discord has seen the request, and another wrote the body
    ],
)
def test_success_in_the_words_of_another_service_is_deferred(answer: Answer, ambiguous: bool) -> None:
    outcome = means(answer)
    assert (outcome.cause, outcome.ambiguous) == (Cause.FAILED, ambiguous)
    assert outcome.reason.startswith(f"{answer.status} {BETWEEN}")


def test_status_204_is_a_delivery_without_an_id() -> None:
    assert means(Answer(204)) == Delivered()


def test_user_429_blocks_the_webhook() -> None:
    answer = limited(0.3, retry_after="1", x_ratelimit_scope="user", x_ratelimit_remaining="4")
    assert means(answer) == limit("429 from Discord (user): 0.3 s", 0.3)


def test_shared_429_blocks_the_channel() -> None:
    answer = limited(3.2, x_ratelimit_scope="shared", x_ratelimit_remaining="0")
    assert means(answer) == limit("429 from Discord (shared): 3.2 s", 3.2, Reach.CHANNEL)


def test_unscoped_429_with_requests_left_blocks_the_channel() -> None:
    assert means(limited(2, x_ratelimit_remaining="4")) == limit("429 from Discord (shared): 2 s", 2.0, Reach.CHANNEL)


@pytest.mark.parametrize("remaining", ["", "0", "-1", "many"])
def test_unscoped_429_blocks_the_webhook(remaining: str) -> None:
    assert means(limited(2, x_ratelimit_remaining=remaining)) == limit("429 from Discord: 2 s", 2.0)


@pytest.mark.parametrize(
    "answer",
    [
        json(429, {"retry_after": 5, "global": True}),
        limited(5, x_ratelimit_scope="global"),
        limited(5, x_ratelimit_global="true"),
    ],
)
def test_global_429_blocks_every_webhook(answer: Answer) -> None:
    assert means(answer) == kind("429 from Discord (global): 5 s", 5.0)


@pytest.mark.parametrize(
    ("body", "header", "wait"),
    [
        (3.2, "4", 3.2),  # the same, rounded up
        (3.2, "3", 3.2),
        (3.2, "60", 60.0),
        (60, "3", 60.0),
        (0, "3", 3.0),
        (0, "", 1.0),
        (-5, "-7", 1.0),
        (1e300, "", LONGEST_WAIT),
        (2, "nan", 2.0),
        ("2.5", "", 2.5),
        (300, "1", 0.3),  # milliseconds, and whole seconds beside them
        (12_345, "13", 12.345),
        (12_345, "12", 12.345),  # rounded down
        (12_345, "14", 12_345.0),
        (120_000, "120", 120.0),  # compared before it is cut to a day
        (90_000_000, "90000", LONGEST_WAIT),
        ("120000", "120", 120.0),
        (120_000, "", LONGEST_WAIT),
        (90_000, "nan", LONGEST_WAIT),
        (5, "1", 5.0),
        (30, "1", 0.03),
        (300.5, "1", 300.5),
    ],
)
def test_wait_is_the_larger_one_within_bounds(body: Any, header: str, wait: float) -> None:
    assert means(limited(body, retry_after=header)).wait == wait


def test_milliseconds_are_recognised_by_the_end_of_the_window_when_that_is_the_only_header() -> None:
    answer = limited(120_000, x_ratelimit_reset_after="120.000", x_ratelimit_remaining="0")
    assert means(answer) == limit("429 from Discord: 120 s", 120.0)


def test_status_429_without_its_body_is_known_by_its_headers() -> None:
    answer = Answer(429, {"x-ratelimit-scope": "shared", "retry-after": "4"}, b'{"mess', whole=False)
    assert means(answer) == limit("429 from Discord (shared): 4 s", 4.0, Reach.CHANNEL)


@pytest.mark.parametrize(
    ("answer", "wait"),
    [
        (Answer(429, {"retry-after": "900"}, HTML), 900.0),
        (Answer(429, {}, HTML), None),
        (Answer(429), None),
        (Answer(429, {"retry-after": "0"}), None),
        (json(429, {"message": "slow down"}), None),
        (json(429, {"retry_after": None}), None),
        (json(429, {"retry_after": "nan"}, retry_after="1e99"), LONGEST_WAIT),
    ],
)
def test_foreign_429_is_a_block_by_cloudflare(answer: Answer, wait: float | None) -> None:
    length = "" if wait is None else f" for {wait:g} s"
    assert means(answer) == kind(f"429 from Cloudflare: this address is blocked{length}", wait)


@pytest.mark.parametrize(
    "body",
    [b"error code: 1010", b"error code: 1015\n", b"<html>Error 1020 Ray ID</html>", b"<p>Error code: 1006</p>"],
)
def test_cloudflare_403_blocks_every_webhook_and_disables_none(body: Any) -> None:
    outcome = means(Answer(403, {}, body))
    assert (outcome.cause, outcome.reach, outcome.wait) == (Cause.LIMITED, Reach.KIND, None)
    assert "error code 10" in outcome.reason


@pytest.mark.parametrize("status", [400, 403, 429])
def test_code_40333_is_cloudflares_block_whatever_the_status(status: int) -> None:
    outcome = means(json(status, {"message": "internal network error", "code": 40333}, retry_after="120"))
    assert (outcome.cause, outcome.reach, outcome.wait) == (Cause.LIMITED, Reach.KIND, 120.0)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 520, 522, 524, 529])
@pytest.mark.parametrize(
    "body", [b"", HTML, b'{"message": "500: Internal Server Error", "code": 0}', b"error code: 1016"]
)
def test_server_error_may_have_saved_the_message(status: int, body: Any) -> None:
    assert means(Answer(status, {}, body)) == Deferred(f"{status} from Discord", Cause.FAILED, ambiguous=True)


@pytest.mark.parametrize("status", [501, 505, 507, 511, 530, 599])
@pytest.mark.parametrize("body", [b"", HTML, b"error code: 1016"])
def test_server_error_before_processing_leaves_no_doubt(status: int, body: Any) -> None:
    assert means(Answer(status, {}, body)) == Deferred(f"{status} from Discord", Cause.FAILED)


def test_server_error_may_say_when_to_try_again() -> None:
    assert means(Answer(503, {"retry-after": "30"})).wait == 30.0
    assert means(Answer(503, {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"})).wait is None


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (404, 10015, "Unknown Webhook"),
        (401, 50027, "Invalid Webhook Token"),
        (401, 0, "401: Unauthorized"),
        (404, 0, "404: Not Found"),
        (404, 0, "no such thing"),
    ],
)
def test_missing_webhook_disables_its_destination(status: int, code: int, words: str) -> None:
    answer = json(status, {"message": words, "code": code})
    assert means(answer) == Refused(f"{status} from Discord: {words}", disable=True)


FOREIGN = {
    "a page": HTML,
    "text": b"404 page not found",
    "nothing": b"",
    "cut JSON": b'{"message": "Unknown Web',
    "no object": b'["Unknown Webhook"]',
    "JSON of a gateway": b'{"error": "not found"}',
    "JSON with a message": b'{"message": "no Route matched with those values"}',
    "JSON with its own code": b'{"code": 404, "message": "Not Found"}',
    "JSON of gRPC": b'{"code": 5, "message": "Not Found", "details": []}',
    "JSON with a code in words": b'{"code": "10015", "message": "Unknown Webhook"}',
    "JSON with true for a code": b'{"code": true, "message": "Unknown Webhook"}',
    "JSON with a code of 0 and no words": b'{"code": 0}',
    "JSON with lists": b'{"errors": ["upstream is gone"]}',
}


@pytest.mark.parametrize("status", [101, 400, 401, 402, 403, 404, 407, 410, 418, 421, 451, 499, 600])
@pytest.mark.parametrize("body", FOREIGN.values(), ids=FOREIGN.keys())
def test_words_that_are_not_discords_defer_the_alert_and_disable_nothing(status: int, body: Any) -> None:
    outcome = means(Answer(status, {}, body))
    assert (outcome.cause, outcome.reach, outcome.ambiguous) == (Cause.FAILED, Reach.DELIVERY, False)
    assert outcome.reason.startswith(f"{status} {BETWEEN}")


def test_foreign_page_is_named_by_its_title_without_addresses() -> None:
    page = b"<html><head><title> Just a\nmoment... https://x.y/z </title></head></html>"
    assert means(Answer(403, {}, page)) == Deferred(f"403 {BETWEEN} (Just a moment... \N{HORIZONTAL ELLIPSIS})")


def test_answer_of_a_proxy_may_say_when_to_try_again() -> None:
    assert means(Answer(407, {"retry-after": "30"})).wait == 30.0


@pytest.mark.parametrize(("status", "code"), [(403, 0), (405, 0), (410, 0), (451, 0)])
def test_other_refusals_are_final(status: int, code: int) -> None:
    assert means(json(status, {"message": "No", "code": code})) == Refused(f"{status} from Discord: No")


@pytest.mark.parametrize(("status", "code"), [(404, 10003), (403, 50013), (400, 220001), (400, 220004)])
def test_response_table_makes_a_doubtful_refusal_a_strike(status: int, code: int) -> None:
    assert means(json(status, {"message": "No", "code": code})) == Refused(f"{status} from Discord: No", strike=True)


def test_invalid_form_names_the_faulty_parts() -> None:
    errors = {
        "embeds": {
            "3": {
                "title": {"_errors": [{"code": "BASE_TYPE_MAX_LENGTH", "message": "Must be 256 or fewer in length."}]}
            }
        },
        "username": {"_errors": [{"code": "X", "message": "Bad"}, {"code": "Y", "message": "Worse"}]},
        "_errors": [{"code": "Z", "message": "Everything"}],
    }
    answer = json(400, {"message": "Invalid Form Body", "code": 50035, "errors": errors})
    told = "embeds.3.title: Must be 256 or fewer in length.; username: Bad; username: Worse; Everything"
    items = {3: ": title: Must be 256 or fewer in length."}
    assert means(answer) == Rejection(f"400 from Discord: {told}", items, frozenset({"username"}))


def test_invalid_form_in_the_older_format_names_the_faulty_parts() -> None:
    answer = json(400, {"embeds": ["0", "7"], "content": ["Must be 2000 or fewer in length."]})
    told = "embeds.0; embeds.7; content: Must be 2000 or fewer in length."
    items = {0: "", 7: ""}
    assert means(answer) == Rejection(f"400 from Discord: {told}", items, frozenset({"content"}))


@pytest.mark.parametrize("errors", [None, [], {"a": 1}, {"_errors": {}}, {"_errors": [1]}, {"_errors": [{}]}])
def test_malformed_error_tree_is_tolerated(errors: Any) -> None:
    answer = json(400, {"message": "Invalid Form Body", "code": 50035, "errors": errors})
    assert means(answer).reason.startswith("400 from Discord: ")


def test_error_tree_of_any_depth_is_tolerated() -> None:
    body = b'{"code": 50035, "errors": ' + b'{"a":' * 500 + b"1" + b"}" * 501
    assert means(Answer(400, {}, body)) == Rejection("400 from Discord")


def test_error_tree_of_any_width_is_tolerated() -> None:
    errors = {"embeds": {str(place): {"_errors": [{"message": "no"}] * 50} for place in range(5000)}}
    fault = means(json(400, {"code": 50035, "errors": errors}))
    assert len(fault.reason) < 400
    assert len(fault.items) < 10


@pytest.mark.parametrize(
    "answer", [Answer(413), Answer(413, {}, HTML), json(413, {"code": 40005}), json(400, {"code": 50045})]
)
def test_message_that_is_too_large_is_a_rejection(answer: Answer) -> None:
    assert means(answer) == Rejection(f"{answer.status} from Discord: too large")


@pytest.mark.parametrize(("status", "code"), [(400, 200000), (403, 20009), (400, 240000), (400, 50006), (400, 0)])
def test_response_table_makes_a_blocked_text_an_incurable_rejection(status: int, code: int) -> None:
    assert means(json(status, {"message": "No", "code": code})) == Rejection(
        f"{status} from Discord: No", curable=False
    )


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308, 399])
def test_redirect_is_deferred_and_not_followed(status: int) -> None:
    assert means(Answer(status, {"location": "https://evil.example"}, HTML)) == Deferred(
        f"{status}: a redirect, which is never followed; is a proxy or a captive portal in between?"
    )


def test_request_timeout_of_the_server_is_deferred() -> None:
    assert means(Answer(408)) == Deferred("408: the request did not get through")


def test_reason_from_the_server_contains_no_address_and_no_token() -> None:
    token = "aB3-_" * 14
    answer = json(
        403, {"message": f"https://discord.com/api/webhooks/1/{token} is\n\x1b[31m bad {token}", "code": 50013}
    )
    assert means(answer) == Refused("403 from Discord: … is bad …", strike=True)


def test_reason_from_the_server_is_cut() -> None:
    assert bounded_reason("word " * 100) == ("word " * 24)[:119] + "…"


_headers = st.dictionaries(
    st.sampled_from(
        ["retry-after"] + [f"x-ratelimit-{name}" for name in ("scope", "global", "limit", "remaining", "reset-after")]
    ),
    st.one_of(st.text(max_size=10), st.sampled_from(["0", "3", "nan", "-1", "1e999", "global", "true", "shared"])),
)
_json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(allow_nan=False, allow_infinity=False), st.integers(), st.text()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["id", "code", "message", "retry_after", "global", "errors", "_errors", "embeds", "1", "username"]
            ),
            inner,
            max_size=5,
        ),
    ),
    max_leaves=12,
)
_bodies = st.one_of(st.binary(max_size=50), _json.map(msgspec.json.encode))


@given(status=st.integers(0, 999), headers=_headers, body=_bodies, whole=st.booleans())
def test_any_answer_has_a_meaning_and_no_wait_is_absurd(
    status: int, headers: dict[str, str], body: Any, whole: bool
) -> None:
    reading = DiscordResponse(Answer(status, headers, body, whole))
    outcome = outcome_of(reading)
    assert 0.0 <= (getattr(outcome, "wait", None) or 0.0) <= LONGEST_WAIT
    assert isinstance(outcome, Delivered) or 0 < len(outcome.reason) < 400
    if isinstance(outcome, Deferred) and outcome.cause is Cause.LIMITED:
        assert outcome.wait is None or outcome.wait > 0
        assert outcome.wait is not None or outcome.reach is Reach.KIND
    if reading.rate_headers is not None:
        assert 0 <= reading.rate_headers.remaining <= reading.rate_headers.limit
        assert 0 <= reading.rate_headers.reset_after <= LONGEST_WINDOW


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (1.5, 1.5),
        ("2", 2.0),
        (-1, 0.0),
        (float("nan"), None),
        (float("inf"), None),
        (10**400, None),
        (True, None),
        ({}, None),
    ],
)
def test_seconds_are_bounded(value: Any, seconds: Any) -> None:
    assert bounded(value) == seconds
