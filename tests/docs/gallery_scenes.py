"""The scenes of the gallery: signals as programs and the daemon make them, and the requests that a Discord destination makes of those."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from docs.pictures.discord_page import Scene
from tests.destinations.saved_messages import stored

import tocsin
from tocsin.cli.child_process import Ending
from tocsin.cli.parsing import Parser
from tocsin.cli.run import VERBS, _separated, _signal
from tocsin.ids import id_of
from tocsin.signals import Signal
from tocsind.config import DiscordOptions
from tocsind.destinations.discord import DiscordWebhook
from tocsind.destinations.http import HttpClient
from tocsind.expectations import texts as expectation_texts
from tocsind.expectations.entry import Entry
from tocsind.expectations.process import Process
from tocsind.observe import alarm_texts
from tocsind.policy.delivery import Delivery, LiveUpdate, Priority
from tocsind.policy.expectation import Cause, Expectation, Stage
from tocsind.policy.live_message import Line, LiveMessage
from tocsind.policy.quiet_digest import QuietDigest
from tocsind.policy.sources import DAEMON_SOURCE
from tocsind.rendering.digest import digest
from tocsind.rendering.quiet_digest import quiet_digest

NOW = 1_769_825_532.0  # 2026-01-31 03:12:12 in Berlin
OPTIONS = DiscordOptions(username="tocsin", mention={"urgent": ("role:1",)})
_TRACEBACK = """Traceback (most recent call last):
  File "/srv/shop/payments.py", line 88, in charge
    answer = gateway.charge(order.card, order.total)
  File "/srv/shop/gateway.py", line 31, in charge
    raise TimeoutError("gateway did not answer within 10 s")
