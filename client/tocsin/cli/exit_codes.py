"""Exit codes: part of the public surface, documented in the manual and never changed. Those from 64 on are sysexits.h's."""

from __future__ import annotations

from tocsin.errors import InvalidSignal, ProtocolMismatch, RequestFailed, TocsinError, Unreachable
from tocsin.replies import MAY_BE_STORED, describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OK = 0
DEGRADED = 1
FAILING = 2
STILL_QUEUED = 3
DEAD = 4
DROPPED = 5
USAGE = 64
BAD_DATA = 65
UNREADABLE = 66
UNREACHABLE = 69
INTERNAL = 70
CANNOT_WRITE = 73
TRY_LATER = 75
PROTOCOL = 76
PERMISSION = 77
CONFIGURATION = 78
INTERRUPTED = 130

_OF_KIND = {
    "invalid-signal": BAD_DATA,
    "too-large": BAD_DATA,
    "bad-request": BAD_DATA,
    "not-found": BAD_DATA,
    "busy": TRY_LATER,
    "full": TRY_LATER,
    "stopping": TRY_LATER,
    "not-permitted": PERMISSION,
    "not-configured": CONFIGURATION,
    "invalid-configuration": CONFIGURATION,
    "unknown-op": PROTOCOL,
    "protocol": PROTOCOL,
    "broken-frame": PROTOCOL,
    "internal": INTERNAL,
}


class Failure(Exception):  # noqa: N818 - not always an error
    """A command that fails: the message for people, the `kind` for programs, and the exit code."""

    def __init__(self, code: int, kind: str, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.code = code
        self.kind = kind
        self.message = message
        self.facts = facts

    def as_json(self) -> dict[str, Any]:
        """The failure as `--json` prints it, with the facts that the verb adds."""
        error = {"kind": self.kind, "message": self.message}
        reason = {"reason": self.message} if "state" in self.facts else {}
        return {"schema": 1, "ok": False, "error": error, **reason, **self.facts}


def failure_of(error: TocsinError) -> Failure:
    """The failure for one of the client's exceptions."""
    match error:
        case InvalidSignal():
            return Failure(BAD_DATA, "invalid-signal", describe(error), field=error.field)
        case RequestFailed():
            return Failure(_OF_KIND.get(error.kind, INTERNAL), error.kind, describe(error))
        case ProtocolMismatch():
            return Failure(PROTOCOL, "protocol", f"{describe(error)}; are tocsin and tocsind of one version?")
        case Unreachable() if isinstance(error.__cause__, PermissionError):
            return Failure(PERMISSION, "permission", describe(error))
    return Failure(UNREACHABLE, "unreachable", describe(error))


def failure_of_question(error: TocsinError) -> Failure:
    """The failure of a request that carries no signal."""
    failure = failure_of(error)
    failure.message = failure.message.replace(MAY_BE_STORED, "")
    return failure
