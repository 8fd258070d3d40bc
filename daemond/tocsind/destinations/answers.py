"""What an answer of Discord's means, as a table: the first row that fits speaks.

       status      code             meaning
       2xx         message id       delivered
       2xx         -                unknown: taken, but nothing proves that it was kept
       any         40333            deferred, every lane: Cloudflare blocks this address
       403, 429    10xx             the same, in Cloudflare's own words; its 530s with such a code are failures behind it
       429         -                deferred, as far as the limit reaches: webhook (user), channel (shared, or told while some remain),
                                    every lane (global, or Cloudflare's own)
       408         -                deferred: a front server gave up on our bytes, nothing was processed
       5xx         -                deferred, and it may have been saved
       4xx         a web page       refused: not Discord's words, so no reason to give the destination up
       401         -                refused, and the destination is gone: its token is wrong
       404         10003            refused, and a strike: three in a row, and the destination counts as gone
       404         -                refused, and the destination is gone: the webhook was deleted
       403         50013            refused, and a strike: no permission
       400         220001, 220004   refused, and a strike: a forum wants a thread, whatever the message
       400         50035            a fault of what is in the message: `faults` finds whose
       413, 4xx    40005, 50045     a fault: too large
       4xx         20009, 200000,   a fault that no other form cures: a filter took offence at somebody's words
                   240000
       400         -                the same
       else        -                refused: a redirect would carry the token elsewhere, and no other 4xx gets better by repeating

An edit has rows of its own, which speak first:

       404         10003, 10015     as above: it is the channel or the webhook that is gone
       404, 405    -                the message is gone: told anew. Should it be more than the message, posting will find out
       4xx         30046            the message is too old to be edited again so soon: told anew
       4xx         50005, 50083     not ours, or in a thread that was closed: told anew
       else        -                as above, but nothing is in doubt: an edit can be made again

Cloudflare's refusals are text (`error code: 1010`); they share the column of the codes, because Discord's own have one digit or five.
When Cloudflare does not say how long it will block, neither do we: that is learned where all its blocks are seen.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Final, NamedTuple

from tocsind.policy.living import of_edit
from tocsind.policy.outcomes import Cause, Deferred, Delivered, Outcome, Reach, Refused, Unknown

from .faults import Fault, has_names, named_in
from .reading import Reading


class Row(NamedTuple):
    """`codes` None fits any code and none."""

    statuses: Container[int]
    codes: Container[int] | None
    says: Callable[[Reading], Outcome | Fault]
    fits: Callable[[Reading], bool] = lambda _: True


def meaning(reading: Reading) -> Outcome | Fault:
    """What an answer stands for: the outcome of all that was in the message, or a fault to be traced."""
    return next(row.says(reading) for row in TABLE if _applies(row, reading))


def meaning_of_edit(reading: Reading) -> Outcome | Fault:
    """What the answer to an edit stands for."""
    found = next(row.says(reading) for row in (*EDITS, *TABLE) if _applies(row, reading))
    return found if isinstance(found, Fault) else of_edit(found)


def _applies(row: Row, reading: Reading) -> bool:
    return reading.status in row.statuses and (row.codes is None or reading.code in row.codes) and row.fits(reading)


def _saved(reading: Reading) -> Outcome:
    return Delivered(message=reading.id("id"))


def _unproved(reading: Reading) -> Outcome:
    return Unknown(f"{reading.status} from Discord without a message id: it may have arrived")


def _blocked(reading: Reading) -> Outcome:
    wait = reading.seconds("retry-after") or None
    code = f" (error code {reading.code})" if reading.code else ""
    length = "" if wait is None else f" for {wait:g} s"
    reason = f"{reading.status} from Cloudflare{code}: this address is blocked{length}"
    return Deferred(reason, Cause.LIMITED, Reach.KIND, wait)


_REACH: Final = {"global": Reach.KIND, "shared": Reach.CHANNEL}


def _limited(reading: Reading) -> Outcome:
    wait, scope = reading.wait, reading.scope
    named = f" ({scope})" if scope else ""
    reason = f"429 from Discord{named}: {wait:g} s"
    return Deferred(reason, Cause.LIMITED, _REACH.get(scope, Reach.ENDPOINT), wait)


def _failed(reading: Reading) -> Outcome:
    return Deferred(f"{reading.status} from Discord", wait=reading.seconds("retry-after"), ambiguous=True)


def _given_up(reading: Reading) -> Outcome:
    return Deferred(f"{reading.status}: the request did not get through", wait=reading.seconds("retry-after"))


def _gone(reading: Reading) -> Outcome:
    return Refused(f"{reading.status} from Discord{reading.message}", disable=True)


def _struck(reading: Reading) -> Outcome:
    return Refused(f"{reading.status} from Discord{reading.message}", strike=True)


def _told_anew(reading: Reading) -> Outcome:
    return Deferred(
        f"{reading.status} from Discord{reading.message}: it cannot be edited, and is told anew", Cause.MESSAGE
    )


def _refused(reading: Reading) -> Outcome:
    return Refused(f"{reading.status} from Discord{reading.message}")


def _not_discord(reading: Reading) -> Outcome:
    return Refused(f"{reading.status} with a web page, not from Discord: is a proxy in between?")


def _redirected(reading: Reading) -> Outcome:
    return Refused(f"{reading.status}: a redirect, which is never followed")


def _too_large(reading: Reading) -> Fault:
    return Fault(f"{reading.status} from Discord: too large")


def _offensive(reading: Reading) -> Fault:
    return Fault(f"{reading.status} from Discord{reading.message}", curable=False)


_TWO: Final = range(200, 300)
_THREE: Final = range(300, 400)
_FOUR: Final = range(400, 500)
_FIVE: Final = range(500, 600)
_EVERY: Final = range(1000)

EDITS: Final = (
    Row({404}, {10003}, _struck),
    Row({404}, {10015}, _gone),
    Row({404, 405}, None, _told_anew, lambda reading: not reading.is_page),
    Row(_FOUR, {30046, 50005, 50083}, _told_anew),
)
TABLE: Final = (
    Row(_TWO, None, _saved, lambda reading: reading.id("id") is not None),
    Row(_TWO, None, _unproved),
    Row(_EVERY, {40333}, _blocked),
    Row({403, 429}, range(1000, 1100), _blocked),
    Row({429}, None, _limited, lambda reading: reading.is_discords),
    Row({429}, None, _blocked),
    Row({408}, None, _given_up),
    Row(_FIVE, None, _failed),
    Row(_FOUR, None, _not_discord, lambda reading: reading.is_page),
    Row({401}, None, _gone),
    Row({404}, {10003}, _struck),
    Row({404}, None, _gone),
    Row({403}, {50013}, _struck),
    Row({400}, {220001, 220004}, _struck),
    Row({400}, {50035}, named_in),
    Row({400}, None, named_in, has_names),
    Row({413}, None, _too_large),
    Row(_FOUR, {40005, 50045}, _too_large),
    Row(_FOUR, {20009, 200000, 240000}, _offensive),
    Row({400}, None, _offensive),
    Row(_THREE, None, _redirected),
    Row(_EVERY, None, _refused),
)
