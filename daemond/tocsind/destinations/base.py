"""What destinations over HTTP have in common: one request for a batch, and the table that says what its answer means.

A kind says what to send (`request`) and what the answers mean (`response`, `tables`, `edit_tables`). Its defaults are those of a service
that shows one alert a message, cannot edit it, and does not recognize a request that is repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from tocsind.clock import Clock, SystemClock
from tocsind.config import Options
from tocsind.policy.batch import Footprint
from tocsind.policy.delivery import Delivery
from tocsind.policy.live_message import Editing, of_edit
from tocsind.policy.outcomes import ChannelInfo, Deferred, Delivered, Outcome, Refused, Report, Unknown
from tocsind.secret import Secret

from .http import Answer, Body, Failure, HttpClient
from .rejections import Rejection, verdicts, verdicts_of_edit
from .response import Response
from .table import ANY_SERVICE, Row, judge

OptionsT = TypeVar("OptionsT", bound=Options)


class HttpRequest(NamedTuple):
    """What is sent for a batch. `payload` is what people see of it in a dry run: plain values, without secrets. `url` is None only for the
    preview of a destination without its secret, which is disabled and sends nothing.
    """

    url: Secret | None
    body: Body
    payload: Any
    method: str = "POST"
    headers: dict[str, str | Secret] = {}  # noqa: RUF012 - never changed


class HttpDestination(Generic[OptionsT]):
    """One destination of a kind. The client is shared and stays open."""

    max_items: int = 1
    max_chars: float = inf
    max_bytes: float = 0.0  # no attachments
    editing: Editing = Editing.NONE
    repeatable: bool = False
    response: ClassVar[type[Response]] = Response
    tables: ClassVar[tuple[tuple[Row[Any], ...], ...]] = (ANY_SERVICE,)
    edit_tables: ClassVar[tuple[tuple[Row[Any], ...], ...]] = (ANY_SERVICE,)

    def __init__(self, options: OptionsT, client: HttpClient, clock: Clock | None = None) -> None:
        self.options = options
        self.client = client
        self.clock = clock or SystemClock()

    # --- what a kind overrides ----------------------------------------------------------------------------------------

    def request(self, batch: Sequence[Delivery]) -> HttpRequest:
        """The request for a batch. With `batch[0].update`, it posts or edits a live message. Pure: it sends and reads nothing."""
        raise NotImplementedError

    def question(self) -> HttpRequest | None:
        """A request that has no side effects and shows whether the destination works; None: most services have none."""
        return None

    def found(self, response: Response) -> ChannelInfo | None:  # noqa: ARG002
        """What the answer to the question shows; None when it is no success."""
        return None

    def channel(self) -> str | None:
        """The name of what this destination shares a limit with, without secrets (`Pace.channel`); None: with nothing."""
        return None

    def read(self, answer: Answer) -> Response:
        """An answer as the kind reads it."""
        return self.response(answer)

    def learn(self, response: Response) -> str | None:  # noqa: ARG002
        """Note what an answer shows of the service. Returns what the operator should know; logged once."""
        return None

    def limits(self, payload: Any) -> list[dict[str, Any]]:  # noqa: ARG002
        """How close a payload comes to the service's limits, for the dry run: `name`, `used`, `most`."""
        return []

    # --- Destination --------------------------------------------------------------------------------------------------

    def footprint(self, delivery: Delivery) -> Footprint:
        key = delivery.signal.key if self.editing is not Editing.NONE else None
        return Footprint(key=key, max_batch=delivery.max_batch, must_be_alone=bool(key))

    async def discover(self) -> ChannelInfo:
        """Ask the question, if there is one: what is wrong with the destination is known before the first alert."""
        question = self.question()
        if question is None:
            return ChannelInfo(self.channel())
        answer = await self._send(question)
        if not isinstance(answer, Answer):
            return ChannelInfo(self.channel(), answer)
        response = self.read(answer)
        if found := self.found(response):
            return found
        self.learn(response)
        return ChannelInfo(self.channel(), self._problem(response))

    def _problem(self, response: Response) -> Deferred | Refused | Unknown:
        """What a failed question means. It has no message that could be rejected or delivered."""
        match judge(response, *self.tables):
            case Rejection(reason=reason):
                return Refused(reason)
            case Delivered():
                return Deferred(f"{response.status} from {response.service} without what was asked for")
            case problem:
                return problem

    async def check(self) -> ChannelInfo:
        """Ask as `discover` does. Where there is nothing to ask, connect, and send nothing."""
        found = await self.discover()
        if found.answered or found.problem is not None:
            return found
        assert self.options.url is not None, "a destination without its secret is disabled and is not asked"
        problem = await self.client.connect(self.options.url, self.options.deadline)
        return ChannelInfo(found.channel, problem, shows="connected; only a message can show more")

    async def deliver(self, batch: Sequence[Delivery]) -> Report:
        update = batch[0].update
        edits = update.edits if update else None
        outgoing = self.request(batch)
        answer = await self._send(outgoing)
        if not isinstance(answer, Answer):
            return Report((of_edit(answer) if self._is_edit_in_place(edits) else answer,) * len(batch))
        response = self.read(answer)
        response.received = self.clock.wall()
        verdict = judge(response, *(self.edit_tables if edits else self.tables))
        outcomes = self._assigned(verdict, batch, response.status)
        return Report(outcomes, response.rate_headers, response.is_invalid, self.learn(response))

    def preview(self, batch: Sequence[Delivery]) -> dict[str, Any]:
        payload = self.request(batch).payload
        return {"payload": payload, "limits": self.limits(payload), "notes": []}

    async def aclose(self) -> None:
        """Do nothing: the connections belong to the client."""

    async def _send(self, outgoing: HttpRequest) -> Answer | Failure:
        assert outgoing.url is not None, "a lane without its secret is disabled and sends nothing"
        return await self.client.request(
            outgoing.method,
            outgoing.url,
            body=outgoing.body,
            headers=outgoing.headers,
            deadline=self.options.deadline,
        )

    def _is_edit_in_place(self, edits: str | None) -> bool:
        return edits is not None and not self.editing.leaves_copy

    def _assigned(self, verdict: Outcome | Rejection, batch: Sequence[Delivery], status: int) -> tuple[Outcome, ...]:
        update = batch[0].update
        if not isinstance(verdict, Rejection):
            edits = update.edits if update else None
            if edits and isinstance(verdict, Delivered):
                verdict = Delivered(edits)  # the handle stays that of the first message
            return (of_edit(verdict) if self._is_edit_in_place(edits) else verdict,) * len(batch)
        if update is None:
            return verdicts(verdict, batch, status)
        return verdicts_of_edit(verdict, batch, status, update.message)
