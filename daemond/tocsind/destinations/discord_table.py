"""What an answer of Discord's means, as a table: the first row that fits decides.

       status      code             meaning
       2xx         message id       delivered
       204         -                delivered, without an id: a proxy dropped `wait=true`, which is said once
       2xx         -, empty or cut  unknown: accepted, but nothing proves that it was saved
       2xx         -                deferred: not Discord's answer (see below); in doubt when Discord's headers or JSON came
       any         40333            deferred, for every lane: Cloudflare blocks this address
       403, 429    10xx             the same, in Cloudflare's format; its 530s with such a code are failures behind it
       429         -                deferred, as far as the limit reaches: webhook (user), channel (shared, or told while some remain),
                                    every lane (global, or Cloudflare's own)
       408         -                deferred: a front server did not get the whole request, nothing was processed
       500, 502,   -                deferred, and it may have been saved
       503, 504,
       52x
       5xx         -                deferred
       413         -                rejection: too large, from Discord or from a proxy
       any         not Discord's    deferred: not Discord's answer; so is every redirect, which would send the token to another host
       401         -                refused, and the destination is disabled: its token is wrong
       404         10003            refused, and a strike: three in a row disable the destination
       404         -                refused, and the destination is disabled: the webhook was deleted
       403         50013            refused, and a strike: no permission
       400         220001, 220004   refused, and a strike: a forum wants a thread, whatever the message
       400         50035            rejection: `discord_rejections` finds which delivery it is about
       4xx         40005, 50045     rejection: too large
       4xx         20009, 200000,   rejection that no other format cures: a filter blocked words of a signal
                   240000
       400         -                the same
       else        -                refused: repeating another 4xx changes nothing

For every refusal: the same answer to three different alerts in a row, with no delivery between, disables the destination (policy.refusals).

An answer is Discord's own when its body is JSON with an error code (`DiscordResponse.is_own`). Anything else (a web page, plain text,
a gateway's JSON, an empty body) comes from a proxy, a firewall or a captive portal in between. It says nothing about the alert or the
webhook. So it kills no alert and disables no destination: it counts as a failure for the breaker, status and alarms.

An edit has rows of its own, which come first:

       404         10003, 10015     as above: the channel or the webhook is gone
       404         -                the message is gone: post again. If more than the message is gone, the post will show it
       405         -                the same, from any server: a proxy that refuses PATCH may accept POST
       4xx         30046            the message is too old to be edited again so soon: post again
       4xx         50005, 50083     another author's message, or a closed thread: post again
       else        -                as above, but never ambiguous: an edit can be repeated

Cloudflare's refusals are text (`error code: 1010`); they share the column of codes, because Discord's own codes have one digit or five.
When Cloudflare does not say how long it blocks, the outcome does not either; `policy.rate_limits` learns it from all blocks.
"""

from __future__ import annotations

from typing import Final

import msgspec

from tocsind.policy.live_message import of_edit
from tocsind.policy.outcomes import Cause, Deferred, Delivered, Outcome, Reach

from .discord_rejections import has_names, named_in
from .discord_response import DiscordResponse
from .rejections import Rejection
from .table import (
    EVERY,
    FIVE,
    FOUR,
    IN_DOUBT,
    THREE,
    TWO,
    Row,
    answered_between,
    between,
    content_blocked,
    delivered,
    failed,
    failed_before,
    gone,
    judge,
    no_proof,
    not_received,
    post_again,
    redirected,
    refused,
    strike,
    taken_between,
    too_large,
)


def outcome_of(response: DiscordResponse) -> Outcome | Rejection:
    """The outcome of every delivery in the message, or a rejection that `rejections` assigns."""
    return judge(response, TABLE)


def outcome_of_edit(response: DiscordResponse) -> Outcome | Rejection:
    """The same for the answer to an edit."""
    found = judge(response, EDITS, TABLE)
    return found if isinstance(found, Rejection) else of_edit(found)


def _accepted_without_id(_: DiscordResponse) -> Outcome:
    """delivered, without an id: a proxy dropped `wait=true`"""
    return Delivered()


def _blocked(response: DiscordResponse) -> Outcome:
    """deferred, for all destinations: Cloudflare blocks this host"""
    wait = response.seconds("retry-after") or None
    code = f" (error code {response.code})" if response.code else ""
    length = "" if wait is None else f" for {wait:g} s"
    reason = f"{response.status} from Cloudflare{code}: this address is blocked{length}"
    return Deferred(reason, Cause.LIMITED, Reach.KIND, wait)


_REACH: Final = {"global": Reach.KIND, "shared": Reach.CHANNEL}


def _limited(response: DiscordResponse) -> Outcome:
    """deferred, as far as the limit reaches: webhook, channel, or all destinations"""
    wait, scope = response.wait, response.scope
    named = f" ({scope})" if scope else ""
    reason = f"429 from Discord{named}: {wait:g} s"
    return Deferred(reason, Cause.LIMITED, _REACH.get(scope, Reach.ENDPOINT), wait)


def _taken_between(response: DiscordResponse) -> Outcome:
    """deferred: not Discord's answer; in doubt when Discord's headers or JSON came"""
    found = taken_between(response)
    assert isinstance(found, Deferred)
    return msgspec.structs.replace(found, ambiguous=response.has_rate_headers or bool(response.body))


def _has_id(response: DiscordResponse) -> bool:
    """With a message id"""
    return response.proof is not None


def _is_empty(response: DiscordResponse) -> bool:
    """empty, or cut off"""
    return response.is_empty_body


def _is_own(response: DiscordResponse) -> bool:
    """Discord's own error"""
    return response.is_own


def _states_wait(response: DiscordResponse) -> bool:
    """Discord's own limit"""
    return response.is_discords_limit


def _has_names(response: DiscordResponse) -> bool:
    """Names parts of the message"""
    return has_names(response)


EDITS: Final[tuple[Row[DiscordResponse], ...]] = (
    Row({404}, {10003}, strike),
    Row({404}, {10015}, gone),
    Row({404}, None, post_again, _is_own),
    Row({405}, None, post_again),
    Row(FOUR, {30046, 50005, 50083}, post_again),
)
TABLE: Final[tuple[Row[DiscordResponse], ...]] = (
    Row(TWO, None, delivered, _has_id),
    Row({204}, None, _accepted_without_id),
    Row(TWO, None, no_proof, _is_empty),
    Row(TWO, None, _taken_between),
    Row(EVERY, {40333}, _blocked),
    Row({403, 429}, range(1000, 1100), _blocked),
    Row({429}, None, _limited, _states_wait),
    Row({429}, None, _blocked),
    Row({408}, None, not_received),
    Row(IN_DOUBT, None, failed),
    Row(FIVE, None, failed_before),
    Row(THREE, None, redirected),
    Row({413}, None, too_large),
    Row({400}, None, named_in, _has_names),
    Row(EVERY, None, answered_between, between),
    Row({401}, None, gone),
    Row({404}, {10003}, strike),
    Row({404}, None, gone),
    Row({403}, {50013}, strike),
    Row({400}, {220001, 220004}, strike),
    Row({400}, {50035}, named_in),
    Row(FOUR, {40005, 50045}, too_large),
    Row(FOUR, {20009, 200000, 240000}, content_blocked),
    Row({400}, None, content_blocked),
    Row(EVERY, None, refused),
)
