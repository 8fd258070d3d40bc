"""What an answer of Discord's means, as a table: the first row that fits speaks.

       status      code             meaning
       2xx         message id       delivered
       204         -                delivered, without an id: a proxy dropped `wait=true`, which is said once
       2xx         -, empty or cut  unknown: taken, but nothing proves that it was kept
       2xx         -                deferred: another one answered (see below); in doubt when Discord has seen it, or an API answers
       any         40333            deferred, every lane: Cloudflare blocks this address
       403, 429    10xx             the same, in Cloudflare's own words; its 530s with such a code are failures behind it
       429         -                deferred, as far as the limit reaches: webhook (user), channel (shared, or told while some remain),
                                    every lane (global, or Cloudflare's own)
       408         -                deferred: a front server gave up on our bytes, nothing was processed
       500, 502,   -                deferred, and it may have been saved
       503, 504,
       52x
       5xx         -                deferred
       413         -                a fault: too large, whoever says so
       any         not Discord's    deferred: another one answered; so is every redirect, which would carry the token elsewhere
       401         -                refused, and the destination is gone: its token is wrong
       404         10003            refused, and a strike: three in a row, and the destination counts as gone
       404         -                refused, and the destination is gone: the webhook was deleted
       403         50013            refused, and a strike: no permission
       400         220001, 220004   refused, and a strike: a forum wants a thread, whatever the message
       400         50035            a fault of what is in the message: `faults` finds whose
       4xx         40005, 50045     a fault: too large
       4xx         20009, 200000,   a fault that no other form cures: a filter took offence at somebody's words
                   240000
       400         -                the same
       else        -                refused: no other 4xx gets better by repeating

Whatever is refused: the same of three different alerts in a row, with no delivery between, is the destination's own (policy.refusals).

An answer is Discord's own when its body is: JSON with an error code (`Reading.is_discords_error`). Anything else, a web page, plain text,
the JSON of a gateway, nothing at all, comes from what stands in between: a proxy, a firewall, a captive portal. It says nothing about the
alert and nothing about the webhook. So no alert dies of it and no destination is disabled by it: it counts as a failure, and the breaker,
status and alarms treat it as one.

An edit has rows of its own, which speak first:

       404         10003, 10015     as above: it is the channel or the webhook that is gone
       404         -                the message is gone: told anew. Should it be more than the message, posting will find out
       405         -                the same, whoever says so: a proxy that does not know PATCH may know POST
       4xx         30046            the message is too old to be edited again so soon: told anew
       4xx         50005, 50083     not ours, or in a thread that was closed: told anew
       else        -                as above, but nothing is in doubt: an edit can be made again

Cloudflare's refusals are text (`error code: 1010`); they share the column of the codes, because Discord's own have one digit or five.
When Cloudflare does not say how long it will block, neither do we: that is learned where all its blocks are seen.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Final, NamedTuple

from tocsind.policy.live_message import of_edit
from tocsind.policy.outcomes import Cause, Deferred, Delivered, Outcome, Reach, Refused, Unknown

from .rejections import Rejection, has_names, named_in
from .response import Response


class Row(NamedTuple):
    """`codes` None fits any code and none."""

    statuses: Container[int]
    codes: Container[int] | None
    outcome: Callable[[Response], Outcome | Rejection]
    fits: Callable[[Response], bool] = lambda _: True


def outcome_of(reading: Response) -> Outcome | Rejection:
    """What an answer stands for: the outcome of all that was in the message, or a fault to be traced."""
    return next(row.outcome(reading) for row in TABLE if _applies(row, reading))


def outcome_of_edit(reading: Response) -> Outcome | Rejection:
    """What the answer to an edit stands for."""
    found = next(row.outcome(reading) for row in (*EDITS, *TABLE) if _applies(row, reading))
    return found if isinstance(found, Rejection) else of_edit(found)


def _applies(row: Row, reading: Response) -> bool:
    return reading.status in row.statuses and (row.codes is None or reading.code in row.codes) and row.fits(reading)


def _accepted(reading: Response) -> Outcome:
    return Delivered(message=reading.id("id"))


def _accepted_without_id(_: Response) -> Outcome:
    return Delivered()


def _no_proof(reading: Response) -> Outcome:
    return Unknown(f"{reading.status} from Discord without a message id: it may have arrived")


def _blocked(reading: Response) -> Outcome:
    wait = reading.seconds("retry-after") or None
    code = f" (error code {reading.code})" if reading.code else ""
    length = "" if wait is None else f" for {wait:g} s"
    reason = f"{reading.status} from Cloudflare{code}: this address is blocked{length}"
    return Deferred(reason, Cause.LIMITED, Reach.KIND, wait)


_REACH: Final = {"global": Reach.KIND, "shared": Reach.CHANNEL}


def _limited(reading: Response) -> Outcome:
    wait, scope = reading.wait, reading.scope
    named = f" ({scope})" if scope else ""
    reason = f"429 from Discord{named}: {wait:g} s"
    return Deferred(reason, Cause.LIMITED, _REACH.get(scope, Reach.ENDPOINT), wait)


def _failed(reading: Response) -> Outcome:
    return Deferred(f"{reading.status} from Discord", wait=reading.seconds("retry-after"), ambiguous=True)


def _failed_before(reading: Response) -> Outcome:
    return Deferred(f"{reading.status} from Discord", wait=reading.seconds("retry-after"))


def _given_up(reading: Response) -> Outcome:
    return Deferred(f"{reading.status}: the request did not get through", wait=reading.seconds("retry-after"))


def _gone(reading: Response) -> Outcome:
    return Refused(f"{reading.status} from Discord{reading.message}", disable=True)


def _strike(reading: Response) -> Outcome:
    return Refused(f"{reading.status} from Discord{reading.message}", strike=True)


def _repost(reading: Response) -> Outcome:
    return Deferred(
        f"{reading.status} from Discord{reading.message}: it cannot be edited, and is told anew", Cause.TARGET_GONE
    )


def _refused(reading: Response) -> Outcome:
    return Refused(f"{reading.status} from Discord{reading.message}")


def _answered_between(reading: Response) -> Outcome:
    return Deferred(f"{reading.status} {_BETWEEN}{reading.title}", wait=reading.seconds("retry-after"))


def _taken_between(reading: Response) -> Outcome:
    taken = reading.has_rate_headers or bool(reading.body)
    return Deferred(f"{reading.status} {_BETWEEN}{reading.title}", ambiguous=taken)


def _redirected(reading: Response) -> Outcome:
    return Deferred(
        f"{reading.status}: a redirect, which is never followed; is a proxy or a captive portal in between?"
    )


def _too_large(reading: Response) -> Rejection:
    return Rejection(f"{reading.status} from Discord: too large")


def _content_blocked(reading: Response) -> Rejection:
    return Rejection(f"{reading.status} from Discord{reading.message}", curable=False)


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
    Row({404}, None, _repost, lambda reading: reading.is_discords_error),
    Row({405}, None, _repost),
    Row(_FOUR, {30046, 50005, 50083}, _repost),
)
TABLE: Final = (
    Row(_TWO, None, _accepted, lambda reading: reading.id("id") is not None),
    Row({204}, None, _accepted_without_id),
    Row(_TWO, None, _no_proof, lambda reading: reading.is_empty_body),
    Row(_TWO, None, _taken_between),
    Row(_EVERY, {40333}, _blocked),
    Row({403, 429}, range(1000, 1100), _blocked),
    Row({429}, None, _limited, lambda reading: reading.is_discords_limit),
    Row({429}, None, _blocked),
    Row({408}, None, _given_up),
    Row(_IN_DOUBT, None, _failed),
    Row(_FIVE, None, _failed_before),
    Row(_THREE, None, _redirected),
    Row({413}, None, _too_large),
    Row({400}, None, named_in, has_names),
    Row(_EVERY, None, _answered_between, lambda reading: not reading.is_discords_error),
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
