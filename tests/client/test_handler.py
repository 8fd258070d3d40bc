"""`tocsin.Handler`: records reach the daemon, and a logging call does not wait."""

from __future__ import annotations

import datetime as dt
import logging
import logging.config
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.client.servers import Serve, Server, Visit, answering, silent, stored
from tests.harness import PATIENCE
from tests.outboxes import held

import tocsin
from tocsin import at_exit

PROMISE = 2.0  # seconds: what the end of a program may take because of us


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """A logger of its own, without handlers, that is as it was in the end."""
    logger = logging.getLogger(f"app.{time.monotonic_ns()}")
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    yield logger
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()


def heard(server: Server) -> list[dict[str, Any]]:
    return [signal for request in server.requests for signal in request["signals"]]


def handled(log: logging.Logger, path: str | Path, **settings: Any) -> tocsin.Handler:
    handler = tocsin.Handler(**{"socket": str(path), "level": logging.DEBUG, **settings})
    log.addHandler(handler)
    return handler


def test_handler_sends_a_record_as_a_signal(serve: Serve, log: logging.Logger) -> None:
    server = serve()
    handler = handled(log, server.path, tier="ops", tags=["app"])
    before = time.time()
    log.error("order %d failed\nbecause", 7)
    handler.flush()
    [alert] = heard(server)
    assert before <= alert.pop("timestamp") <= time.time()
    assert alert.pop("fields")["where"].startswith("test_handler.py:")
    del alert["id"]
    assert alert == {
        "title": "order 7 failed", "body": "because", "priority": "high", "source": log.name, "host": os.uname().nodename,
        "code": True, "tier": "ops", "tags": ["app"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("level", "priority"),
    [
        (logging.CRITICAL, "urgent"),
        (45, "high"),
        (logging.ERROR, "high"),
        (logging.WARNING, "normal"),
        (25, "low"),
        (logging.DEBUG, "low"),
    ],
)
def test_handler_maps_level_to_priority(serve: Serve, log: logging.Logger, level: int, priority: str) -> None:
    server = serve()
    handler = handled(log, server.path)
    log.log(level, "something")
    handler.flush()
    assert [alert["priority"] for alert in heard(server)] == [priority]


def test_handler_default_level_is_warning(serve: Serve, log: logging.Logger) -> None:
    server = serve()
    handler = tocsin.Handler(socket=server.path)
    log.addHandler(handler)
    log.info("fine")
    log.warning("not fine")
    handler.flush()
    assert [alert["title"] for alert in heard(server)] == ["not fine"]


def test_handler_keeps_the_end_of_a_traceback(serve: Serve, log: logging.Logger) -> None:
    server = serve()
    handler = handled(log, server.path)
    try:
        int("x" * 10_000)
    except ValueError as error:
        error.add_note("the end")
        log.exception("it failed")
    handler.flush()
    [alert] = heard(server)
    assert alert["title"] == "it failed"
    assert alert["body"].endswith("the end")
    assert len(alert["body"]) <= 4096


def test_handler_uses_its_formatter_and_titles_an_empty_message(serve: Serve, log: logging.Logger) -> None:
    server = serve()
    handler = handled(log, server.path)
    log.warning("")
    handler.setFormatter(logging.Formatter("%(levelname)s|%(message)s"))
    log.warning("formatted")
    handler.flush()
    assert [alert["title"] for alert in heard(server)] == ["WARNING without words", "WARNING|formatted"]


def test_handler_is_configured_by_dict_config(serve: Serve) -> None:
    server = serve()
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"tocsin": {"class": "tocsin.Handler", "level": "ERROR", "socket": server.path, "tier": "ops"}},
            "loggers": {"configured": {"handlers": ["tocsin"], "propagate": False}},
        }
    )
    log = logging.getLogger("configured")
    [handler] = log.handlers
    log.warning("no")
    log.error("yes")
    handler.close()
    log.removeHandler(handler)
    assert [(alert["title"], alert["tier"]) for alert in heard(server)] == [("yes", "ops")]


