"""The protocol of the engine that hosts share, and the data that they keep in it.

All methods raise EngineAway when the engine does not answer in time, refuses, or is not there; then nothing is known of what it did, so
every method may be called again. Times are milliseconds of the engine's own clock.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import Enum
from typing import Final, NamedTuple, Protocol

import msgspec

LEASE_MS: Final = 2000
RENEW_SECONDS: Final = LEASE_MS / 3000
SETTLING_MS: Final = (
    2000  # a new engine waits so long for the host that held the lease before, unless one host is alone
)
SEEN_MS: Final = 10_000  # a host that was not seen for so long does not count
MAX_STORIES: Final = 2000  # live messages per target; of older ones the next holder knows nothing
MISSING_MS: Final = 60_000  # a host that has said nothing for so long is missing
NOTE_KEPT_MS: Final = 86_400_000  # and after so long it is forgotten
MAX_HOSTS: Final = 500  # whose notes are kept: the latest
LARGEST_NOTE: Final = 20_000  # bytes; of a larger one, as of the name of its host, only so much is read
MAX_MISSING: Final = 50  # that one answer names
LONGEST_ID: Final = 1024  # bytes; of an item that a host handed over, far less
LARGEST_BODY: Final = 2**20  # bytes, as above
LARGEST_STATE: Final = 2**24  # bytes of all that holders learned
MAX_BAD: Final = 100  # items per target that are kept for people to look at, of LARGEST_BODY each at most
KEPT_ASIDE_MS: Final = 30 * 86_400_000  # these, and keys of a wrong type that were renamed
MAX_REQUESTS: Final = 300  # per target and scope, as the journal keeps
GONE_MS: Final = LEASE_MS  # a request in flight of a host that was not seen for so long counts as answered
ENDED: Final = "0"  # in place of the token of a start that has ended as it should
FULL_MS: Final = 100  # a request that waits for requests in flight asks again after so long


UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)  # what decoding foreign bytes raises


class Cause(Enum):
    """Why the engine cannot be used: a word for programs, and what people read after the engine's name."""

    UNASKED = "unasked", "has not answered yet"
    UNREACHABLE = "unreachable", "cannot be reached"
    SILENT = "silent", "does not answer"
    STRANGER = "stranger", "is no engine"
    PASSWORD = "password", "refuses the password"
    PERMISSION = "permission", "denies a permission"
    FULL = "full", "is full"
    READ_ONLY = "read-only", "is read-only"
    UNSAVED = "unsaved", "cannot save"
    LOADING = "loading", "still loads"
    REFUSES = "refuses", "refuses a command"

    def __init__(self, word: str, says: str) -> None:
        self.word = word
        self.says = says

    @property
    def is_mistake(self) -> bool:
        """Whether only a change of the configuration, here or at the engine, helps."""
        return self in {Cause.PASSWORD, Cause.PERMISSION, Cause.STRANGER}

    @property
    def is_answer(self) -> bool:
        """Whether the engine itself said so."""
        return self not in {Cause.UNASKED, Cause.UNREACHABLE, Cause.SILENT}


class EngineAway(Exception):  # noqa: N818 - names the condition
    """The engine cannot be used now. The text says why, without a secret; `detail` is what the engine or the system said."""

    def __init__(self, detail: str = "", cause: Cause = Cause.SILENT) -> None:
        super().__init__(f"the engine {cause.says}{': ' if detail else ''}{detail}")
        self.cause = cause
        self.detail = detail


class Start(msgspec.Struct, frozen=True):
    """One run of a host's daemon: a random token (hexadecimal), the id of its journal, and how many commits that had. Without a token, as
    of an older version, the engine compares nothing.
    """

    token: str = ""
    journal: str = ""
    commits: int = 0

    @property
    def packed(self) -> str:
        """As the engine keeps it."""
        return f"{self.token} {self.journal} {self.commits}" if self.token else ""

    @property
    def ended(self) -> Start:
        """This start after its end: the next one does not wait for it, but must have as many commits."""
        return Start(ENDED if self.token else "", self.journal, self.commits)


UNKNOWN_START: Final = Start()


class Refused(msgspec.Struct, frozen=True):
    """Another start of this host takes part, so the engine did nothing. `seen`: when the other one was last seen. `is_ahead`: the engine
    knows later commits of the same journal, whether the other start still runs or not.
    """

    seen: int
    is_ahead: bool = False


