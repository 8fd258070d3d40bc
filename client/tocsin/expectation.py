"""Expectations: the daemon raises an alarm when this program does not beat in time, or ends without a goodbye.

    with tocsin.expect("backup", every="24h"):     # a job: expected to run again within a day
        ...
    bot = tocsin.expect("bot", every=60)           # a loop: expected to beat at least once a minute
    while True:
        bot.beat("epoch 3 of 10")                  # the text is in the alarm, as the last words

The first beat tells the daemon what is expected, and it watches this process from then on. A normal end of the block, or of the program,
says goodbye by itself. A block or a program that ends by an exception does not, nor does os._exit or a signal, and the daemon reports
those at once. After a goodbye the next beat is due in `every`, from the next run; `done` ends the expectation for good.

A beat never raises and takes at most `timeout`. While no daemon answers it is lost, and nothing is kept for later, because a beat is worth
nothing then; the daemon counts its own absence and raises no alarm for it.
"""

from __future__ import annotations

import atexit
import os
import sys

from . import notices
from .client import Client
from .durations import parse_duration
from .replies import describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import timedelta
    from typing import Any, Self


def expect(
    name: str,
    every: str | float | timedelta | None = None,
    *,
    grace: str | float | timedelta | None = None,
    priority: str | None = None,
    to: str | Iterable[str] | None = None,
    socket: str | os.PathLike[str] | None = None,
    timeout: float = 0.25,
) -> Expectation:
    """An expectation of the program `name`, which beats at least `every` so many seconds (or a duration as "24h") and `grace` more.

    Without `every` the daemon knows the name already, from an earlier beat or alerts.toml. `priority` is that of the alarm (default: high),
    `to` its destinations (default: by the routes). Asks the daemon nothing before the first beat, which is false for a wrong setting.
    """
    return Expectation(name, every, grace=grace, priority=priority, to=to, socket=socket, timeout=timeout)


class Expectation:
    """What `expect` returns; its last failure is in `reason`. May be used by several threads."""

    def __init__(
        self,
        name: str,
        every: Any = None,
        *,
        grace: Any = None,
        priority: str | None = None,
        to: Any = None,
        socket: str | os.PathLike[str] | None = None,
        timeout: float = 0.25,
    ) -> None:
        self.name = str(name)
        self.every = every
        self.grace = grace
        self.priority = priority
        self.to = [to] if isinstance(to, str) else to
        self.reason: str | None = None
        self.socket = socket
        self.timeout = timeout

    def beat(self, message: str | None = None) -> bool:
        """Say that this program works; True when the daemon knows. `message` is shown in a later alarm, as the last words."""
        reply = self._tell("expect", lambda: {**self._settings(), "message": _text(message), "watch": True})
        if reply is None:
            return False
        _beating[self.name] = (os.getpid(), self)
        if (reply.get("expectation") or {}).get("pid") is None:
            notices.once(
                f"the daemon cannot watch the process of {self.name!r}, as in a container: only a missing heartbeat is reported"
            )
        return True

    def goodbye(self) -> bool:
        """This process ends as it should, or goes on with other work: it is no longer watched. The next beat is due in `every`."""
        _beating.pop(self.name, None)
        return self._tell("goodbye", dict) is not None

    def done(self) -> bool:
        """The program is no longer expected at all."""
        _beating.pop(self.name, None)
        return self._tell("goodbye", lambda: {"forget": True}) is not None

    def __enter__(self) -> Self:
        self.beat()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        """A goodbye, unless the block failed: then the end of this process is reported."""
        if _is_success(kind, error):
            self.goodbye()
        else:
            _beating.pop(self.name, None)

    def _settings(self) -> dict[str, Any]:
        every, grace = self.every, self.grace
        return {
            "every": None if every is None else _seconds(every),
            "grace": None if grace is None else _seconds(grace),
            "priority": self.priority,
            "to": None if self.to is None else list(self.to),
        }

    def _tell(self, op: str, fields: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
        """The daemon's reply; None when there is none, with the `reason`."""
        try:
            # beats are rare: a connection that idles between them would use up the user's share of connections
            with Client(self.socket, timeout=self.timeout, spool=False, strict=True) as client:
                reply = client.request(op, name=self.name, **fields())
        except Exception as error:  # noqa: BLE001 - a beat never raises
            self.reason = describe(error)
            notices.rate_limited(
                f"beat {self.name}", f"no heartbeat of {self.name!r} reached the daemon: {self.reason}"
            )
            return None
        self.reason = None
        return reply

    def __repr__(self) -> str:
        return f"Expectation({self.name!r}, every={self.every!r})"


def _text(message: Any) -> str | None:
    return None if message is None else str(message)


def _seconds(given: Any) -> float:
    """Seconds of a number, a duration or a timedelta. Raises ValueError, TypeError."""
    if isinstance(given, str):
        return parse_duration(given)
    return float(given.total_seconds() if hasattr(given, "total_seconds") else given)


def _is_success(kind: type[BaseException] | None, error: BaseException | None) -> bool:
    """Whether a block ended as it should: without an exception, by exit code 0, or by Ctrl-C of a person who watches."""
    if kind is None or issubclass(kind, KeyboardInterrupt):
        return True
    return isinstance(error, SystemExit) and error.code in (None, 0)


_beating: dict[str, tuple[int, Expectation]] = {}  # by name: the process that beat, for its goodbye


@atexit.register
def _say_goodbye() -> None:
    """At the end of the program, unless an exception ended it."""
    failed = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    if failed is not None and not isinstance(failed, KeyboardInterrupt):
        return
    for pid, expectation in list(_beating.values()):
        if pid == os.getpid():
            expectation.goodbye()