def test_handler_does_not_wait_for_a_hung_daemon(serve: Serve, log: logging.Logger, spool: Path) -> None:
    handler = handled(log, serve(silent).path, window=0, timeout=0.5)
    started = time.monotonic()
    for n in range(1000):
        log.error("%d", n)
    assert (
        time.monotonic() - started < PATIENCE
    )  # one exchange with this daemon takes half a second, so all of them take minutes
    handler.flush()
    kept = [signal["title"] for signal in held(spool)]
    assert kept == [str(n) for n in range(1000)]


def test_handler_reports_records_lost_to_a_full_queue(serve: Serve, log: logging.Logger) -> None:
    hung, released = threading.Event(), threading.Event()

    def slow_once(visit: Visit) -> None:
        while (request := visit.hear()) is not None:
            hung.set()
            released.wait(PATIENCE)
            server.requests.append(request)
            visit.tell(stored(request))

    server = serve(slow_once)
    handler = handled(log, server.path, capacity=5, window=0, timeout=20)
    log.error("first")
    assert hung.wait(PATIENCE)
    for n in range(20):
        log.error("%d", n)
    released.set()
    handler.flush()
    assert [alert["title"] for alert in heard(server)] == [
        "first", "0", "1", "2", "3", "4", "15 log records could not be told, or came too fast",
    ]  # fmt: skip


def test_handler_sends_repeated_records_once_with_their_count(serve: Serve, log: logging.Logger) -> None:
    server = serve()
    handler = handled(log, server.path, window=3600)
    for n in range(1002):
        log.error("order %s failed", "0" if n < 1000 else "1") if n != 1001 else log.error("another")
    handler.flush()
    assert [alert["title"] for alert in heard(server)] == [
        "order 0 failed", "order 1 failed", "another", "999 more times within 3600 s: order 0 failed",
    ]  # fmt: skip


def test_handler_reports_repetitions_after_their_window(serve: Serve, log: logging.Logger) -> None:
    told = threading.Event()

    def answer(request: dict[str, Any]) -> Any:
        server.requests.append(request)
        if any("more time" in signal["title"] for signal in request["signals"]):
            told.set()
        return stored(request)

    server = serve(answering(answer))
    handled(log, server.path, window=0.05)
    log.error("again")
    log.error("again")
    assert told.wait(PATIENCE)
    assert heard(server)[-1]["title"] == "1 more time within 0.05 s: again"


def test_handler_ignores_records_of_tocsin_and_of_its_thread(serve: Serve, log: logging.Logger) -> None:
    server = serve()
    handler = handled(log, server.path)

    def send_many(signals: Any) -> Any:
        log.error("from our own thread")
        with tocsin.Client(server.path) as client:
            return client.send_many(signals)

    handler._client.send_many = send_many  # type: ignore[method-assign]
    logging.getLogger("tocsin.client").addHandler(handler)
    logging.getLogger("tocsin.client").error("echo")
    logging.getLogger("tocsin.client").removeHandler(handler)
    log.error("real")
    handler.flush()
    handler.flush()
    assert [alert["title"] for alert in heard(server)] == ["real"]


def test_handler_works_after_close(serve: Serve, log: logging.Logger) -> None:
    server = serve()
    handler = handled(log, server.path)
    log.error("one")
    handler.close()
    log.error("two")
    handler.close()
    assert [alert["title"] for alert in heard(server)] == ["one", "two"]