TimeoutError: gateway did not answer within 10 s"""
_DUMP_ERROR = """pg_dump: saving database definition
pg_dump: dumping contents of table "public.orders"
pg_dump: error: Dumping the contents of table "orders" failed: PQgetResult() failed.
pg_dump: detail: Error message from server: server closed the connection unexpectedly
gzip: /backup/db.sql.gz: No space left on device"""


class FixedClock:
    """A clock that stands still: the texts of alarms ask for wall time only."""

    def now(self) -> float:
        return NOW

    def wall(self) -> float:
        return NOW

    def steady(self) -> float:
        return NOW


class Shown(NamedTuple):
    """A scene before a service has made a message of it."""

    name: str
    heading: str
    note: str
    batch: Sequence[Delivery]


def scenes() -> list[Scene]:
    """All scenes, each with a payload that Discord takes."""
    destination = DiscordWebhook(OPTIONS, HttpClient())
    made = []
    for each in shown():
        payload = destination.preview(each.batch)["payload"]
        payload = stored(
            {"username": "tocsin", **payload}
        ).payload  # an edit has no username, the message keeps its own
        update, tried = each.batch[0].update, each.batch[0].tried or NOW
        posted = update.then.lines[0].at if update else tried
        made.append(Scene(each.name, each.heading, each.note, payload, posted, tried, bool(update and update.edits)))
    return made


def shown() -> list[Shown]:
    """All scenes."""
    return [*_alerts(), *_trade(), *_states(), *_programs(), *_from_tocsin(), *_many()]


def delivery(number: int, title: str, *, ago: float = 2.0, **fields: Any) -> Delivery:
    """A signal that was raised `ago` seconds before NOW, tried now; `number` makes its id."""
    raised = NOW - ago
    given = {"priority": "normal", **fields, "id": fields.get("id") or _id(number, raised)}
    signal = Signal(title, **given)
    return Delivery(
        number,
        signal,
        "alerts",
        Priority[str(given["priority"]).upper()],
        raised,
        order=number,
        tried=NOW,
        deadline=None if signal.expires is None else raised + signal.expires,
    )


def _id(number: int, at: float) -> str:
    return id_of(round(at * 1000), (number * 0x9E3779B97F4A7C15F39C % 2**80).to_bytes(10, "big"))


def _of(signal: Signal, number: int, **more: Any) -> Delivery:
    """A delivery of a signal that the daemon or a program has made."""
    return delivery(
        number, **{**{name: value for name, value in signal.as_dict().items() if value}, "to": None, **more}
    )


# --- alerts ---------------------------------------------------------------------------------------------------------------


def _alerts() -> list[Shown]:
    urgent = delivery(
        1,
        "Payments fail in the shop",
        priority="urgent",
        body="Every third charge has timed out since 03:04. The gateway reports no incident.",
        fields={"failed charges": 412, "error rate": "34 %", "region": "eu-central"},
        source="shop-monitor",
        host="web2",
        link="https://wiki.example/runbooks/payments",
    )
    high = _disk_alert(2)
    normal = delivery(
        3,
        "The certificate of api.example.com ends in 14 days",
        body="certbot renew has failed since Monday.",
        fields={"issuer": "Let's Encrypt", "renewal": "certbot on web1"},
        source="cert-check",
    )
    return [
        Shown(
            "urgent",
            "An urgent alert",
            "Its line is on the lock screen, and mentions whom the configuration names.",
            [urgent],
        ),
        Shown("high", "A high alert", "A line on the lock screen, and no mention.", [high]),
        Shown(
            "normal",
            "A normal alert",
            'No line, unless the destination has `push = "all"`: a phone shows no text of it.',
            [normal],
        ),
    ]


# --- a trade --------------------------------------------------------------------------------------------------------------

_TRADE: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "strategy": "ma_unified",
    "key": "trade-123",
    "priority": "high",
    "tier": "premium",
}


def _trade() -> list[Shown]:
    levels = {"stop": 63360.5, "target": 65600.5}
    opened = delivery(
        10, "BUY BTCUSDT", ago=5400, action="BUY", price=64000.5, confidence=0.87, fields=levels, expires=6000, **_TRADE
    )
    filled = delivery(
        11,
        "BUY BTCUSDT filled",
        ago=5280,
        action="BUY",
        price=64012.0,
        fields={**levels, "entry": 64012.0, "size": 0.25},
        **_TRADE,
    )
    closed = delivery(
        12,
        "BTCUSDT closed at the target",
        action="CLOSE",
        price=65600.5,
        fields={"entry": 64012.0, "exit": 65600.5, "side": "long", "pnl": 397.13},
        attach="chart.png",
        **_TRADE,
    )
    states = [opened, filled, closed]
    notes = (
        ("trade-opened", "A trade is opened", "The first state of the key posts the message."),
        (
            "trade-filled",
            "… filled",
            "The second state edits the message, which notifies no reader; the history has the first.",
        ),
        ("trade-closed", "… and closed", "The same message, with how it ended, and the chart that came along."),
    )
    return [Shown(*notes[place], [_live(states[: place + 1])]) for place in range(3)]


def _live(states: Sequence[Delivery]) -> Delivery:
    """The last of the states of one key, as the update of its live message; each was tried when it came."""
    last = states[-1]
    last = msgspec.structs.replace(last, tried=last.accepted + 1)
    lines = tuple(Line(each.order, each.accepted, each.signal.title, each.signal.price) for each in states)
    edits = "1" if len(states) > 1 else None
    update = LiveUpdate(last.signal.key or "", "", edits, LiveMessage(edits, lines), last)
    return msgspec.structs.replace(last, update=update)


# --- late, doubtful, repeated -----------------------------------------------------------------------------------------------


def _states() -> list[Shown]:
    late = _disk_alert(20, ago=1500)
    doubtful = msgspec.structs.replace(_disk_alert(21, ago=20), maybe_duplicate=True)
    reminder = msgspec.structs.replace(_disk_alert(22, ago=600, priority="urgent"), repeats=2, released=NOW)
    return [
        Shown(
            "late",
            "An alert that comes late",
            "Discord was down: the line says for how long the alert has waited.",
            [late],
        ),
        Shown(
            "doubtful",
            "A possible duplicate",
            "The connection broke after the request had left: the alert comes once more, and says so.",
            [doubtful],
        ),
        Shown(
            "reminder", "A reminder", "With `repeat`, an alert comes again until a reader acknowledges it.", [reminder]
        ),
    ]


def _disk_alert(number: int, *, ago: float = 2.0, priority: str = "high") -> Delivery:
    return delivery(
        number,
        "Disk of db1 is nearly full",
        ago=ago,
        priority=priority,
        body="/var/lib/postgresql grows by 2 GB an hour: about 90 minutes are left.",
        fields={"used": "97 %", "free": "3.1 GB"},
        source="disk-check",
        tags=["db", "disk"],
    )


# --- programs ---------------------------------------------------------------------------------------------------------------


def _programs() -> list[Shown]:
    return [
        Shown(
            "run", "A job has failed", "`tocsin run -- /usr/local/bin/backup.sh`, called by a timer.", [_run_failure()]
        ),
        Shown("traceback", "An exception", "`logger.exception(...)` with `tocsin.Handler`.", [_log_record()]),
    ]


def _run_failure() -> Delivery:
    parser = Parser("tocsin run", "", "", "")
    VERBS["run"].arguments(parser)
    found = parser.read(_separated(["--", "/usr/local/bin/backup.sh"]))
    title, values = _signal(Ending(1, "failed with exit code 1", 754.2, _DUMP_ERROR), found)
    values["fields"] = {**values["fields"], "started by": "backup.service"}
    return delivery(30, title, **{**values, "host": "db1"})


def _log_record() -> Delivery:
    record = logging.makeLogRecord(
        {
            "name": "shop.payments",
            "levelno": logging.ERROR,
            "levelname": "ERROR",
            "msg": "order %s could not be charged",
            "args": (4711,),
            "exc_text": _TRACEBACK,
            "filename": "payments.py",
            "lineno": 92,
            "funcName": "charge",
            "created": NOW - 2,
        }
    )
    handler = tocsin.Handler(spool=False)
    values = handler._signal(record, handler.format(record))
    return delivery(31, values.pop("title"), **{**values, "host": "web2"})


# --- tocsin itself ------------------------------------------------------------------------------------------------------------


def _from_tocsin() -> list[Shown]:
    failing = alarm_texts.failing("signals-premium", "503 Service Unavailable", 660)
    disabled = alarm_texts.disabled("signals-premium", "404: Unknown Webhook (10015)")
    title, body = alarm_texts.all_clear("breaker", "signals-premium", 1260, 3)
    return [
        Shown(
            "alarm",
            "An alarm about tocsin itself",
            "A destination has been failing for minutes.",
            [_alarm(40, failing)],
        ),
        Shown("disabled", "An alarm that needs a hand", "The webhook has been deleted.", [_alarm(41, disabled)]),
        Shown(
            "all-clear",
            "The all-clear",
            "When the condition of an alarm is over.",
            [delivery(42, title, body=body, source=DAEMON_SOURCE, done=True, host="db1")],
        ),
        *_expectation(),
    ]


def _alarm(number: int, alarm: alarm_texts.Alarm) -> Delivery:
    body = alarm.text("ops-telegram")
    return delivery(number, alarm.title, body=body, priority=alarm.priority, source=DAEMON_SOURCE, host="db1")


def _expectation() -> list[Shown]:
    last = NOW - 372
    late = Expectation(60, 6, last, NOW - 306, last=last, stage=Stage.LATE, cause=Cause.NO_BEAT)
    entry = Entry(1000, "grid-bot", late, message="42 orders open", process=Process(4242, 1, "boot"))
    alarm = _of(expectation_texts.alarm(entry, None, FixedClock()), 43, host="trade1")
    gap = 548.0
    back = msgspec.structs.replace(late, stage=Stage.RECOVERED, gap=gap)
    over = expectation_texts.all_clear(
        msgspec.structs.replace(entry, state=back, alarm=alarm.id, message="42 orders open"), []
    )
    end = msgspec.structs.replace(_of(over, 44, host="trade1"), accepted=last + gap)
    return [
        Shown(
            "silent",
            "A program is silent",
            '`tocsin.expect("grid-bot", every=60)`, and no heartbeat comes.',
            [_live([alarm])],
        ),
        Shown(
            "back",
            "… and is back",
            "The message of the alarm is edited: it tells the whole story.",
            [_live([alarm, end])],
        ),
    ]


# --- many ---------------------------------------------------------------------------------------------------------------------


def _many() -> list[Shown]:
    batch = [
        delivery(50, "Disk of db1 is nearly full", priority="high", fields={"used": "97 %"}, source="disk-check"),
        delivery(51, "Replica db2 is behind", priority="high", fields={"lag": "95 s"}, source="pg-check"),
        delivery(52, "Nightly report is done", fields={"rows": 18220}, source="report"),
    ]
    return [
        Shown(
            "batch",
            "Several alerts at once",
            "They share a message; numbers say which line belongs to which card.",
            batch,
        ),
        Shown(
            "digest",
            "A digest",
            "When more signals wait than Discord takes, the oldest of low priority are summed up.",
            [_digest()],
        ),
        Shown("quiet", "After quiet hours", "What came in the night, in one message at seven.", [_quiet()]),
    ]


def _digest() -> Delivery:
    waiting = [
        delivery(
            100 + n, f"SELL {symbol}", ago=900 - 7 * n, symbol=symbol, action="SELL", strategy="grid", price=price + n
        )
        for n, (symbol, price) in enumerate(
            [("ETHUSDT", 3010.0)] * 60 + [("BTCUSDT", 64000.0)] * 31 + [("SOLUSDT", 101.5)] * 4
        )
    ]
    signal = digest(waiting, "normal")
    return msgspec.structs.replace(delivery(60, **signal), number=-1)


def _quiet() -> Delivery:
    held = QuietDigest()
    for each in (
        delivery(110, "Replica db2 is behind by 95 s", ago=14_400, key="replica-db2"),
        delivery(111, "Replica db2 is behind by 240 s", ago=9000, key="replica-db2"),
        delivery(112, "Backup of orders took 42 minutes", ago=10_800),
        *(delivery(113 + n, "Login failed for root", ago=7200 - 60 * n, source="sshd") for n in range(17)),
        delivery(140, "CPU of web1 is high", ago=8000, key="cpu-web1"),
        delivery(141, "CPU of web1 is normal", ago=7700, key="cpu-web1", done=True),
    ):
        held.add(each)
    held.add(delivery(150, "BUY ETHUSDT", ago=9500, expires=600), has_expired=True)
    id_ = _id(61, NOW)
    return delivery(61, **quiet_digest(held, id_))