class Tended(msgspec.Struct, frozen=True):
    """The lease of a target after a host asked for it. `token` is that of the holder, "" without one."""

    token: str
    now: int
    epoch: str  # another one: the engine has lost its memory since, or may have lost its last steps
    seen: Sequence[str]  # the hosts that were there of late, this one included
    young: bool = False  # the engine has known the target for less than SETTLING_MS
    troubles: Mapping[str, bytes] = {}  # by host: why it cannot send now
    missing: int = 0  # hosts that took part before this epoch and have not given their account since
    refused: Refused | None = None  # then the rest says nothing

    @property
    def holder(self) -> str:
        """The name of the host that holds the lease."""
        return self.token.partition(":")[0]

    def is_of_other_start(self, host: str, start: Start) -> bool:
        """Whether another start of this host got the lease."""
        return self.holder == host and not self.token.endswith(f".{start.token}")

    @property
    def hosts(self) -> int:
        """How many hosts were there of late."""
        return max(1, len(self.seen))


class Item(msgspec.Struct, frozen=True):
    """A delivery as it is handed over: its id over all hosts, its priority, and the rest as bytes that only hosts read.

    `epoch` is that in which it was first handed over.
    """

    id: str
    priority: int
    body: bytes
    epoch: str


class Stored(msgspec.Struct, frozen=True):
    """An item in the engine: its place in its stream, and whether an attempt for it may have arrived: it was not settled, or its end is
    not known.

    `attempted_by`: the host of an attempt that was not settled.
    `lapsed`: a host may have sent it, and what the engine knew of that is lost: it is from an earlier epoch, and a host that took part
    then has not given its account.
    """

    place: str
    id: str
    body: bytes
    attempted: bool = False
    lapsed: bool = False
    attempted_by: str = ""


class Done(msgspec.Struct, frozen=True):
    """How a delivery ended, for the host that accepted it (`origin`). An end without arrival replaces no other one of the delivery."""

    id: str
    origin: str
    result: bytes
    arrived: bool = True


class Seen(msgspec.Struct, frozen=True):
    """The engine's answer to a host: news of its own items, and items to send, each with its priority. `is_all`: it has no more."""

    news: Sequence[Done]
    items: Sequence[tuple[int, Stored]]
    is_all: bool


class Settled(msgspec.Struct, frozen=True):
    """The end of an attempt. `waiting` are the ids that are tried again; of these the `doubtful` may have arrived before. `request` was
    counted unless `unsent`.
    """

    done: Sequence[Done] = ()
    waiting: Sequence[str] = ()
    doubtful: Sequence[str] = ()
    request: str | None = None
    unsent: bool = False
    state: Mapping[str, bytes] = {}  # for the next holder; an empty value deletes the entry


class Account(msgspec.Struct, frozen=True):
    """The account of a host, for an engine that has lost data. The host has reported the ends of its deliveries once more before it.

    `before`: the epoch that it knew; "" when it has not followed it to its end. `senders`: hosts that sent of late. `open`: ids of attempts
    in flight, with the `token` under which it made the last one; `doubtful`: of deliveries that may have arrived in an earlier one.
    """

    epoch: str
    before: str = ""
    senders: Sequence[str] = ()
    token: str = ""
    open: Sequence[str] = ()
    doubtful: Sequence[str] = ()


class Learned(msgspec.Struct, frozen=True):
    """State for the next holder. `requests`: each with the time of its answer; one without an answer counts as answered now."""

    state: Mapping[str, bytes]
    requests: Sequence[tuple[str, int]]


class Noted(msgspec.Struct, frozen=True):
    """The note of a host about itself, written at this time of the engine, `ago` milliseconds ago."""

    host: str
    at: int
    ago: int
    note: bytes


class Window(NamedTuple):
    """At most so many requests in so many milliseconds. Those that are not expedited may use `others` of them, and borrow a token from the
    rest so many milliseconds before one of their own comes back.
    """

    most: int
    per: int
    others: int
    borrow: int


class Question(msgspec.Struct, frozen=True):
    """A host asks for room in a scope, or only looks (`takes` is False).

    `request` is the one that is to leave, or is in flight; "" without one: all others of this host are answered. `epoch`: the one that this
    host has reported its requests to. `alone`: as for `tend`.
    """

    host: str
    request: str
    windows: Sequence[Window]
    epoch: str = ""
    takes: bool = False
    expedited: bool = False
    alone: bool = False


class Room(msgspec.Struct, frozen=True):
    """The engine's answer. The request was noted when it `takes` and `wait` is 0; else to be asked again after `wait` milliseconds."""

    wait: int
    now: int
    epoch: str
    hosts: int  # seen of late in this scope
    requests: Sequence[tuple[str, int]]  # of all hosts, with the times of their answers, within the longest window
    state: bytes  # the limit as hosts learned it


