"""The package of the shipped fakes: a Discord that may be lied to, delayed, cut off and deleted, on loopback.

What it promises, because clients depend on it:

    limits      each webhook's bucket with its headers, the hidden one of the channel, the address's, the ban; each
                by any of four models, with windows of any length; 429 in all four shapes, in v6 milliseconds too
    messages    checked in code points after trimming, with Discord's codes and error paths; stored as trimmed;
                shown as a reader would see them
    faults      scripted by name: before saving and after it, which is the difference that matters
    testimony   every accepted message in order, and counts of what was refused, lost, doubled and sent too late

What it does not: it is made from documentation, statements of staff and what others observed; where the real thing
is not known it is strict. Which limiter model Discord uses is not known: run against all four. `wait=false` swallows
every fault of a message, which may be more than Discord swallows. There are no gateway, no threads that must
exist, no forums, no files that could be read back, no TLS; components are stored and not looked at.

How it hangs together (each file is a noun; arrows are imports):

    __main__ -> discord -> control
                discord -> api -> guild -> quotas -> limits          state, and who may
                           api -> routes -> discord_api                     what a message is
                           api -> script -> behaviours -> poison -> behaviour, answers    what is told instead
                discord -> reader -> messages -> mentions            what became of it
                discord -> tocsind.http_server                         h11 over trio; knows no Discord

Of these only `discord` and `__main__` know trio; only `discord` reads a clock. Everything else is handed the
Moment, so one request is decided in one synchronous step and nothing races.

The fakes of the other kinds of destination are in `kinds`, each on the frame in `service`.

Beside it stand two that know no Discord, for lanes in virtual time: `memory` (a destination that answers by a script,
and a store without a disk) and `clock` (a wall that is set by hand). They are imported by their own names.
"""

from tocsind.testing.answers import Scope
from tocsind.testing.behaviour import Behaviour
from tocsind.testing.behaviours import (
    Cut,
    Drop,
    NoId,
    Normal,
    NotJson,
    NoWait,
    RateLimited,
    Redirect,
    Slow,
    Status,
)
from tocsind.testing.counts import Counts
from tocsind.testing.discord import FakeDiscord, serve_fake
from tocsind.testing.limits import Limit, Limiter, Model, Verdict
from tocsind.testing.messages import Message
from tocsind.testing.poison import Poison
from tocsind.testing.reader import Seen
from tocsind.testing.settings import Settings
from tocsind.testing.webhooks import Webhook

__all__ = [
    "Behaviour",
    "Counts",
    "Cut",
    "Drop",
    "FakeDiscord",
    "Limit",
    "Limiter",
    "Message",
    "Model",
    "NoId",
    "NoWait",
    "Normal",
    "NotJson",
    "Poison",
    "RateLimited",
    "Redirect",
    "Scope",
    "Seen",
    "Settings",
    "Slow",
    "Status",
    "Verdict",
    "Webhook",
    "serve_fake",
]
