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
       400         50035            rejection: `rejections` finds which delivery it is about
       4xx         40005, 50045     rejection: too large
       4xx         20009, 200000,   rejection that no other format cures: a filter blocked words of a signal
                   240000
       400         -                the same
       else        -                refused: repeating another 4xx changes nothing

For every refusal: the same answer to three different alerts in a row, with no delivery between, disables the destination (policy.refusals).

An answer is Discord's own when its body is JSON with an error code (`Response.is_discords_error`). Anything else (a web page, plain text,
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

from collections.abc import Callable, Container
from typing import Final, NamedTuple

from tocsind.policy.live_message import of_edit
from tocsind.policy.outcomes import Cause, Deferred, Delivered, Outcome, Reach, Refused, Unknown

from .rejections import Rejection, has_names, named_in
from .response import Response


class Row(NamedTuple):
    """One row. `codes` None fits any code and no code."""

    statuses: Container[int]
    codes: Container[int] | None
    outcome: Callable[[Response], Outcome | Rejection]
    fits: Callable[[Response], bool] = lambda _: True


def outcome_of(response: Response) -> Outcome | Rejection:
    """The outcome of every delivery in the message, or a rejection that `rejections` assigns."""
    return next(row.outcome(response) for row in TABLE if _applies(row, response))


def outcome_of_edit(response: Response) -> Outcome | Rejection:
    """The same for the answer to an edit."""
    found = next(row.outcome(response) for row in (*EDITS, *TABLE) if _applies(row, response))
    return found if isinstance(found, Rejection) else of_edit(found)


def _applies(row: Row, response: Response) -> bool:
    return response.status in row.statuses and (row.codes is None or response.code in row.codes) and row.fits(response)


def _accepted(response: Response) -> Outcome:
    return Delivered(message=response.id("id"))


def _accepted_without_id(_: Response) -> Outcome:
    return Delivered()


def _no_proof(response: Response) -> Outcome:
    return Unknown(f"{response.status} from Discord without a message id: it may have arrived")


def _blocked(response: Response) -> Outcome:
    wait = response.seconds("retry-after") or None
    code = f" (error code {response.code})" if response.code else ""
    length = "" if wait is None else f" for {wait:g} s"
    reason = f"{response.status} from Cloudflare{code}: this address is blocked{length}"
    return Deferred(reason, Cause.LIMITED, Reach.KIND, wait)


_REACH: Final = {"global": Reach.KIND, "shared": Reach.CHANNEL}


def _limited(response: Response) -> Outcome:
    wait, scope = response.wait, response.scope
    named = f" ({scope})" if scope else ""
    reason = f"429 from Discord{named}: {wait:g} s"
    return Deferred(reason, Cause.LIMITED, _REACH.get(scope, Reach.ENDPOINT), wait)


def _failed(response: Response) -> Outcome:
    return Deferred(f"{response.status} from Discord", wait=response.seconds("retry-after"), ambiguous=True)


def _failed_before(response: Response) -> Outcome:
    return Deferred(f"{response.status} from Discord", wait=response.seconds("retry-after"))


def _given_up(response: Response) -> Outcome:
    return Deferred(f"{response.status}: the request did not get through", wait=response.seconds("retry-after"))


def _gone(response: Response) -> Outcome:
    return Refused(f"{response.status} from Discord{response.message}", disable=True)


def _strike(response: Response) -> Outcome:
    return Refused(f"{response.status} from Discord{response.message}", strike=True)


def _repost(response: Response) -> Outcome:
    return Deferred(
        f"{response.status} from Discord{response.message}: it cannot be edited, and is posted again", Cause.TARGET_GONE
    )


def _refused(response: Response) -> Outcome:
    return Refused(f"{response.status} from Discord{response.message}")


def _answered_between(response: Response) -> Outcome:
    return Deferred(f"{response.status} {_BETWEEN}{response.title}", wait=response.seconds("retry-after"))


def _taken_between(response: Response) -> Outcome:
    taken = response.has_rate_headers or bool(response.body)
    return Deferred(f"{response.status} {_BETWEEN}{response.title}", ambiguous=taken)


def _redirected(response: Response) -> Outcome:
    return Deferred(
        f"{response.status}: a redirect, which is never followed; is a proxy or a captive portal in between?"
    )


def _too_large(response: Response) -> Rejection:
    return Rejection(f"{response.status} from Discord: too large")


def _content_blocked(response: Response) -> Rejection:
    return Rejection(f"{response.status} from Discord{response.message}", curable=False)


_BETWEEN: Final = "in words that are not Discord's: is a proxy, a firewall or a captive portal in between?"
_TWO: Final = range(200, 300)
_THREE: Final = range(300, 400)
_FOUR: Final = range(400, 500)
_FIVE: Final = range(500, 600)
_EVERY: Final = range(1000)

_IN_DOUBT: Final = frozenset({500, 502, 503, 504, *range(520, 530)})

EDITS: Final = (
    Row({404}, {10003}, _strike),
    Row({404}, {10015}, _gone),
    Row({404}, None, _repost, lambda response: response.is_discords_error),
    Row({405}, None, _repost),
    Row(_FOUR, {30046, 50005, 50083}, _repost),
)
TABLE: Final = (
    Row(_TWO, None, _accepted, lambda response: response.id("id") is not None),
    Row({204}, None, _accepted_without_id),
    Row(_TWO, None, _no_proof, lambda response: response.is_empty_body),
    Row(_TWO, None, _taken_between),
    Row(_EVERY, {40333}, _blocked),
    Row({403, 429}, range(1000, 1100), _blocked),
    Row({429}, None, _limited, lambda response: response.is_discords_limit),
    Row({429}, None, _blocked),
    Row({408}, None, _given_up),
    Row(_IN_DOUBT, None, _failed),
    Row(_FIVE, None, _failed_before),
    Row(_THREE, None, _redirected),
    Row({413}, None, _too_large),
    Row({400}, None, named_in, has_names),
    Row(_EVERY, None, _answered_between, lambda response: not response.is_discords_error),
    Row({401}, None, _gone),
    Row({404}, {10003}, _strike),
    Row({404}, None, _gone),
    Row({403}, {50013}, _strike),
    Row({400}, {220001, 220004}, _strike),
    Row({400}, {50035}, named_in),
    Row(_FOUR, {40005, 50045}, _too_large),
    Row(_FOUR, {20009, 200000, 240000}, _content_blocked),
    Row({400}, None, _content_blocked),
    Row(_EVERY, None, _refused),
)