def test_handler_loses_no_record_of_concurrent_threads(serve: Serve, log: logging.Logger) -> None:
    server = serve()
    handler = handled(log, server.path, capacity=10_000, timeout=20)

    def many(thread: int) -> None:
        for n in range(100):
            log.error(f"{thread} {n}")  # noqa: G004 - each a message of its own

    threads = [threading.Thread(target=many, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    handler.flush()
    assert len({alert["title"] for alert in heard(server)}) == 800


def _python(script: str, path: str, settings: str = "timeout=20") -> subprocess.CompletedProcess[str]:
    head = (
        "import logging, os, sys, tocsin\nlog = logging.getLogger('app')\n"
        f"log.addHandler(tocsin.Handler(socket=sys.argv[1], {settings}))\n"
    )
    return subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", head + script, path],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


_FORK = """
log.error("parent before")
child = os.fork()
log.error("child" if child == 0 else "parent after")
if child == 0:
    logging.shutdown()
    os._exit(0)
os.waitpid(child, 0)
"""
_MULTIPROCESSING = """
import multiprocessing
log.error("parent before")
child = multiprocessing.get_context("fork").Process(target=log.error, args=("child",))
child.start()
child.join()
log.error("parent after")
"""


@pytest.mark.parametrize("script", [_FORK, _MULTIPROCESSING])
def test_handler_in_a_forked_child_sends_only_its_own_records(serve: Serve, script: str) -> None:
    server = serve()
    done = _python(script, server.path)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(alert["title"] for alert in heard(server)) == ["child", "parent after", "parent before"]


def test_handler_sends_the_last_records_at_exit(serve: Serve) -> None:
    server = serve()
    assert _python("[log.error(f'{n}') for n in range(300)]", server.path).returncode == 0
    assert [alert["title"] for alert in heard(server)] == [str(n) for n in range(300)]


def test_handler_flush_and_close_wait_once(serve: Serve, log: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = handled(log, serve(silent).path, timeout=30)
    log.error("absent answers")
    monkeypatch.setattr(at_exit, "FLUSH_SECONDS", PROMISE)
    started = time.monotonic()
    handler.flush()
    flushed = time.monotonic()
    handler.close()
    closed = time.monotonic()
    assert flushed - started >= PROMISE
    assert closed - flushed < PROMISE


_HUNG = """
import time
started = time.monotonic()
for n in range(1000):
    log.error(f"{n}")
logging.shutdown()
print(time.monotonic() - started)
"""


def test_handler_delays_exit_by_two_seconds_with_a_hung_daemon(serve: Serve, spool: Path) -> None:
    done = _python(_HUNG, serve(silent).path, "timeout=0.5")
    assert (
        float(done.stdout) < PATIENCE
    )  # our two seconds, and two busy cores; one timeout for each record would be minutes
    assert len(held(spool)) == 1000


_NONSENSE = """
class Hostile:
    def __str__(self):
        raise ZeroDivisionError

log.error(Hostile())
log.error("%s", Hostile())
log.error("%d", "no number")
log.error("%s %s", 1)
log.error("after")
"""


def test_handler_sends_the_parts_of_an_unformattable_record(serve: Serve) -> None:
    server = serve()
    done = _python(_NONSENSE, server.path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [alert["title"] for alert in heard(server)] == [
        "<Hostile that cannot be shown>",
        "%s <Hostile that cannot be shown>",
        "%d no number",
        "%s %s 1",
        "after",
    ]


def test_handler_flushes_itself_when_no_thread_can_be_started(serve: Serve) -> None:
    server = serve()
    script = "import threading\nthreading.Thread.start = lambda _: (_ for _ in ()).throw(RuntimeError('no more'))\nlog.error('last words')"
    done = _python(script, server.path)
    assert (done.returncode, done.stderr) == (0, "")
    assert [alert["title"] for alert in heard(server)] == ["last words"]


_LAST_WORDS = """
class Mortal:
    log = log

    def __del__(self):
        self.log.error("last words")

mortal = Mortal()
log.error("first words")
log.handlers[0].flush()
"""


def test_handler_sends_records_of_a_closing_interpreter(serve: Serve) -> None:
    server = serve()
    done = _python(_LAST_WORDS, server.path)
    assert (done.returncode, done.stderr) == (0, "")
    assert [alert["title"] for alert in heard(server)] == ["first words", "last words"]


def test_handler_flush_takes_two_seconds_at_most() -> None:
    script = (
        "from tocsin import at_exit, background\nprint(at_exit.FLUSH_SECONDS, *background.WorkQueue.flush.__defaults__)"
    )
    done = _python(script, "absent")
    assert [float(seconds) for seconds in done.stdout.split()] == [PROMISE, PROMISE]


def test_handler_has_a_queue_of_its_process() -> None:
    assert os.getpid() == tocsin.Handler()._own_queue().pid


def test_handler_marks_a_traceback_that_escaping_makes_too_long(serve: Serve, log: logging.Logger) -> None:
    server = serve()
    handler = handled(log, server.path)
    for stars in (3000, 9000):
        log.error("it failed\n%s\nValueError: the end", "*" * stars)
    handler.flush()
    bodies = [alert["body"] for alert in heard(server)]
    assert [body[0] for body in bodies] == ["…", "…"]
    assert all(body.endswith("*\nValueError: the end") and len(body) <= 4096 for body in bodies)


def test_handler_names_a_level_that_the_priority_does_not_say(serve: Serve, log: logging.Logger) -> None:
    server = serve()
    handler = handled(log, server.path)
    for level in (logging.ERROR, 45, logging.INFO):
        log.log(level, "one of %d", level)
    handler.flush()
    assert [alert["fields"].get("level") for alert in heard(server)] == [None, "Level 45", "INFO"]


def test_handler_sends_extra_as_fields(serve: Serve, log: logging.Logger) -> None:
    server = serve()
    handler = handled(log, server.path, fields={"env": "prod"})
    log.error(
        "order failed", extra={"symbol": "BTCUSDT", "size": 0.25, "retry": True, "user": None, "_hidden": 1, "env": "x"}
    )
    handler.flush()
    [alert] = heard(server)
    assert alert["fields"].pop("where").startswith("test_handler.py:")
    assert alert["fields"] == {"symbol": "BTCUSDT", "size": 0.25, "retry": True, "user": None, "env": "prod"}


class Unspeakable:
    """Raises whatever is asked."""

    def __str__(self) -> str:
        raise RuntimeError("not now")

    __repr__ = __str__


def test_handler_reads_odd_extra_values_when_they_are_logged(serve: Serve, log: logging.Logger) -> None:
    server = serve()
    handler = handled(log, server.path)
    endless: list[Any] = [1]
    endless.append(endless)
    given = {
        "decimal": Decimal("1.50"), "nan": float("nan"), "huge": "x" * 10_000, "bytes": b"\xff\x00", "endless": endless,
        "bad": Unspeakable(), "kind": Path, "day": dt.date(2026, 1, 31), "nested": {"a": [1, 2]}, "half": "\ud800",
    }  # fmt: skip
    log.error("odd", extra=given)
    endless.clear()
    handler.flush()
    [alert] = heard(server)
    fields = alert["fields"]
    assert {name: fields[name] for name in ("decimal", "nan", "bad", "day", "nested")} == {
        "decimal": 1.5, "nan": "nan", "bad": "Unspeakable", "day": "2026-01-31", "nested": "a: [1, 2]",
    }  # fmt: skip
    assert set(fields) == {*given, "where"}
    assert fields["endless"].startswith("1, [1, ")
    assert fields["huge"].endswith("x…")
    assert all(len(str(value)) <= 250 for value in fields.values())


def test_handler_says_how_many_extra_fields_it_leaves_out(serve: Serve, log: logging.Logger) -> None:
    server = serve()
    handler = handled(log, server.path)
    log.error("many", extra={f"n{n}": n for n in range(100)})
    handler.flush()
    [alert] = heard(server)
    assert alert["fields"]["n19"] == 19
    assert "n20" not in alert["fields"]
    assert alert["fields"]["…"] == "and 80 more"


def test_handler_reports_the_values_of_repeated_records(serve: Serve, log: logging.Logger) -> None:
    server = serve()
    handler = handled(log, server.path)
    for n in range(7):
        log.error("order failed", extra={"order": n, "market": "spot"})
    handler.flush()
    first, others = heard(server)
    assert (first["fields"]["order"], first["fields"]["market"]) == (0, "spot")
    assert others["title"].startswith("6 more times")
    assert (others["fields"]["order"], others["fields"]["market"]) == ("1, 2, 3, 4, …", "spot")