class Engine(Protocol):
    """The engine. `target` names a far end; `host` a state folder; `token` proves that a lease is held; `start` names the daemon's run."""

    async def tend(
        self,
        target: str,
        host: str,
        *,
        token: str,
        wants: bool,
        alone: bool = False,
        trouble: bytes = b"",
        start: Start = UNKNOWN_START,
    ) -> Tended:
        """Renew the lease that `token` proves, or take it when it is free and this host `wants` it; note that the host is there.

        Refuses while another start of the host was seen within LEASE_MS, or has a later state of the journal.

        A host without a token takes the lease of its earlier run. In a new epoch it waits for SETTLING_MS. One that held the lease last
        (`token`) waits until no account is missing; one that is `alone` as well: it has never met another host, and the engine has not
        either. `trouble` is why this host cannot send; empty when it can.
        """

    async def release(self, target: str, token: str) -> None:
        """Give the lease back."""

    async def leave(self, target: str, host: str, start: Start) -> None:
        """This start ends: the next one of the host need not wait."""

    async def offer(self, target: str, host: str, items: Sequence[Item]) -> None:
        """Store the items of a host that are neither stored nor done, in this order, and wake the holder."""

    async def look(
        self, target: str, host: str, after: Mapping[int, str] | None, most: int, start: Start = UNKNOWN_START
    ) -> Seen:
        """News for this host, and the items after these places, by priority, in the order in which they came. A priority without a place:
        from the first. None: no items. About so many of each. Nothing where another start of the host takes part.
        """

    async def begin(
        self, target: str, token: str, ids: Sequence[str], foreign: Sequence[str], request: str, *, copies: bool = True
    ) -> list[str] | None:
        """Note an attempt for these ids, and its request. None: the lease is not held, so nothing was noted and nothing may be sent.

        Without `copies` the request, made twice, leaves one message, so the next holder need not know of it.

        Else the `foreign` ids that are not stored any more: with any of them nothing was noted either.
        """

    async def settle(self, target: str, token: str, settled: Settled) -> None:
        """Note how an attempt ended. `done` counts without the lease; the rest needs it."""

    async def forget(self, target: str, host: str, ids: Sequence[str]) -> None:
        """The host has recorded this news."""

    async def withdraw(self, target: str, ids: Sequence[str]) -> dict[str, bool]:
        """Take back those of these items that are stored, and for which no attempt is open; by id, whether it may have arrived."""

    async def learned(self, target: str) -> Learned:
        """The state that earlier holders left."""

    async def report(self, target: str, requests: Mapping[str, int]) -> None:
        """Store the requests that this host made, with the times of their answers, for an engine that has lost data."""

    async def account(self, target: str, host: str, account: Account) -> None:
        """Store the account of a host from before this epoch; nothing when the epoch is another one by now."""

    async def ask(self, scope: str, question: Question) -> Room:
        """Ask for room in a scope, and note that the host is there."""

    async def answered(self, scope: str, request: str, ago: int | None) -> None:
        """A request that had room was answered so many milliseconds ago; None: it did not leave."""

    async def recall(self, scope: str, requests: Mapping[str, int | None]) -> None:
        """Requests that this host knows of: answered so many milliseconds ago; None: in flight. Those that the engine has stay."""

    async def teach(self, scope: str, state: bytes) -> None:
        """Store the limit as this host learned it."""

    async def quarantine(self, target: str, priority: int, stored: Stored) -> None:
        """Put an item aside that no host can read."""

    async def note(
        self, host: str, note: bytes, start: Start = UNKNOWN_START, *, leaves: bool = False
    ) -> list[Noted] | Refused:
        """Store this host's note about itself. Returns the hosts that are missing, the one that was seen last first.

        Refuses while another start of the host was seen within SEEN_MS, or has a later state of the journal. `leaves`: this start ends.
        """

    async def hosts(self) -> list[Noted]:
        """The last note of each host, in no order."""

    async def claim(self, about: str, host: str, seconds: float) -> bool:
        """Whether this host tells people `about` something that all hosts notice: the first that asks, for so long."""

    async def wait(self, targets: Sequence[str], host: str) -> Collection[str]:
        """Those targets, as soon as there are any, at which there may be something for this host: new items, news."""

    async def try_out(self, name: str) -> None:
        """Take the steps of a hand-over once, on keys of this name that are removed afterwards. No other host uses the name meanwhile."""

    async def complaints(self) -> list[str]:
        """Problems of the engine's own settings, as sentences."""

    async def aclose(self) -> None:
        """Close all connections."""
