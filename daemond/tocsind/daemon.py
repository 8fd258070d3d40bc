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

from tocsin import places

from . import __version__, damage, last_alarm, process, systemd
from .alarms import Alarms
from .clock import Boot, SystemClock
from .config import Config, ConfigurationInvalid
from .destinations.environment import within
from .destinations.file_paths import writable
from .destinations.http import HttpClient
from .destinations.registry import build
from .dispatch import Dispatch
from .errors import StorageFull
from .events import (
    ConfigurationDoubt,
    Emit,
    Fact,
    JournalRecovered,
    JournalReplaced,
    Reloaded,
    ReloadRefused,
    Started,
    Stopped,
    Stopping,
    StorageTrouble,
    WebhookLent,
)
from .heartbeat import Heartbeat, Work
from .ipc import Desk, Door, UnixListener, adopt, fitted, open_listener
from .journal import Journal, Recovered, Replaced, memory, reading
from .keeper import Keeper
from .lanes import Lanes
from .lending import Lending
from .log import Log
from .log_writer import Write
from .metrics import Metrics
from .monitor import Monitor
from .progress import Progress
from .reception import Peer
from .secret import cleaned
from .spool import Spool
from .state import locked
from .status import StatusView
from .tail import Tail
from .troubles import Noticed, damaged
from .watchdog import Watchdog

DRAIN_SECONDS = 10.0  # what sends in flight have to finish in
HURRY_SECONDS = 1.0  # what a second SIGTERM leaves to tidy up in
SPOOL_SECONDS = 0.2  # that newer signals wait for those in the spool; callers who already knock have this patience
SAME_WISH = 0.05  # seconds: timeout(1) and some shells signal a process and its group, which is one wish told twice


_HARMLESS = frozenset({"id", "priority", "destination", "destinations", "version"})  # fields of facts: no foreign words


