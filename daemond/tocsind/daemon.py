"""Birth and death. Who owns which task, and in which order they begin and end:

    run                              lock the state, open the journal, then:
      nursery
        |-- on_signals               SIGHUP reloads, the first SIGTERM or SIGINT drains, the second leaves at once; ends last
        '-- nursery
              |-- a task a lane      each with its senders; cancelled after the door, and what is in flight finishes
              '-- nursery
                    |-- keeper       deadlines, ledger, disk, digests
                    |-- watchdog     signs of life for the service manager
                    |-- alarms       about ourselves
                    |-- heartbeat    somebody else is told that deliveries work
                    |-- monitor      /metrics, /healthz, /readyz
                    |-- spool        what clients left there while we were away
                    '-- door         the socket; begins last and ends first

READY is told when the socket listens and the lanes know their past. The socket is our own, or the service manager holds it for us: then
whoever knocks while we are away waits in its backlog for the next start. Leaving: the door stops taking, answers what it has read, and
goes; keeper, alarms and those who watch us go; the lanes finish what is in flight (each request has its deadline); the journal closes
after its last commit. Nothing is flushed at the end because nothing is only in memory. An exception out of any task is a bug or a broken
disk: it takes all of it down, and the next start goes on from the journal.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import trio

from tocsin import paths

from . import __version__
from .clock import Boot, SystemClock
from .config import Config, ConfigurationInvalid
from .core.admission import Peer
from .core.client_webhooks import ClientWebhooks
from .core.dispatch import Dispatch
from .delivery.housekeeping import Housekeeping
from .delivery.supervisor import Supervisor
from .destinations.file_paths import writable
from .destinations.http import HttpClient
from .destinations.network_settings import within
from .destinations.registry import build
from .errors import StorageFull
from .events import (
    ConfigurationWarning,
    Emit,
    Event,
    JournalRecovered,
    JournalReplaced,
    Reloaded,
    ReloadRefused,
    Started,
    Stopped,
    Stopping,
    StorageProblem,
    WebhookAdded,
)
from .host import damaged_files, hardening, systemd
from .host.state_folder import locked
from .host.watchdog import Watchdog
from .ipc import Handlers, Server, UnixListener, adopt, fitted, open_listener
from .journal import Journal, Recovered, Replaced, limiter_state, queries
from .observe import last_alarm
from .observe.alarms import Alarms
from .observe.conditions import Tracker, damaged
from .observe.event_feed import EventFeed
from .observe.heartbeat import DeliveryHealth, Heartbeat
from .observe.http_endpoints import HttpEndpoints
from .observe.liveness import Liveness
from .observe.log import Log
from .observe.log_writer import Write
from .observe.metrics import Metrics
from .observe.refusal_limit import RefusalLimit
from .observe.status import StatusView
from .secret import redacted_struct
from .spool import SpoolImporter

DRAIN_SECONDS = 10.0  # what sends in flight have to finish in
ABORT_SECONDS = 1.0  # what a second SIGTERM leaves to tidy up in
SPOOL_SECONDS = 0.2  # that newer signals wait for those in the spool; callers who already knock have this patience
SECOND_SIGNAL_AFTER = (
    0.05  # seconds: timeout(1) and some shells signal a process and its group, which is one wish told twice
)


_HARMLESS = frozenset({"id", "priority", "destination", "destinations", "version"})  # fields of facts: no foreign words


class EventBus:
    """Hands each fact to every observer, without the secrets that words of others may quote."""

    def __init__(self, *observers: Emit) -> None:
        self._observers = observers

    def __call__(self, fact: Event) -> None:
        """Something happened."""
        fact = redacted_struct(fact, _HARMLESS)
        for observe in self._observers:
            observe(fact)


class Daemon:
    """One daemon; `run` serves until told to stop. `configuration` is read at the start and at each reload.

    `socket`, `state` and `log` overrule the configuration; the log goes to `log_write`, else to standard error. Raises DaemonError out of
    `run`, alone or in a group, when it cannot start or go on.
    """

    def __init__(
        self,
        configuration: Callable[[], Config],
        *,
        socket: str | None = None,
        state: str | None = None,
        log: str | None = None,
        log_write: Write | None = None,
    ) -> None:
        self._configuration = configuration
        self._config = configuration()
        self._log_level = log
        self._inherited = systemd.inherited_socket()
        self._wanted = socket or os.environ.get("TOCSIN_SOCKET") or self._config.daemon.socket
        self._wanted = paths.expanded(self._wanted) if self._wanted else None
        self.socket: str = self._inherited.getsockname() if self._inherited else self._wanted or paths.default_socket()
        self.folder = Path(paths.expanded(state or paths.state_folder(self._config.daemon.state)))
        self._client_webhooks = ClientWebhooks(self.folder)
        self._clock = SystemClock()
        self.log = Log(self._clock, log or self._config.daemon.log, log_write)
        self._metrics = Metrics(self._clock)
        self._feed = EventFeed(self._clock)
        self._conditions = Tracker()
        self._emit = EventBus(self._metrics, RefusalLimit(self._clock, self._feed, self.log), self._conditions)
        self._reloading = trio.Lock()
        self._reload_problems: list[str] = []  # what people should know of the configuration
        self._catch_up: Callable[[], Awaitable[object]] = trio.lowlevel.checkpoint  # with what waits in outboxes
        self._apply_to_observers: Callable[[Config], None] = lambda _: None  # of those who watch, once they are there
        self.leaving = False  # told to stop, and on the way out

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        hardening.harden()
        with locked(self.folder):
            self._config = self._with_client_webhooks(self._config)
            async with (
                Journal(self.folder, self._clock.wall()) as journal,
                HttpClient() as client,
                self._reporting_its_end(client),
            ):
                await self._resume_clock(journal)
                self._emit_finding(journal.finding)
                dispatch = Dispatch(journal, self._config, self._clock, self._emit, self.folder)
                lanes = Supervisor(dispatch, self._clock, self._emit, self.folder, client)
                async with trio.open_nursery() as watch:
                    async with trio.open_nursery() as nursery:
                        leave = await watch.start(self._on_signals, dispatch, lanes, nursery)
                        watch.start_soon(self._enforce_drain_deadline, leave, lanes)
                        doubtful = await dispatch.replay()
                        async with self._reloading:  # a SIGHUP may come as early as this
                            await lanes.apply(self._config, nursery)
                        await self._serve(dispatch, lanes, client, leave, doubtful=doubtful, lanes_nursery=nursery)
                        nursery.cancel_scope.cancel()  # and the lanes finish what is in flight
                    watch.cancel_scope.cancel()
                self._emit(Stopped(await _queued(journal)))

    @asynccontextmanager
    async def _reporting_its_end(self, client: HttpClient) -> AsyncIterator[None]:
        """When the storage fails, nothing can be recorded any more; people are told of that all the same, before we leave."""
        began = self._clock.now()
        try:
            yield
        except BaseException as error:
            if failure := last_alarm.should_report(error, self._clock.now() - began):
                self._emit(StorageProblem(str(failure)))
                with trio.CancelScope(shield=True):
                    destinations = [
                        build(each, client, self.folder) for each in last_alarm.destinations_in_order(self._config)
                    ]
                    await last_alarm.send(failure, self._config, destinations, self._clock)
            raise

    def _emit_finding(self, finding: Recovered | Replaced | None) -> None:
        """What was wrong with the journal's files; and of the last day's findings, that people are told even if a kill came first."""
        if isinstance(finding, Recovered):
            signals, deliveries, unreadable, owed_again = finding.kept
            name = finding.folder.name
            self._emit(JournalRecovered(finding.reason, name, signals, deliveries, unreadable, owed_again))
        elif finding:
            self._emit(JournalReplaced(finding.reason, finding.waiting))
        for each in damaged_files.recent(self.folder, self._clock.wall()):
            self._conditions.observe(damaged(each))

    def _damage_view(self) -> tuple[dict[str, Any] | None, list[str]]:
        """For `status`: the folders of damaged files, and those of the last day as problems."""
        now = self._clock.wall()
        return {"folders": [str(each) for each in damaged_files.folders(self.folder)]}, [
            f"{each.reason}: the files lie in {each.folder}, and removing or renaming it ends this notice"
            for each in damaged_files.recent(self.folder, now)
        ]

    async def _resume_clock(self, journal: Journal) -> None:
        """Deadlines of an earlier run count on; on a full disk a fresh boot is noted by the next start."""
        with suppress(StorageFull):
            self._clock.resume(Boot(*await journal.run(limiter_state.load_boot, *self._clock.boot)))

    async def _serve(
        self,
        dispatch: Dispatch,
        lanes: Supervisor,
        client: HttpClient,
        leave: trio.Event,
        *,
        doubtful: int,
        lanes_nursery: trio.Nursery,
    ) -> None:
        listener = open_listener(self.socket) if self._inherited is None else adopt(self._inherited)
        progress = Liveness(dispatch.journal, lanes, self._clock)
        spool = SpoolImporter(Path(paths.spool_folder(str(self.folder))), dispatch, self._clock, self._emit)
        self._catch_up = spool.catch_up
        status = StatusView(dispatch, lanes, self._metrics, self._clock, self._problems, spool=spool)
        status.add_part("log", lambda: ({"dropped_lines": self.log.dropped}, []))
        status.add_part("socket", lambda: _socket_view(listener))

        async def lend(url: str, peer: Peer) -> str:
            return await self._add_webhook(url, peer, lanes, lanes_nursery)

        door = Server(
            Handlers(dispatch, lanes, status, self._feed, self._emit, lend, spool),
            self._emit,
            fitted(hardening.descriptors()),
        )
        monitor, heartbeat = self._start_observers(dispatch, lanes, client, status, progress)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Housekeeping(dispatch, lanes, self._clock).run)
            nursery.start_soon(Alarms(self._conditions, dispatch, lanes, self._clock, self._emit).run)
            nursery.start_soon(spool.run)
            with trio.move_on_after(SPOOL_SECONDS):
                await spool.first_pass_done.wait()
            nursery.start_soon(door.serve, listener)
            nursery.start_soon(listener.watch, self._emit)
            nursery.start_soon(monitor.run)
            nursery.start_soon(heartbeat.run)
            await self._announce_ready(dispatch, doubtful)
            nursery.start_soon(Watchdog(progress.check, self._clock, self._emit).run)
            await leave.wait()
            systemd.stopping()
            lanes.drain()  # before the door's last replies: those may take a moment, and nothing new shall leave meanwhile
            door.close()
            listener.remove()  # while we still listen on it: so it is ours and no successor's
            nursery.cancel_scope.cancel()

    def _start_observers(
        self, dispatch: Dispatch, lanes: Supervisor, client: HttpClient, status: StatusView, progress: Liveness
    ) -> tuple[HttpEndpoints, Heartbeat]:
        """Those by whom others see how we are; from now on they follow the configuration, and `status` shows them."""
        monitor = HttpEndpoints(status, progress.check, lambda: self._unready(dispatch), self._emit)
        work = DeliveryHealth(dispatch.journal, lanes, self._metrics, self._clock, progress.check)
        heartbeat = Heartbeat(work, client, self._clock, self._emit)
        status.add_part("metrics", monitor.view)
        status.add_part("heartbeat", heartbeat.view)
        status.add_part("damage", self._damage_view)

        def follow(config: Config) -> None:
            monitor.apply(config.metrics.listen)
            heartbeat.apply(config.heartbeat)

        self._apply_to_observers = follow
        follow(self._config)
        return monitor, heartbeat

    def _unready(self, dispatch: Dispatch) -> str | None:
        """Why no signal is taken; None when they are."""
        return "the daemon is leaving" if self.leaving else dispatch.disk_guard.closed

    async def _announce_ready(self, dispatch: Dispatch, doubtful: int) -> None:
        self._emit_warnings(self._config)
        if self._inherited and self._wanted not in (None, self.socket):
            self._emit(
                ConfigurationWarning(f"we serve on {self.socket}, which was handed down, and not on {self._wanted}")
            )
        self._emit(
            Started(__version__, os.getpid(), self.socket, str(self.folder), await _queued(dispatch.journal), doubtful)
        )
        systemd.ready()

    async def _on_signals(
        self,
        dispatch: Dispatch,
        lanes: Supervisor,
        nursery: trio.Nursery,
        task_status: trio.TaskStatus[trio.Event] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Reload as often as asked; leave once asked; leave at once when asked again."""
        leave, asked = trio.Event(), 0.0
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            task_status.started(leave)
            async for number in signals:
                if number == signal.SIGHUP:
                    if not self.leaving:  # whoever leaves needs no new configuration
                        nursery.start_soon(self._reload, dispatch, lanes, nursery)
                elif not self.leaving:
                    self._emit(Stopping(signal.Signals(number).name))
                    self.leaving = True
                    leave.set()
                    asked = self._clock.now()
                elif self._clock.now() - asked > SECOND_SIGNAL_AFTER:
                    break
            await self._leave_at_once(lanes)

    async def _enforce_drain_deadline(self, leave: trio.Event, lanes: Supervisor) -> None:
        """A far end that does not answer, or a disk that stays full, does not keep us: it stays open on record."""
        await leave.wait()
        await trio.sleep(DRAIN_SECONDS)
        lanes.abandon()

    async def _leave_at_once(self, lanes: Supervisor) -> None:
        """What is in flight stays open on record; if even that takes too long, the journal needs no goodbye."""
        lanes.abandon()
        await trio.sleep(ABORT_SECONDS)
        self.log.close()
        os._exit(0)

    async def _reload(self, dispatch: Dispatch, lanes: Supervisor, lanes_nursery: trio.Nursery) -> None:
        async with self._reloading:
            systemd.reloading()
            await self._catch_up()  # what was handed over before goes by the configuration as it was
            try:
                config = await trio.to_thread.run_sync(self._read_anew)  # a file may lie on a slow disk, or be a pipe
            except ConfigurationInvalid as invalid:
                self._reload_problems = [
                    f"the last reload was refused, the configuration before it is in force: {invalid.problems[0]}"
                ]
                self._emit(ReloadRefused(tuple(map(str, invalid.problems))))
            else:
                await lanes.apply(config, lanes_nursery)
                dispatch.check_disk()  # the reserve may be another
                self._apply(config)
            systemd.ready()

    def _read_anew(self) -> Config:
        return self._with_client_webhooks(self._configuration())

    def _with_client_webhooks(self, config: Config) -> Config:
        """The configuration with what was lent, as it can be with the network settings and disks around us. It reads files."""
        return writable(within(self._client_webhooks.merge_into(config)), self.folder)

    async def _add_webhook(self, url: str, peer: Peer, lanes: Supervisor, lanes_nursery: trio.Nursery) -> str:
        """Take a webhook from a client; its destination's name. Raises LendingRefused."""
        async with self._reloading:
            name = await trio.to_thread.run_sync(self._client_webhooks.add, url, peer.uid, self._config)
            if name not in self._config.destinations:
                self._config = await trio.to_thread.run_sync(self._with_client_webhooks, self._config)
                await lanes.add_missing(self._config, lanes_nursery)
                self._emit(WebhookAdded(name, peer.uid, peer.pid))
        return name

    def _problems(self) -> list[str]:
        """What people should know of the configuration, and of what keeps it from working here."""
        return [*self._reload_problems, *self._config.problems]

    def _apply(self, config: Config) -> None:
        if (config.daemon.socket, config.daemon.state) != (self._config.daemon.socket, self._config.daemon.state):
            self._emit(ConfigurationWarning("[daemon] socket and state take effect at the next start only"))
        self._config = config
        self._reload_problems = []
        self.log.set_level(self._log_level or config.daemon.log)
        self._apply_to_observers(config)
        self._emit_warnings(config)
        self._emit(Reloaded(len(config.destinations)))

    def _emit_warnings(self, config: Config) -> None:
        for warning in config.warnings:
            self._emit(ConfigurationWarning(warning))


async def _queued(journal: Journal) -> int:
    return sum(count.n for count in await journal.run(queries.counts) if count.state == "queued")


def _socket_view(listener: UnixListener) -> tuple[dict[str, Any], list[str]]:
    """The `socket` of the status, and what is wrong with it."""
    problems = [f"programs cannot connect to {listener.path}: {listener.problem}"] if listener.problem else []
    return {"path": listener.path, "reason": listener.problem}, problems
