"""Answers requests, by the core, the lanes and the status view."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from math import isnan
from typing import Any, TypeVar

from tocsin.errors import InvalidSignal
from tocsin.frames import signal_in
from tocsin.likely_words import likely_or_all
from tocsin.signals import Receipt, Signal
from tocsind.clock import Clock, steady_to_wall
from tocsind.config import ConfigurationInvalid
from tocsind.core.accept import Acceptor
from tocsind.core.admission import Peer
from tocsind.core.client_webhooks import WebhookRefused
from tocsind.core.operator import Operator
from tocsind.core.silences import Silences as SilenceRegister
from tocsind.core.waiters import Waiters
from tocsind.delivery.lane_view import LaneView
from tocsind.delivery.supervisor import Supervisor
from tocsind.errors import StorageFull
from tocsind.events import Emit, LossesReported, SignalRefused, WebhookRejected
from tocsind.expectations import Expectations
from tocsind.ipc.protocol import (
    Acknowledge,
    AddClientWebhook,
    AnyRequest,
    Backup,
    Drop,
    Enable,
    Expect,
    Expected,
    Exposition,
    Goodbye,
    Hosts,
    Losses,
    Queue,
    Reload,
    Retry,
    Send,
    SendMany,
    Silence,
    Silences,
    Status,
    Tail,
    Test,
    Unsilence,
    Wait,
    Why,
)
from tocsind.journal import CopyFailed, Journal, queries
from tocsind.observe.event_feed import KEPT_EVENTS, EventFeed
from tocsind.observe.prometheus import render
from tocsind.observe.status import StatusView
from tocsind.observe.story import Stories
from tocsind.spool import SpoolImporter

from .catching_up import catch_up
from .connection import Refusal
from .dry_run_requests import DryRunRequests
from .event_titles import EventTitles
from .expect_requests import ExpectRequests
from .permissions import permit
from .short_ids import whole_id
from .silence_requests import SilenceRequests

T = TypeVar("T")
AddWebhook = Callable[[str, Peer], Awaitable[str]]  # from a webhook's URL to its destination. Raises WebhookRefused
ApplyFile = Callable[[], Awaitable[dict[str, Any]]]  # a reload, and what came of it. Raises ConfigurationInvalid
ReadHosts = Callable[[], Awaitable[dict[str, Any]]]  # `shared.view`

LONGEST_WAIT = 3600.0  # seconds that one `wait` may hold a connection
MOST_SIGNALS = 5000  # per request; a frame holds fewer real ones, and 200,000 empty ones would block the event loop
_LONGEST_WORDS = 200  # characters of a peer's text that an event repeats: events stay in memory and go to the log


class Handlers:
    """Answers requests. `answer` gives one reply; `events` and `backup` are streams of replies."""

    def __init__(
        self,
        journal: Journal,
        acceptor: Acceptor,
        *,
        operator: Operator,
        silences: SilenceRegister,
        expectations: Expectations,
        waiters: Waiters,
        lanes: Supervisor,
        spool: SpoolImporter,
        status: StatusView,
        stories: Stories,
        feed: EventFeed,
        add_webhook: AddWebhook,
        reload: ApplyFile,
        hosts: ReadHosts | None = None,
        clock: Clock,
        emit: Emit,
    ) -> None:
        self._journal = journal
        self._acceptor = acceptor
        self._operator = operator
        self._silences = SilenceRequests(silences, clock)
        self._expectations = ExpectRequests(expectations, clock)
        self._waiters = waiters
        self._lanes = lanes
        self._spool = spool
        self._status = status
        self._stories = stories
        self._feed = feed
        self._titles = EventTitles(journal)
        self._add_webhook = add_webhook
        self._reload = reload
        self._hosts = hosts
        self._clock = clock
        self._emit = emit
        self._handlers: dict[type[AnyRequest], Callable[[Any], Awaitable[dict[str, Any]]]] = {
            Status: self._on_status,
            Exposition: self._on_exposition,
            Why: self._on_why,
            Queue: self._on_queue,
            Retry: self._on_retry,
            Drop: self._on_drop,
            Enable: self._on_enable,
            Silences: self._silences.on_silences,
            Expected: self._expectations.on_expected,
            Hosts: self._on_hosts,
            Reload: self._on_reload,
            Wait: self._on_wait,
            Test: DryRunRequests(journal, acceptor, lanes, clock).on_test,
        }

    async def answer(self, request: AnyRequest) -> dict[str, Any]:
        """The reply to a request that carries no signal. Call `catch_up` first. Raises Refusal."""
        try:
            return {"ok": True, **await self._answer(request)}
        except StorageFull as full:
            raise Refusal("full", str(full)) from None

    async def catch_up(self, request: AnyRequest) -> None:
        """Wait until the records written before this question are committed: a caller reads what it wrote. Raises Refusal."""
        await catch_up(request, self._spool, self._journal)

    async def permit(self, request: AnyRequest, peer: Peer) -> None:
        """Raises Refusal when this user may not make this request."""
        await permit(request, peer, self._journal, self._emit)

    async def add_webhook(self, request: AddClientWebhook, peer: Peer) -> dict[str, Any]:
        """Make a destination of a client's webhook; the reply. Raises Refusal."""
        try:
            return {"ok": True, "destination": await self._add_webhook(request.url, peer)}
        except WebhookRefused as refused:
            self._emit(WebhookRejected(str(refused), peer.uid, peer.pid))
            raise Refusal(refused.kind, str(refused)) from None

    async def change(self, request: Acknowledge | Silence | Unsilence, peer: Peer) -> dict[str, Any]:
        """Acknowledge an alert, or begin or end a silence, in the name of this user; the reply. Raises Refusal."""
        try:
            if isinstance(request, Acknowledge):
                return {"ok": True, **await self._acknowledge(request.name, peer)}
            if isinstance(request, Silence):
                return {"ok": True, **await self._silences.on_silence(request, peer)}
            return {"ok": True, **await self._silences.on_unsilence(request, peer)}
        except StorageFull as full:
            raise Refusal("full", str(full)) from None

    async def beat(self, request: Expect | Goodbye, peer: Peer) -> dict[str, Any]:
        """A beat or a goodbye of this user's program; the reply. Raises Refusal."""
        try:
            if isinstance(request, Expect):
                return {"ok": True, **await self._expectations.on_expect(request, peer)}
            return {"ok": True, **await self._expectations.on_goodbye(request, peer)}
        except StorageFull as full:
            raise Refusal("full", str(full)) from None

    def count_losses(self, request: Losses, peer: Peer) -> dict[str, Any]:
        """Count signals that a client could not hand over; the reply."""
        if request.refused or request.dropped:
            self._emit(LossesReported(request.refused, request.dropped, peer.uid, peer.pid))
        return {"ok": True}

    async def accept(self, request: Send | SendMany, peer: Peer) -> dict[str, Any]:
        """Store the signals of a request; the reply, after the commit. Raises Refusal."""
        admitted = await self.parse_signals(request, peer)
        try:
            return self.reply(request, await self.store_all(admitted, peer), many=isinstance(request, SendMany))
        except StorageFull as full:
            raise Refusal("full", str(full)) from None

    def reply(self, request: Send | SendMany, given: Sequence[Receipt], *, many: bool) -> dict[str, Any]:
        """The reply with one receipt, or with a list of them."""
        plain = [{"id": receipt.id, "state": receipt.state, "reason": receipt.reason} for receipt in given]
        spool = {"spool": self._spool.place} if request.spool and self._spool.place else {}
        return {"ok": True, **({"receipts": plain} if many else {"receipt": plain[0]}), **spool}

    async def _answer(self, request: AnyRequest) -> dict[str, Any]:
        if isinstance(request, Tail | Backup):
            raise Refusal("bad-request", "this request is answered by a stream")
        return await self._handlers[type(request)](request)

    async def _on_status(self, _: Status) -> dict[str, Any]:
        return {"status": await self._status.collect()}

    async def _on_exposition(self, _: Exposition) -> dict[str, Any]:
        return {"metrics": {"text": (await render(await self._status.collect())).decode()}}

    async def _on_hosts(self, _: Hosts) -> dict[str, Any]:
        if self._hosts is None:
            raise Refusal(
                "not-configured", "this host shares nothing: there is no [shared], or its url was not set at the start"
            )
        return {"hosts": await self._hosts()}

    async def _on_reload(self, _: Reload) -> dict[str, Any]:
        try:
            return await self._reload()
        except ConfigurationInvalid as invalid:
            said = "; ".join(map(str, invalid.problems))
            raise Refusal("invalid-configuration", f"the configuration before it stays in force: {said}") from None

    async def _on_why(self, request: Why) -> dict[str, Any]:
        id_ = await whole_id(self._journal, request.id)
        return {"why": _found(await self._stories.read(id_), request.id)}

    async def _acknowledge(self, name: str, peer: Peer) -> dict[str, Any]:
        done = await self._operator.acknowledge(name, peer)
        if done is None:
            await self._must_be_own(name, "acknowledge")
            id_ = await whole_id(self._journal, name.upper())
            done = await self._operator.acknowledge(id_, peer)
            if done is None:
                await self._must_be_own(id_, "acknowledge")
                raise Refusal("not-found", f"no signal and no key {_cut(name)!r} is known here")
        more = {"note": _accepted_by(done.elsewhere, "acknowledge")} if done.elsewhere else {}
        return {"id": done.id, "key": done.key, "stopped": done.stopped, **more}

    async def _on_drop(self, request: Drop) -> dict[str, Any]:
        await self._must_exist(request.id)
        return await self._done(request.id, await self._operator.drop(request.id), "drop")

    async def _on_wait(self, request: Wait) -> dict[str, Any]:
        if isnan(request.seconds):  # MessagePack can encode NaN, and no timer takes it
            raise Refusal("bad-request", "`seconds` is not a number")
        seconds = min(max(request.seconds, 0.0), LONGEST_WAIT)
        state = _found(await self._waiters.wait_settled(request.id, seconds), request.id)
        held = await self._journal.run(queries.why_held, request.id) if state == "queued" else None
        return {"state": state} | ({"reason": held} if held else {})

    async def parse_signals(self, request: Send | SendMany, peer: Peer) -> list[Signal | Receipt]:
        """The signals of a request, checked. Of a list, an invalid signal becomes a receipt and the others go on. Raises Refusal."""
        if request.after is not None:
            await self._spool.reach(*request.after, peer.uid)
        if isinstance(request, SendMany):
            if len(request.signals) > MOST_SIGNALS:
                raise Refusal("bad-request", f"at most {MOST_SIGNALS} signals go into one request")
            return [self._signal_or_refusal(values, peer) for values in request.signals]
        try:
            return [self._signal(request.signal, peer)]
        except InvalidSignal as error:
            raise Refusal("invalid-signal", str(error), field=error.field) from None

    async def store_all(self, admitted: Sequence[Signal | Receipt], peer: Peer) -> list[Receipt]:
        """Store the result of `parse_signals`; receipts, in order. Raises StorageFull."""
        stored = iter(await self._acceptor.accept([each for each in admitted if isinstance(each, Signal)], peer))
        return [next(stored) if isinstance(each, Signal) else each for each in admitted]

    def _signal_or_refusal(self, values: Any, peer: Peer) -> Signal | Receipt:
        try:
            return self._signal(values, peer)
        except InvalidSignal as error:
            id_ = values.get("id") if isinstance(values, dict) else None
            return Receipt(id_ if isinstance(id_, str) else "", "refused", str(error))

    def _signal(self, values: Any, peer: Peer) -> Signal:
        try:
            signal = signal_in(values)
            self._acceptor.check(signal)
        except InvalidSignal as error:
            self._emit(SignalRefused(_cut(error.field), _cut(error.reason), peer.uid, peer.pid))
            raise
        return signal

    async def _on_queue(self, request: Queue) -> dict[str, Any]:
        await self._must_be_known(request.destination)
        most = min(max(request.limit, 0), queries.MAX_ROWS)
        rows = await self._journal.run(queries.queue, request.state, request.destination, most + 1)
        for row in rows:
            row["since"] = steady_to_wall(self._clock, row["since"])
            if row["state"] == "queued":
                row["reason"] = self._stories.wait_reason(row)
        return {"deliveries": rows[:most], "more": len(rows) > most}

    async def _on_retry(self, request: Retry) -> dict[str, Any]:
        if (request.id is None) is not request.all:
            raise Refusal("bad-request", "name one signal by `id`, or set `all`")
        if request.id is None:
            await self._must_be_known(request.destination)
            return {"deliveries": await self._operator.retry_all(request.destination)}
        await self._must_exist(request.id)
        return await self._done(request.id, await self._operator.retry(request.id), "retry")

    async def _done(self, id_: str, deliveries: int, verb: str) -> dict[str, Any]:
        """The reply to a change of a signal's deliveries; with a note when there were none. Raises Refusal for those of another host."""
        if not deliveries:
            await self._must_be_own(id_, verb)
        return {"deliveries": deliveries} | (
            {} if deliveries else {"note": await self._operator.replaced_by(id_, verb)}
        )

    async def _must_be_own(self, name: str, verb: str) -> None:
        if hosts := await self._operator.accepted_by(name):
            raise Refusal("bad-request", f"{_cut(name)} was {_accepted_by(hosts, verb)}")

    async def _must_exist(self, id_: str) -> None:
        _found(await self._journal.run(queries.states, id_), id_)

    async def _must_be_known(self, destination: str | None) -> None:
        """Raises Refusal for a destination that neither the configuration nor a delivery in the journal names."""
        if destination is None or self._lanes.get(destination) is not None:
            return
        if all(count.destination != destination for count in await self._journal.run(queries.counts)):
            raise self._no_destination(destination)

    def _no_destination(self, name: str) -> Refusal:
        hint = likely_or_all(name, (each.name for each in self._lanes))
        return Refusal("not-found", f"there is no destination {name!r}; {hint}")

    async def _on_enable(self, request: Enable) -> dict[str, Any]:
        lane = self._lanes.get(request.destination)
        if lane is None:
            raise self._no_destination(request.destination)
        before = lane.snapshot()
        if before.excluded:
            why = f"{lane.name} is disabled by the configuration: {before.excluded}"
            raise Refusal("bad-request", f"{why}; change that, and reload or restart the daemon")
        await lane.enable()
        return {"destination": lane.name} | _enable_notes(before, lane.snapshot())

    async def backup(self) -> AsyncGenerator[dict[str, Any], None]:
        """The replies of a `backup`: the journal's copy in pieces, in order. Raises Refusal."""
        try:
            async with self._journal.copied(self._clock.wall()) as copy:
                at = 0
                while at < copy.size and (data := await copy.read(at)):
                    at += len(data)
                    yield {"ok": True, "size": copy.size, "data": data}
        except CopyFailed as failed:
            raise Refusal("busy", str(failed)) from None
        except StorageFull as full:
            raise Refusal("full", str(full)) from None

    async def events(self, request: Tail, *, as_json: bool) -> AsyncGenerator[dict[str, Any], None]:
        """The replies of a `tail`: the last events in memory, and with `follow` all later ones. Those about a signal have its `title`."""
        titles = self._titles
        with titles.tail(), self._feed.follow() as later:
            latest = self._feed.latest(KEPT_EVENTS if request.last is None else max(0, request.last))
            await titles.learn(each.signal for each in latest)
            for each in latest:
                yield {"ok": True, "event": each.as_dict(titles.get(each.signal))}
            if request.follow:
                async for each in later:
                    await titles.learn([each.signal])
                    yield {"ok": True, "event": each.encoded(titles.get(each.signal), as_json=as_json)}


def _enable_notes(before: LaneView, after: LaneView) -> dict[str, str]:
    """A note for the operator who enabled a destination: that it was not disabled, and the block of the whole host that remains."""
    notes = [f"{before.name} was not disabled"] if before.disabled is None else []
    if after.limits.host_block is not None:
        notes.append(f"it still waits, and `tocsin enable` cannot lift that: {after.limits.host_block}")
    return {"note": "; ".join(notes)} if notes else {}


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_WORDS else f"{text[:_LONGEST_WORDS]}..."


def _accepted_by(hosts: Sequence[str], verb: str) -> str:
    return f"accepted by {' and '.join(hosts)}: {verb} there"


def _found(thing: T | None, id_: str) -> T:
    if thing is None:
        raise Refusal("not-found", f"no signal {id_} is known here; it may be older than the ledger is kept")
    return thing
