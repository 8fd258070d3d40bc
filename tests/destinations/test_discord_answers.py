"""What an answer means, row by row, as a pure function."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsind.destinations.answers import LONGEST_WAIT, bounded, meaning, said
from tocsind.destinations.http import Answer
from tocsind.policy.outcomes import Cause, Deferred, Delivered, Reach, Refused, Unknown

HTML = b"<html><body><h1>Attention Required! | Cloudflare</h1></body></html>"


def json(status: int, body: Any, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, named, msgspec.json.encode(body))


def limited(seconds: Any, **headers: str) -> Answer:
    return json(429, {"message": "You are being rate limited.", "retry_after": seconds, "global": False}, **headers)


def means(answer: Answer) -> Any:
    return meaning(answer)


def lane(reason: str, wait: float) -> Deferred:
    return Deferred(reason, Cause.LIMITED, Reach.LANE, wait)


def kind(reason: str, wait: float) -> Deferred:
    return Deferred(reason, Cause.LIMITED, Reach.KIND, wait)


def test_a_message_id_proves_delivery() -> None:
    assert means(json(200, {"id": "123"})) == Delivered("123")


def test_the_last_free_slot_asks_for_a_pause() -> None:
    spent = json(200, {"id": "1"}, x_ratelimit_remaining="0", x_ratelimit_reset_after="1.234")
    assert means(spent) == Delivered("1", pause=1.234)


def test_slots_left_ask_for_none() -> None:
    assert means(json(200, {"id": "1"}, x_ratelimit_remaining="4", x_ratelimit_reset_after="2")) == Delivered("1")


@pytest.mark.parametrize("reset", ["", "nan", "-5", "soon", "inf"])
def test_a_pause_that_makes_no_sense_is_none(reset: str) -> None:
    assert means(json(200, {"id": "1"}, x_ratelimit_remaining="0", x_ratelimit_reset_after=reset)) == Delivered("1")


@pytest.mark.parametrize(
    "answer",
    [
        json(200, {"type": 0}),
        json(200, {"id": 5}),
        json(200, {"id": ""}),
        json(200, {"id": "9" * 1000}),
        json(200, []),
        Answer(200, {}, HTML),
        Answer(200, {}, b'{"id": "12', whole=False),
        Answer(204),
        Answer(202),
    ],
)
def test_a_success_without_proof_is_unknown(answer: Answer) -> None:
    assert means(answer) == Unknown(f"{answer.status} from Discord without a message id: it may have arrived")


def test_a_429_of_the_user_closes_the_lane() -> None:
    answer = limited(0.3, retry_after="1", x_ratelimit_scope="user")
    assert means(answer) == lane("429 from Discord (user): 0.3 s", 0.3)


def test_a_429_of_the_channel_closes_the_lane() -> None:
    assert means(limited(3.2, x_ratelimit_scope="shared")) == lane("429 from Discord (shared): 3.2 s", 3.2)


def test_a_429_without_a_scope_closes_the_lane() -> None:
    assert means(limited(2)) == lane("429 from Discord: 2 s", 2.0)


@pytest.mark.parametrize(
    "answer",
    [
        json(429, {"retry_after": 5, "global": True}),
        limited(5, x_ratelimit_scope="global"),
        limited(5, x_ratelimit_global="true"),
    ],
)
def test_a_global_429_closes_every_lane_of_the_kind(answer: Answer) -> None:
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
    ],
)
def test_the_larger_wait_counts_within_reason(body: Any, header: str, wait: float) -> None:
    assert means(limited(body, retry_after=header)).wait == wait


def test_a_429_whose_body_was_lost_is_still_discords_by_its_headers() -> None:
    answer = Answer(429, {"x-ratelimit-scope": "shared", "retry-after": "4"}, b'{"mess', whole=False)
    assert means(answer) == lane("429 from Discord (shared): 4 s", 4.0)


@pytest.mark.parametrize(
    ("answer", "wait"),
    [
        (Answer(429, {"retry-after": "900"}, HTML), 900.0),
        (Answer(429, {}, HTML), 60.0),
        (Answer(429), 60.0),
        (json(429, {"message": "slow down"}), 60.0),
        (json(429, {"retry_after": None}), 60.0),
        (json(429, {"retry_after": "nan"}, retry_after="1e99"), LONGEST_WAIT),
    ],
)
def test_a_429_that_is_not_discords_means_that_cloudflare_blocks_us(answer: Answer, wait: float) -> None:
    assert means(answer) == kind(f"429 from Cloudflare: this address is blocked for {wait:g} s", wait)


@pytest.mark.parametrize(
    "body",
    [b"error code: 1010", b"error code: 1015\n", b"<html>Error 1020 Ray ID</html>", b"<p>Error code: 1006</p>"],
)
def test_a_403_in_cloudflares_words_blocks_every_lane_and_disables_none(body: Any) -> None:
    outcome = means(Answer(403, {}, body))
    assert (outcome.cause, outcome.reach, outcome.wait) == (Cause.LIMITED, Reach.KIND, 60.0)
    assert "error code 10" in outcome.reason


@pytest.mark.parametrize("status", [400, 403, 429])
def test_code_40333_is_cloudflares_block_whatever_the_status(status: int) -> None:
    outcome = means(json(status, {"message": "internal network error", "code": 40333}, retry_after="120"))
    assert (outcome.cause, outcome.reach, outcome.wait) == (Cause.LIMITED, Reach.KIND, 120.0)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 520, 524, 530])
@pytest.mark.parametrize(
    "body", [b"", HTML, b'{"message": "500: Internal Server Error", "code": 0}', b"error code: 1016"]
)
def test_a_failing_server_may_have_saved_it(status: int, body: Any) -> None:
    assert means(Answer(status, {}, body)) == Deferred(f"{status} from Discord", Cause.FAILED, ambiguous=True)


def test_a_failing_server_may_say_when_it_will_be_back() -> None:
    assert means(Answer(503, {"retry-after": "30"})).wait == 30.0
    assert means(Answer(503, {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"})).wait is None


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (404, 10015, "Unknown Webhook"),
        (401, 50027, "Invalid Webhook Token"),
        (401, 0, "401: Unauthorized"),
        (404, 0, "404"),
    ],
)
def test_a_webhook_that_is_gone_disables_its_destination(status: int, code: int, words: str) -> None:
    answer = json(status, {"message": words, "code": code})
    assert means(answer) == Refused(f"{status} from Discord: {words}", disable=True)


@pytest.mark.parametrize("status", [401, 403, 404, 405, 451])
def test_a_web_page_is_not_discords_word_and_disables_nothing(status: int) -> None:
    outcome = means(Answer(status, {}, HTML))
    assert outcome == Refused(f"{status} with a web page, not from Discord: is a proxy in between?")


@pytest.mark.parametrize(("status", "code"), [(403, 50013), (404, 10003), (403, 0), (400, 50006), (405, 0), (410, 0)])
def test_other_refusals_are_this_deliverys_alone(status: int, code: int) -> None:
    assert means(json(status, {"message": "No", "code": code})) == Refused(f"{status} from Discord: No")


def test_a_malformed_form_is_refused_with_each_path() -> None:
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
    told = "Everything; embeds.3.title: Must be 256 or fewer in length.; username: Bad; username: Worse"
    assert means(answer) == Refused(f"400 from Discord: {told}")


@pytest.mark.parametrize("errors", [None, [], {"a": 1}, {"_errors": {}}, {"_errors": [1]}, {"_errors": [{}]}])
def test_a_malformed_complaint_is_borne(errors: Any) -> None:
    answer = json(400, {"message": "Invalid Form Body", "code": 50035, "errors": errors})
    assert means(answer).reason.startswith("400 from Discord: ")


def test_a_complaint_of_any_depth_is_borne() -> None:
    body = b'{"code": 50035, "errors": ' + b'{"a":' * 500 + b"1" + b"}" * 501
    assert isinstance(means(Answer(400, {}, body)), Refused)


@pytest.mark.parametrize("answer", [Answer(413), json(413, {"code": 40005}), json(400, {"code": 50045})])
def test_what_is_too_large_is_refused(answer: Answer) -> None:
    assert means(answer) == Refused(f"{answer.status} from Discord: too large")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_refused(status: int) -> None:
    assert means(Answer(status, {"location": "https://evil.example"}, HTML)) == Refused(
        f"{status}: a redirect, which is never followed"
    )


def test_a_request_that_timed_out_before_it_was_read_is_only_deferred() -> None:
    assert means(Answer(408)) == Deferred("408: the request did not get through")


def test_what_the_far_end_says_carries_no_address_and_no_token() -> None:
    token = "aB3-_" * 14
    answer = json(
        403, {"message": f"https://discord.com/api/webhooks/1/{token} is\n\x1b[31m bad {token}", "code": 50013}
    )
    assert means(answer) == Refused("403 from Discord: … is [31m bad …")


def test_what_the_far_end_says_is_cut() -> None:
    assert said("word " * 100) == ("word " * 24)[:119] + "…"


_headers = st.dictionaries(
    st.sampled_from(
        ["retry-after", "x-ratelimit-scope", "x-ratelimit-global", "x-ratelimit-remaining", "x-ratelimit-reset-after"]
    ),
    st.one_of(st.text(max_size=10), st.sampled_from(["0", "nan", "-1", "1e999", "global", "true", "shared"])),
)
_json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(allow_nan=False, allow_infinity=False), st.integers(), st.text()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["id", "code", "message", "retry_after", "global", "errors", "_errors", "x"]),
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
    outcome = means(Answer(status, headers, body, whole))
    wait = outcome.pause if isinstance(outcome, Delivered) else getattr(outcome, "wait", None) or 0.0
    assert 0.0 <= wait <= LONGEST_WAIT
    assert isinstance(outcome, Delivered) or 0 < len(outcome.reason) < 400
    if isinstance(outcome, Deferred) and outcome.cause is Cause.LIMITED:
        assert wait > 0


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
