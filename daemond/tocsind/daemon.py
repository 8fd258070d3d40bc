"""Start, reload and shutdown. The tree of tasks, and the order in which they start and end:

    run                              lock the state folder, open the journal, then:
      nursery
        |-- on_signals               SIGHUP reloads; the first SIGTERM or SIGINT drains, the second exits at once; ends last
        '-- nursery
              |-- shared             with [shared]: leases, what is handed over and fetched (tocsind.shared)
              |-- a task per lane    with its senders; cancelled after the server, and requests in flight finish
              '-- nursery
                    |-- housekeeping deadlines, ledger, disk, digests
                    |-- watchdog     keep-alive messages to the service manager
                    |-- alarms       about the daemon and its destinations
                    |-- silences     settle what waits when one begins; report the end of each
                    |-- expectations reports programs that do not beat, with a task for each watched process
                    |-- heartbeat    pings an external monitor while deliveries succeed
                    |-- monitor      /metrics, /healthz, /readyz
                    |-- spool        imports outboxes, first those that were written while the daemon was down
                    |-- own outbox   the thread that appends messages over HTTP
                    '-- server       the Unix socket; starts last and stops first

The daemon reports READY when the socket listens and the lanes have restored their state. It opens the socket itself, or inherits it from
the service manager; a client that connects to an inherited socket while the daemon is down waits in the backlog for the next start.

Shutdown: the server accepts no more requests, answers those that it has read, and closes; housekeeping, alarms and observers are
cancelled; the lanes finish the requests in flight, each of which has its deadline; the journal closes after its last commit. Shutdown
flushes nothing because nothing is in memory only. An exception out of any task is a bug or a broken disk: it ends the daemon, and the
next start continues from the journal.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import trio

from tocsin import paths

from . import __version__
from .clock import Boot, SystemClock
from .components import Components
from .config import Config, ConfigurationInvalid
from .core.admission import Peer
from .core.client_webhooks import ClientWebhooks
from .delivery.supervisor import Supervisor
from .destinations.file_paths import writable
from .destinations.http import HttpClient
from .destinations.network_settings import within
from .errors import StorageFull
from .events import (
    ConfigurationWarning,
    Reloaded,
    ReloadRefused,
    SharesNothing,
    Started,
    Stopped,
    Stopping,
    WebhookAdded,
)
from .host import hardening, systemd
from .host.state_folder import locked
from .host.watchdog import Watchdog
from .http import HttpListener
from .ipc import Server, UnixListener, adopt, fitted, open_listener
from .journal import Journal, limiter_state, queries
from .observe import damage, last_alarm
from .observe.alarm_tracker import AlarmTracker
from .observe.event_bus import EventBus
from .observe.event_feed import EventFeed
from .observe.health_readings import HealthCheck
from .observe.log import Log
from .observe.log_writer import Write
from .observe.metrics import Metrics
from .observe.refusal_limit import RefusalLimit

DRAIN_SECONDS = 10.0  # from SIGTERM on, for requests in flight
ABORT_SECONDS = 1.0  # from the second SIGTERM on, for the journal's last commit
SPOOL_SECONDS = 0.2  # the socket waits so long for the first pass over the spool; a client waits longer to connect
SECOND_SIGNAL_AFTER = 0.05  # s; timeout(1) and some shells signal the process and its group: that counts as one signal


class Daemon:
    """One daemon; `run` serves until SIGTERM or SIGINT. `configuration` is called at the start and at each reload.

    `socket`, `state` and `log` override the configuration; the log goes to `log_write`, by default to standard error. `run` raises
    DaemonError, alone or in an exception group, when the daemon cannot start or cannot continue.
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
        self._config = self._started_with = configuration()
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
        self._alarm_tracker = AlarmTracker()
        self._emit = EventBus(self._metrics, RefusalLimit(self._clock, self._feed, self.log), self._alarm_tracker)
        self._reloading = trio.Lock()
        self._reload_problems: list[str] = []  # shown by `status` until a reload succeeds
        self._catch_up: Callable[[], Awaitable[object]] = trio.lowlevel.checkpoint  # the spool's, once it runs
        self._apply_to_observers: Callable[[Config], None] = lambda _: None  # replaced once the observers exist
        self.leaving = False  # a shutdown signal came

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        hardening.harden()
        with locked(self.folder):
            self._config = self._with_client_webhooks(self._config)
            async with (
                Journal(self.folder, self._clock.wall()) as journal,
                HttpClient() as client,
                last_alarm.reporting_storage_failure(
                    lambda: self._config, client, self.folder, self._clock, self._emit
                ),
            ):
                await self._resume_clock(journal)
                damage.report(journal.finding, self.folder, self._clock, self._alarm_tracker, self._emit)
                await self._run_lanes(journal, client)
                self._emit(Stopped(await _queued(journal)))

    async def _run_lanes(self, journal: Journal, client: HttpClient) -> None:
        components = Components(
            journal,
            client,
            self._config,
            self.folder,
            metrics=self._metrics,
            alarm_tracker=self._alarm_tracker,
            concerns=lambda: [*self._reload_problems, *self._unapplied(), *self._config.problems],
            clock=self._clock,
            emit=self._emit,
        )
        self._emit.add(components.last_hour)
        async with trio.open_nursery() as watch:
            async with trio.open_nursery() as nursery:
                leave = await watch.start(self._on_signals, components, nursery)
                watch.start_soon(self._enforce_drain_deadline, leave, components.lanes)
                ambiguous = await components.core.store.replay()
                await components.core.silences.load()
                async with self._reloading:  # a SIGHUP may come as early as this
                    await components.lanes.apply(self._config, nursery)
                if components.hub:
                    nursery.start_soon(components.hub.run)
                    components.status.add_part("shared", components.hub.view.part)
                    components.hub.view.presence.describe = components.status.brief
                await self._serve(journal, components, nursery, leave, ambiguous)
                nursery.cancel_scope.cancel()  # the lanes finish what is in flight
            watch.cancel_scope.cancel()

    async def _resume_clock(self, journal: Journal) -> None:
        """Continue the steady clock of an earlier run. On a full disk the next start records a new boot of the machine."""
        with suppress(StorageFull):
            self._clock.resume(Boot(*await journal.run(limiter_state.load_boot, *self._clock.boot)))

    async def _serve(
        self,
        journal: Journal,
        components: Components,
        lanes_nursery: trio.Nursery,
        leave: trio.Event,
        ambiguous: int,
    ) -> None:
        listener = open_listener(self.socket) if self._inherited is None else adopt(self._inherited)
        server = self._make_server(components, lanes_nursery)
        http = self._make_http(components, listener)
        self._catch_up = components.spool.catch_up
        async with trio.open_nursery() as nursery:
            nursery.start_soon(components.housekeeping.run)
            nursery.start_soon(components.alarms.run)
            nursery.start_soon(components.core.silences.run)
            nursery.start_soon(components.silence_reports.run)
            await nursery.start(components.expectations.run)
            nursery.start_soon(components.spool.run)
            with trio.move_on_after(SPOOL_SECONDS):
                await components.spool.first_pass_done.wait()
            nursery.start_soon(server.serve, listener)
            nursery.start_soon(listener.watch, self._emit)
            nursery.start_soon(components.own_outbox.run)
            nursery.start_soon(http.run)
            nursery.start_soon(components.heartbeat.run)
            await self._announce_ready(journal, ambiguous)
            nursery.start_soon(Watchdog(components.liveness.check, self._clock, self._emit).run)
            await leave.wait()
            systemd.stopping()
            components.lanes.drain()  # before the server's last replies: no new request may leave while they are sent
            server.close()
            listener.remove()  # while the daemon still listens on it: afterwards the path may be a successor's
            nursery.cancel_scope.cancel()

    def _make_server(self, components: Components, lanes_nursery: trio.Nursery) -> Server:
        async def add_webhook(url: str, peer: Peer) -> str:
            return await self._add_webhook(url, peer, components.lanes, lanes_nursery)

        async def reload() -> dict[str, Any]:
            await self._reload(components, lanes_nursery)
            destinations, warnings = len(self._config.destinations), list(self._config.warnings)
            return {"destinations": destinations, "restart": self._unapplied(), "warnings": warnings}

        handlers = components.handlers(self._feed, add_webhook, reload)
        return Server(handlers, self._emit, fitted(hardening.descriptors()))

    def _make_http(self, components: Components, listener: UnixListener) -> HttpListener:
        """The HTTP listener. From now on it and the heartbeat follow the configuration, and `status` shows them."""
        status, heartbeat = components.status, components.heartbeat
        http = components.http(lambda: self._unready(components.health))
        status.add_part("log", lambda: ({"dropped_lines": self.log.dropped}, []))
        status.add_part("socket", lambda: _socket_view(listener))
        status.add_part("http", http.view)
        status.add_part("heartbeat", heartbeat.view)
        status.add_part("expectations", lambda: (components.expectations.summary(), []))
        status.add_part("silences", lambda: ({"active": len(components.core.silences)}, []))
        status.add_part("damage", lambda: damage.view(self.folder, self._clock))

        def apply(config: Config) -> None:
            http.apply(config.http)
            heartbeat.apply(config.heartbeat)

        self._apply_to_observers = apply
        apply(self._config)
        return http

    def _unready(self, health: HealthCheck) -> str | None:
        """Why the daemon accepts no signals; None when it does."""
        return "the daemon is leaving" if self.leaving else health.intake_closed()

    async def _announce_ready(self, journal: Journal, ambiguous: int) -> None:
        self._emit_warnings(self._config)
        if self._config.shared.absent:
            self._emit(SharesNothing(self._config.shared.absent))
        if self._inherited and self._wanted not in (None, self.socket):
            where = f"the socket is {self.socket}, inherited from the service manager, and not {self._wanted}"
            self._emit(ConfigurationWarning(where))
        queued = await _queued(journal)
        self._emit(Started(__version__, os.getpid(), self.socket, str(self.folder), queued, ambiguous))
        systemd.ready()

    async def _on_signals(
        self,
        components: Components,
        nursery: trio.Nursery,
        task_status: trio.TaskStatus[trio.Event] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Reload at each SIGHUP; drain at the first SIGTERM or SIGINT, and exit at once at the second."""
        leave, first = trio.Event(), 0.0
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            task_status.started(leave)
            async for number in signals:
                if number == signal.SIGHUP:
                    if not self.leaving:
                        nursery.start_soon(self._reload_by_signal, components, nursery)
                elif not self.leaving:
                    self._emit(Stopping(signal.Signals(number).name))
                    self.leaving = True
                    leave.set()
                    first = self._clock.now()
                elif self._clock.now() - first > SECOND_SIGNAL_AFTER:
                    break
            await self._exit_at_once(components.lanes)

    async def _enforce_drain_deadline(self, leave: trio.Event, lanes: Supervisor) -> None:
        """Stop waiting for a remote end that does not answer, or a disk that stays full; the journal holds the open attempt."""
        await leave.wait()
        await trio.sleep(DRAIN_SECONDS)
        lanes.abandon()

    async def _exit_at_once(self, lanes: Supervisor) -> None:
        """The journal holds the open attempts. Exit even when the orderly shutdown takes longer than ABORT_SECONDS."""
        lanes.abandon()
        await trio.sleep(ABORT_SECONDS)
        self.log.close()
        os._exit(0)

    async def _reload_by_signal(self, components: Components, lanes_nursery: trio.Nursery) -> None:
        with suppress(ConfigurationInvalid):  # status and log have it
            await self._reload(components, lanes_nursery)

    async def _reload(self, components: Components, lanes_nursery: trio.Nursery) -> None:
        """Raises ConfigurationInvalid when the configuration before stays in force."""
        async with self._reloading:
            systemd.reloading()
            await self._catch_up()  # the old configuration applies to signals that were written before
            try:
                # in a thread: a file may lie on a slow disk, or be a pipe
                config = await trio.to_thread.run_sync(lambda: self._with_client_webhooks(self._configuration()))
            except ConfigurationInvalid as invalid:
                self._reload_problems = [
                    f"the last reload was refused, the configuration before it is in force: {invalid.problems[0]}"
                ]
                self._emit(ReloadRefused(tuple(map(str, invalid.problems))))
                raise
            else:
                await components.lanes.apply(config, lanes_nursery)
                with suppress(StorageFull):  # the next reload repeats it
                    await components.expectations.apply(config)
                components.core.disk_guard.check()  # the reserve may have changed
                self._apply(config)
            finally:
                systemd.ready()

    def _with_client_webhooks(self, config: Config) -> Config:
        """The configuration with the client webhooks, and without what network settings and disks rule out. Reads files."""
        return writable(within(self._client_webhooks.merge_into(config)), self.folder)

    async def _add_webhook(self, url: str, peer: Peer, lanes: Supervisor, lanes_nursery: trio.Nursery) -> str:
        """Add a client's webhook; the name of its destination. Raises WebhookRefused."""
        async with self._reloading:
            name = await trio.to_thread.run_sync(self._client_webhooks.add, url, peer.uid, self._config)
            if name not in self._config.destinations:
                self._config = await trio.to_thread.run_sync(self._with_client_webhooks, self._config)
                await lanes.add_missing(self._config, lanes_nursery)
                self._emit(WebhookAdded(name, peer.uid, peer.pid))
        return name

    def _apply(self, config: Config) -> None:
        self._config = config
        self._reload_problems = []
        for each in self._unapplied():
            self._emit(ConfigurationWarning(each))
        self.log.set_level(self._log_level or config.daemon.log)
        self._apply_to_observers(config)
        self._emit_warnings(config)
        self._emit(Reloaded(len(config.destinations)))

    def _unapplied(self) -> list[str]:
        """The parts of the configuration that differ from those of the start, and need another one."""
        began, now = self._started_with, self._config
        found = ["[daemon] socket"] if now.daemon.socket != began.daemon.socket else []
        found += ["[daemon] state"] if now.daemon.state != began.daemon.state else []
        found += ["[shared]"] if now.shared != began.shared else []
        return [f"{each} has changed, and takes effect at the next start only: restart the daemon" for each in found]

    def _emit_warnings(self, config: Config) -> None:
        for each in config.warnings:
            self._emit(ConfigurationWarning(each))


async def _queued(journal: Journal) -> int:
    return sum(count.n for count in await journal.run(queries.counts) if count.state == "queued")


def _socket_view(listener: UnixListener) -> tuple[dict[str, Any], list[str]]:
    """The `socket` of the status, and its problems."""
    problems = [f"programs cannot connect to {listener.path}: {listener.problem}"] if listener.problem else []
    return {"path": listener.path, "reason": listener.problem}, problems
