"""Makes the components of a daemon on an open journal. Each gets the parts of the core that it needs, and the journal, here."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tocsin import paths

from .clock import Clock
from .config import Config
from .core.assembly import Core, assemble
from .delivery.housekeeping import Housekeeping
from .delivery.supervisor import Supervisor
from .destinations.http import HttpClient
from .events import Emit
from .expectations import Expectations
from .http import HttpListener, Intake, make_router
from .http.page import Page
from .ipc import Handlers
from .ipc.handlers import AddWebhook, ApplyFile
from .journal import Journal
from .observe.alarm_routes import AlarmRoutes
from .observe.alarm_tracker import AlarmTracker
from .observe.alarms import Alarms
from .observe.event_feed import EventFeed
from .observe.health_readings import HealthCheck
from .observe.heartbeat import Heartbeat
from .observe.liveness import Liveness
from .observe.metrics import Metrics
from .observe.silence_reports import SilenceReports
from .observe.status import StatusView
from .observe.story import Stories
from .page.last_hour import LastHour
from .page.overview import Overviews
from .page.timed import expectation_list, silence_list
from .spool import OwnOutbox, SpoolImporter

if TYPE_CHECKING:
    from .shared.hub import Hub


def _assembled(journal: Journal, config: Config, clock: Clock, emit: Emit, folder: Path) -> Core:
    if config.shared.url is None:
        return assemble(journal, config, clock, emit, folder)
    from .shared import assembly as sharing  # noqa: PLC0415 - a host alone does not load it

    make_store = sharing.store_maker(config.shared, folder, clock)
    return assemble(journal, config, clock, emit, folder, make_store=make_store)


def _hub(config: Config, journal: Journal, core: Core, lanes: Supervisor, *, clock: Clock, emit: Emit) -> Hub | None:
    """The tasks by which this host takes part; None without [shared]."""
    if config.shared.url is None:
        return None
    from .shared import assembly as sharing  # noqa: PLC0415 - as above

    return sharing.make_hub(
        config.shared, journal, core.store, lanes, hosts=core.hosts, operator=core.operator, clock=clock, emit=emit
    )


class Components:
    """The components that exist before the socket is open. Making them starts no task.

    `concerns` are the problems of the configuration, for `status`.
    """

    def __init__(
        self,
        journal: Journal,
        client: HttpClient,
        config: Config,
        folder: Path,
        *,
        metrics: Metrics,
        alarm_tracker: AlarmTracker,
        concerns: Callable[[], list[str]],
        clock: Clock,
        emit: Emit,
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._emit = emit
        self.core = _assembled(journal, config, clock, emit, folder)
        self._make_lanes(config, folder, client)
        self._make_intake(folder)
        self._make_observers(metrics, client, concerns)
        self._make_reporters(alarm_tracker)

    def _make_lanes(self, config: Config, folder: Path, client: HttpClient) -> None:
        """The parts that send deliveries, and settle them in time."""
        core, clock = self.core, self._clock
        self.lanes = Supervisor(
            core.config,
            core.store,
            operator=core.operator,
            wakeups=core.wakeups,
            clock=clock,
            emit=self._emit,
            folder=folder,
            client=client,
        )
        self.hub = _hub(config, self._journal, core, self.lanes, clock=clock, emit=self._emit)
        self.housekeeping = Housekeeping(
            self._journal,
            core.store,
            self.lanes,
            timekeeper=core.timekeeper,
            wakeups=core.wakeups,
            disk_guard=core.disk_guard,
            attachments=core.attachments,
            clock=clock,
        )

    def _make_intake(self, folder: Path) -> None:
        """The parts that accept signals without a connection."""
        core = self.core
        spool_folder = Path(paths.spool_folder(str(folder)))
        self.spool = SpoolImporter(
            spool_folder,
            self._journal,
            core.acceptor,
            config=core.config,
            disk_guard=core.disk_guard,
            attachments=core.attachments,
            clock=self._clock,
            emit=self._emit,
        )
        self.own_outbox = OwnOutbox(spool_folder, self.spool)

    def _make_observers(self, metrics: Metrics, client: HttpClient, concerns: Callable[[], list[str]]) -> None:
        """The parts that observe the others: health, status, the page, the heartbeat."""
        core, clock = self.core, self._clock
        self.health = HealthCheck(
            self._journal, self.lanes, metrics, config=core.config, disk_guard=core.disk_guard, clock=clock
        )
        self.liveness = Liveness(self._journal, self.lanes)
        self.status = StatusView(
            self._journal,
            self.health,
            metrics,
            config=core.config,
            disk_guard=core.disk_guard,
            attachments=core.attachments,
            clock=clock,
            concerns=concerns,
            spool=self.spool,
        )
        self.last_hour = LastHour(clock)
        self.stories = Stories(self._journal, self.lanes, clock, self.hub.view.tell_story if self.hub else None)
        self.heartbeat = Heartbeat(self.health, self.liveness.check, client, clock, self._emit)

    def _make_reporters(self, alarm_tracker: AlarmTracker) -> None:
        """The parts that send signals about the daemon itself."""
        core, clock, emit = self.core, self._clock, self._emit
        self.alarms = Alarms(
            alarm_tracker,
            self.health,
            self._journal,
            core.acceptor,
            self.lanes,
            config=core.config,
            clock=clock,
            emit=emit,
        )
        self.silence_reports = SilenceReports(
            core.silences,
            core.acceptor,
            AlarmRoutes(core.config, self.lanes),
            config=core.config,
            clock=clock,
            emit=emit,
        )
        self.expectations = Expectations(self._journal, core.acceptor, config=core.config, clock=clock, emit=emit)

    def handlers(self, feed: EventFeed, add_webhook: AddWebhook, reload: ApplyFile) -> Handlers:
        """The handlers of the socket's requests."""
        return Handlers(
            self._journal,
            self.core.acceptor,
            operator=self.core.operator,
            silences=self.core.silences,
            expectations=self.expectations,
            waiters=self.core.waiters,
            lanes=self.lanes,
            spool=self.spool,
            status=self.status,
            stories=self.stories,
            feed=feed,
            add_webhook=add_webhook,
            reload=reload,
            hosts=self.hub.view.hosts if self.hub else None,
            clock=self._clock,
            emit=self._emit,
        )

    def http(self, unready: Callable[[], str | None]) -> HttpListener:
        """The HTTP listener with all its routes. `unready` returns why the daemon accepts no signals."""
        core = self.core
        intake = Intake(
            core.acceptor,
            self._journal,
            config=core.config,
            disk_guard=core.disk_guard,
            attachments=core.attachments,
            outbox=self.own_outbox,
            emit=self._emit,
        )
        router = make_router(
            self.status, self.liveness.check, unready, intake=intake, clock=self._clock, emit=self._emit
        )
        overviews = Overviews(self.status, self.last_hour, self._journal, self._clock)
        overviews.add_list("silences", partial(silence_list, self.core.silences, self._clock))
        overviews.add_list("expected", partial(expectation_list, self.expectations))
        Page(self._journal, self.stories, overviews).add_routes(router)
        return HttpListener(router, self._emit)
