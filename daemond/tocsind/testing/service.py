"""The frame of the fakes of all services but Discord: a server on a loopback port that says no to what the real one would refuse.

A kind's fake (`testing.kinds`) is a FakeService that answers one request in `process`. The frame does the rest, the same for all kinds:

    script    behaviours for the next requests (`behaviours`): answers that are lost, late, cut, limited, or a proxy's; a `status` with a
              `text` is the service's own
    dead      the destination is gone: each request gets `gone_reply`
    poison    a request whose body holds this text gets `rejected_reply`
    hold      requests wait until `release`
    control   the same over HTTP, for a fake in a process of its own: GET log, counts; DELETE script; POST script, hold, release, dead,
              poison, and `set` for the switches of a kind: {"is_old": true}
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from email.utils import formatdate
from typing import Any, ClassVar, Final, TypeVar

import msgspec
import trio

from tocsind.clock import SystemClock
from tocsind.http_server import Bounds, Reply, Request, WebServer
from tocsind.testing.behaviour import Asked, Behaviour
from tocsind.testing.behaviours import RateLimited, Status, as_behaviour, read_behaviours
from tocsind.testing.control import PREFIX
from tocsind.testing.script import Script

HOST: Final = "127.0.0.1"
ServiceT = TypeVar("ServiceT", bound="FakeService")
_NOTHING_ASKED: Final = Asked("", "", 10, {})


def json_reply(status: int, value: Any, headers: Mapping[str, str] | None = None) -> Reply:
    """Any value as a JSON answer."""
    return Reply(status, {"Content-Type": "application/json", **(headers or {})}, msgspec.json.encode(value))


class Saved(msgspec.Struct, frozen=True):
    """A message that the service accepted. `handle` is its id there; `title` and `text` are what a reader sees; `edits` counts edits."""

    number: int
    handle: str
    title: str
    text: str
    body: Any
    edits: int = 0
    copies: int = 0  # requests for the same message that the service recognized


class FakeService:
    """The state of one fake and its server."""

    kind: ClassVar[str] = ""
    switches: ClassVar[frozenset[str]] = frozenset()  # attributes of the kind that may be set from outside

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.saved: list[Saved] = []
        self.statuses: Counter[int] = Counter()
        self.requests: list[Request] = []
        self.violations: list[str] = []  # what the service accepts, and no client should send
        self.clock = SystemClock()
        self.dead = False
        self.poison: str | None = None
        self.limited_until = 0.0  # monotonic seconds; requests before are one too many
        self._script = Script()
        self._changed = trio.Event()
        self._released: trio.Event | None = None
        self._server = WebServer(self._handle, Bounds())

    # --- what a kind says ---------------------------------------------------------------------------------------------

    def destination(self) -> dict[str, Any]:
        """The keys of a destination in alerts.toml that leads here; secrets as `{ env }`, whose values are in `environment`."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """The variables that `destination` names."""
        return {}

    def process(self, request: Request) -> Reply:
        """Answer one request as the service would: check it, count it against the limits, save it."""
        raise NotImplementedError

    def is_query(self, request: Request) -> bool:  # noqa: ARG002
        """Whether a request only asks: scripts, holds and counts are for messages."""
        return False

    def limited_reply(self, wait: float) -> Reply:
        """The service's answer to one request too many."""
        return json_reply(429, {"error": "too many requests"}, {"Retry-After": f"{wait:g}"})

    def error_reply(self, status: int, words: str) -> Reply:
        """Any other refusal in the service's own form."""
        return json_reply(status, {"error": words})

    def gone_reply(self) -> Reply:
        """The answer when the destination is gone for good."""
        return json_reply(401, {"error": "unauthorized"})

    def rejected_reply(self) -> Reply:
        """The answer to a message that the service does not like."""
        return json_reply(400, {"error": "bad request"})

    # --- what it saw --------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{HOST}:{self.port}"

    async def until(self, fact: Callable[[], bool]) -> None:
        """Wait until `fact` holds; it is asked again after everything that happens here."""
        while not fact():
            await self._changed.wait()

    def save(self, handle: str, title: str, text: str, body: Any) -> Saved:
        """A message was accepted, or the one with this handle was edited."""
        known = next((place for place, each in enumerate(self.saved) if each.handle == handle), None)
        if known is None:
            self.saved.append(Saved(len(self.saved) + 1, handle, title, text, body))
            return self.saved[-1]
        old = self.saved[known]
        self.saved[known] = msgspec.structs.replace(old, title=title, text=text, body=body, edits=old.edits + 1)
        return self.saved[known]

    def recognize(self, handle: str) -> Saved | None:
        """The message with this handle, counted as one that came again; None when it is new."""
        for place, each in enumerate(self.saved):
            if each.handle == handle:
                self.saved[place] = msgspec.structs.replace(each, copies=each.copies + 1)
                return self.saved[place]
        return None

    # --- commands of a test -------------------------------------------------------------------------------------------

    def script(self, *lines: Behaviour | Mapping[str, Any]) -> None:
        """Append behaviours for the next requests."""
        for line in [as_behaviour(line) for line in lines]:
            self._script.add(line)

    def hold(self) -> None:
        """Accept requests and answer none until `release`."""
        self._released = self._released or trio.Event()

    def release(self) -> None:
        """Answer again."""
        if self._released is not None:
            self._released.set()
            self._released = None

    # --- the server ---------------------------------------------------------------------------------------------------

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen and answer until cancelled; after that it may be called again, and has the same port."""
        listeners = await trio.open_tcp_listeners(self.port, host=HOST)
        self.port = listeners[0].socket.getsockname()[1]
        task_status.started()
        await trio.serve_listeners(self._server.serve_connection, listeners)

    async def _handle(self, request: Request) -> Reply:
        if request.path.startswith(PREFIX):
            return self._control(request)
        if self.is_query(request):
            return self._processed(request)
        self.requests.append(request)
        if self._released is not None:
            await self._released.wait()
        delay, reply = self._answer(request)
        self.statuses[reply.status] += 1
        self._notify()
        await trio.sleep(delay)
        return msgspec.structs.replace(reply, headers={"Date": formatdate(usegmt=True), **reply.headers})

    def _answer(self, request: Request) -> tuple[float, Reply]:
        line = self._script.next_for(Asked("", request.method, 10, {}))
        if line is not None and line.replaces:
            self._script.use(line)
            return line.delay, self._instead(line)
        reply = self._processed(request)
        if line is None or (line.needs_saving and reply.status >= 300):
            return 0.0, reply
        self._script.use(line)
        return line.delay, self._instead(line) if isinstance(line, Status) else line.after(reply)

    def _processed(self, request: Request) -> Reply:
        if self.dead:
            return self.gone_reply()
        if self.poison is not None and self.poison.encode() in request.body:
            return self.rejected_reply()
        if (left := self.limited_until - self.clock.now()) > 0:
            return self.limited_reply(left)
        return self.process(request)

    def _instead(self, line: Behaviour) -> Reply:
        if isinstance(line, RateLimited):
            return self.limited_reply(line.retry_after)
        if isinstance(line, Status) and line.text and not line.html:
            return self.error_reply(line.status, line.text)
        return line.instead(_NOTHING_ASKED)

    def _notify(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    # --- the control surface ------------------------------------------------------------------------------------------

    def _control(self, request: Request) -> Reply:
        try:
            return json_reply(200, self._commanded(f"{request.method} {request.path.removeprefix(PREFIX)}", request))
        except (msgspec.DecodeError, LookupError, ValueError) as problem:
            return json_reply(400, {"problem": str(problem)})

    def _commanded(self, command: str, request: Request) -> Any:
        match command:
            case "GET log":
                return {"messages": self.saved}
            case "GET counts":
                return {
                    "requests": len(self.requests),
                    "saved": len(self.saved),
                    "by_status": self.statuses,
                    "violations": self.violations,
                }
            case "POST script":
                self.script(*read_behaviours(request.body))
            case "DELETE script":
                self._script.clear()
            case "POST hold":
                self.hold()
            case "POST release":
                self.release()
            case "POST dead":
                self.dead = bool(msgspec.json.decode(request.body or b"true"))
            case "POST poison":
                self.poison = msgspec.json.decode(request.body, type=str | None)
            case "POST set":
                self._set(msgspec.json.decode(request.body, type=dict[str, bool]))
            case _:
                raise LookupError(f"there is no {command}")
        return {"done": True}

    def _set(self, wanted: Mapping[str, bool]) -> None:
        for name, value in wanted.items():
            if name not in self.switches:
                raise LookupError(f"there is no switch {name}; there are: {', '.join(sorted(self.switches)) or 'none'}")
            setattr(self, name, value)


@asynccontextmanager
async def serving(service: ServiceT) -> AsyncIterator[ServiceT]:
    """The service, which answers for the length of the block."""
    async with trio.open_nursery() as nursery:
        await nursery.start(service.serve)
        yield service
        nursery.cancel_scope.cancel()