class Facts:
    """Hands each fact to every observer, without the secrets that words of others may quote."""

    def __init__(self, *observers: Emit) -> None:
        self._observers = observers

    def __call__(self, fact: Fact) -> None:
        """Something happened."""
        fact = cleaned(fact, _HARMLESS)
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
        self._wanted = places.expanded(self._wanted) if self._wanted else None
        self.socket: str = self._inherited.getsockname() if self._inherited else self._wanted or places.default_socket()
        self.folder = Path(places.expanded(state or places.state_folder(self._config.daemon.state)))
        self._lending = Lending(self.folder)
        self._clock = SystemClock()
        self.log = Log(self._clock, log or self._config.daemon.log, log_write)
        self._metrics = Metrics(self._clock)
        self._tail = Tail(self._clock)
        self._noticed = Noticed()
        self._emit = Facts(self._metrics, self._tail, self.log, self._noticed)
        self._reloading = trio.Lock()
        self._concerns: list[str] = []  # what people should know of the configuration
        self._catch_up: Callable[[], Awaitable[object]] = trio.lowlevel.checkpoint  # with what waits in outboxes
        self._follow: Callable[[Config], None] = lambda _: None  # of those who watch, once they are there
        self.leaving = False  # told to stop, and on the way out

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        process.tame()
        with locked(self.folder):
            self._config = self._joined(self._config)
            async with (
                Journal(self.folder, self._clock.wall()) as journal,
                HttpClient() as client,
                self._telling_its_end(client),
            ):
                await self._resume_clock(journal)
                self._tell_finding(journal.finding)
                dispatch = Dispatch(journal, self._config, self._clock, self._emit, self.folder)
                lanes = Lanes(dispatch, self._clock, self._emit, self.folder, client)
                async with trio.open_nursery() as watch:
                    async with trio.open_nursery() as nursery:
                        leave = await watch.start(self._on_signals, dispatch, lanes, nursery)
                        watch.start_soon(self._lose_patience, leave, lanes)
                        doubtful = await dispatch.replay()
                        async with self._reloading:  # a SIGHUP may come as early as this
                            await lanes.follow(self._config, nursery)
                        await self._serve(dispatch, lanes, client, leave, doubtful=doubtful, lanes_nursery=nursery)
                        nursery.cancel_scope.cancel()  # and the lanes finish what is in flight
                    watch.cancel_scope.cancel()
                self._emit(Stopped(await _queued(journal)))

    @asynccontextmanager
    async def _telling_its_end(self, client: HttpClient) -> AsyncIterator[None]:
        """When the storage fails, nothing can be recorded any more; people are told of that all the same, before we leave."""
        began = self._clock.now()
        try:
            yield
        except BaseException as error:
            if failure := last_alarm.worth_telling(error, self._clock.now() - began):
                self._emit(StorageTrouble(str(failure)))
                with trio.CancelScope(shield=True):
                    destinations = [build(each, client, self.folder) for each in last_alarm.targets(self._config)]
                    await last_alarm.post(failure, self._config, destinations, self._clock)
            raise

    def _tell_finding(self, finding: Recovered | Replaced | None) -> None:
        """What was wrong with the journal's files; and of the last day's findings, that people are told even if a kill came first."""
        if isinstance(finding, Recovered):
            signals, deliveries, unreadable, owed_again = finding.kept
            name = finding.folder.name
            self._emit(JournalRecovered(finding.reason, name, signals, deliveries, unreadable, owed_again))
        elif finding:
            self._emit(JournalReplaced(finding.reason, finding.waiting))
        for each in damage.recent(self.folder, self._clock.wall()):
            self._noticed.note(damaged(each))

    def _look_for_damage(self) -> tuple[dict[str, Any] | None, list[str]]:
        """For `status`: the folders of damaged files, and those of the last day as problems."""
        now = self._clock.wall()
        return {"folders": [str(each) for each in damage.folders(self.folder)]}, [
            f"{each.reason}: the files lie in {each.folder}, and removing or renaming it ends this notice"
            for each in damage.recent(self.folder, now)
        ]

    async def _resume_clock(self, journal: Journal) -> None:
        """Deadlines of an earlier run count on; on a full disk a fresh boot is noted by the next start."""
        with suppress(StorageFull):
            self._clock.resume(Boot(*await journal.run(memory.boot, *self._clock.boot)))

    async def _serve(
        self,
        dispatch: Dispatch,
        lanes: Lanes,
        client: HttpClient,
        leave: trio.Event,
        *,
        doubtful: int,
        lanes_nursery: trio.Nursery,
    ) -> None:
        listener = open_listener(self.socket) if self._inherited is None else adopt(self._inherited)
        progress = Progress(dispatch.journal, lanes, self._clock)
        spool = Spool(Path(places.spool_folder(str(self.folder))), dispatch, self._clock, self._emit)
        self._catch_up = spool.catch_up
        status = StatusView(dispatch, lanes, self._metrics, self._clock, self._problems, spool=spool)
        status.show("log", lambda: ({"dropped_lines": self.log.dropped}, []))
        status.show("socket", lambda: _socket_view(listener))

        async def lend(url: str, peer: Peer) -> str:
            return await self._lend(url, peer, lanes, lanes_nursery)

        door = Door(
            Desk(dispatch, lanes, status, self._tail, self._emit, lend, spool),
            self._emit,
            fitted(process.descriptors()),
        )
        monitor, heartbeat = self._watched(dispatch, lanes, client, status, progress)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Keeper(dispatch, lanes, self._clock).run)
            nursery.start_soon(Alarms(self._noticed, dispatch, lanes, self._clock, self._emit).run)
            nursery.start_soon(spool.run)
            with trio.move_on_after(SPOOL_SECONDS):
                await spool.looked.wait()
            nursery.start_soon(door.serve, listener)
            nursery.start_soon(listener.watch, self._emit)
            nursery.start_soon(monitor.run)
            nursery.start_soon(heartbeat.run)
            await self._tell_ready(dispatch, doubtful)
            nursery.start_soon(Watchdog(progress.prove, self._clock, self._emit).run)
            await leave.wait()
            systemd.stopping()
            lanes.leave()  # before the door's last replies: those may take a moment, and nothing new shall leave meanwhile
            door.close()
            listener.remove()  # while we still listen on it: so it is ours and no successor's
            nursery.cancel_scope.cancel()

    def _watched(
        self, dispatch: Dispatch, lanes: Lanes, client: HttpClient, status: StatusView, progress: Progress
    ) -> tuple[Monitor, Heartbeat]:
        """Those by whom others see how we are; from now on they follow the configuration, and `status` shows them."""
        monitor = Monitor(status, progress.prove, lambda: self._unready(dispatch), self._emit)
        work = Work(dispatch.journal, lanes, self._metrics, self._clock, progress.prove)
        heartbeat = Heartbeat(work, client, self._clock, self._emit)
        status.show("metrics", monitor.look)
        status.show("heartbeat", heartbeat.look)
        status.show("damage", self._look_for_damage)

        def follow(config: Config) -> None:
            monitor.follow(config.metrics.listen)
            heartbeat.follow(config.heartbeat)

        self._follow = follow
        follow(self._config)
        return monitor, heartbeat

    def _unready(self, dispatch: Dispatch) -> str | None:
        """Why no signal is taken; None when they are."""
        return "the daemon is leaving" if self.leaving else dispatch.intake.closed

    async def _tell_ready(self, dispatch: Dispatch, doubtful: int) -> None:
        self._tell_warnings(self._config)
        if self._inherited and self._wanted not in (None, self.socket):
            self._emit(
                ConfigurationDoubt(f"we serve on {self.socket}, which was handed down, and not on {self._wanted}")
            )
        self._emit(
            Started(__version__, os.getpid(), self.socket, str(self.folder), await _queued(dispatch.journal), doubtful)
        )
        systemd.ready()

    async def _on_signals(
        self,
        dispatch: Dispatch,
        lanes: Lanes,
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
                elif self._clock.now() - asked > SAME_WISH:
                    break
            await self._leave_at_once(lanes)

    async def _lose_patience(self, leave: trio.Event, lanes: Lanes) -> None:
        """A far end that does not answer, or a disk that stays full, does not keep us: it stays open on record."""
        await leave.wait()
        await trio.sleep(DRAIN_SECONDS)
        lanes.abandon()

    async def _leave_at_once(self, lanes: Lanes) -> None:
        """What is in flight stays open on record; if even that takes too long, the journal needs no goodbye."""
        lanes.abandon()
        await trio.sleep(HURRY_SECONDS)
        self.log.close()
        os._exit(0)

    async def _reload(self, dispatch: Dispatch, lanes: Lanes, lanes_nursery: trio.Nursery) -> None:
        async with self._reloading:
            systemd.reloading()
            await self._catch_up()  # what was handed over before goes by the configuration as it was
            try:
                config = await trio.to_thread.run_sync(self._read_anew)  # a file may lie on a slow disk, or be a pipe
            except ConfigurationInvalid as invalid:
                self._concerns = [
                    f"the last reload was refused, the configuration before it is in force: {invalid.problems[0]}"
                ]
                self._emit(ReloadRefused(tuple(map(str, invalid.problems))))
            else:
                await lanes.follow(config, lanes_nursery)
                dispatch.check_disk()  # the reserve may be another
                self._adopt(config)
            systemd.ready()

    def _read_anew(self) -> Config:
        return self._joined(self._configuration())

    def _joined(self, config: Config) -> Config:
        """The configuration with what was lent, as it can be with the network settings and disks around us. It reads files."""
        return writable(within(self._lending.joined(config)), self.folder)

    async def _lend(self, url: str, peer: Peer, lanes: Lanes, lanes_nursery: trio.Nursery) -> str:
        """Take a webhook from a client; its destination's name. Raises LendingRefused."""
        async with self._reloading:
            name = await trio.to_thread.run_sync(self._lending.keep, url, peer.uid, self._config)
            if name not in self._config.destinations:
                self._config = await trio.to_thread.run_sync(self._joined, self._config)
                await lanes.grow(self._config, lanes_nursery)
                self._emit(WebhookLent(name, peer.uid, peer.pid))
        return name

    def _problems(self) -> list[str]:
        """What people should know of the configuration, and of what keeps it from working here."""
        return [*self._concerns, *self._config.problems]

    def _adopt(self, config: Config) -> None:
        if (config.daemon.socket, config.daemon.state) != (self._config.daemon.socket, self._config.daemon.state):
            self._emit(ConfigurationDoubt("[daemon] socket and state take effect at the next start only"))
        self._config = config
        self._concerns = []
        self.log.set_level(self._log_level or config.daemon.log)
        self._follow(config)
        self._tell_warnings(config)
        self._emit(Reloaded(len(config.destinations)))

    def _tell_warnings(self, config: Config) -> None:
        for warning in config.warnings:
            self._emit(ConfigurationDoubt(warning))


async def _queued(journal: Journal) -> int:
    return sum(count.n for count in await journal.run(reading.counts) if count.state == "queued")


def _socket_view(listener: UnixListener) -> tuple[dict[str, Any], list[str]]:
    """The `socket` of the status, and what is wrong with it."""
    problems = [f"programs cannot connect to {listener.path}: {listener.trouble}"] if listener.trouble else []
    return {"path": listener.path, "reason": listener.trouble}, problems
