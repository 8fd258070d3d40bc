"""The end of a program: what is logged or sent last is handed over, in whatever order things end.

Each script runs in a process of its own, and forks, so that many ends are tried at the price of one start of Python.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.client.servers import Serve, Server, silent
from tests.harness import PATIENCE
from tests.outboxes import held

import tocsin
from tocsin.background import BackgroundThread

REPEATS = 20

_HEAD = """
import logging, logging.config, os, sys, tocsin

root = logging.getLogger()
root.addHandler(tocsin.Handler(socket=sys.argv[1], timeout=20))
"""
_REPEATED = """
for number in range({repeats}):
    if os.fork() == 0:
{script}
        root.critical(f"last {{number}}")
        sys.exit()
for _ in range({repeats}):
    os.wait()
"""


def python(script: str, *arguments: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **(env or {})},
    )


def titles(server: Server) -> list[str]:
    return sorted(
        signal["title"] for request in server.requests for signal in request.get("signals", [request.get("signal")])
    )


def spooled_titles(spool: Path) -> list[str]:
    return [signal["title"] for signal in held(spool)]


_SCENARIOS = {
    "dictConfig": "logging.config.dictConfig({'version': 1, 'disable_existing_loggers': False})",
    "dictConfig after a record": "root.error('first'); logging.config.dictConfig({'version': 1})",
    "fileConfig": """
import io
logging.config.fileConfig(io.StringIO('''
[loggers]
keys=root,other
[handlers]
keys=
[formatters]
keys=
[logger_root]
handlers=
[logger_other]
qualname=other
handlers=
'''))
root.addHandler(handler)
""",
    "basicConfig": "logging.basicConfig(force=True); root.addHandler(handler)",
    "removeHandler": "root.removeHandler(handler); root.addHandler(handler)",
    "removed and forgotten": "root.critical('gone'); root.removeHandler(handler); del handler; logging._handlerList.clear()",
    "close": "root.error('first'); handler.close()",
    "shutdown": "root.error('first'); logging.shutdown()",
    "shutdown twice": "root.error('first'); logging.shutdown(); root.error('second'); logging.shutdown()",
    "nothing": "pass",
}


@pytest.mark.parametrize("name", [name for name in _SCENARIOS if name != "removed and forgotten"])
def test_handler_hands_over_the_last_record_after(name: str, serve: Serve) -> None:
    server = serve()
    script = "handler = root.handlers[0]\n" + _SCENARIOS[name].strip()
    indented = "\n".join(f"        {line}" for line in script.splitlines())
    done = python(_HEAD + _REPEATED.format(repeats=REPEATS, script=indented), server.path)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert {f"last {number}" for number in range(REPEATS)} <= set(titles(server))


def test_handler_that_was_removed_and_collected_hands_over_what_it_had(serve: Serve) -> None:
    server = serve()
    script = f"handler = root.handlers[0]\n{_SCENARIOS['removed and forgotten']}\nimport gc; gc.collect()"
    assert python(_HEAD + script, server.path).returncode == 0
    assert titles(server) == ["gone"]


_ENDS = {
    "uncaught exception": "root.critical('last'); raise ZeroDivisionError",
    "SystemExit": "root.critical('last'); sys.exit(3)",
    "threads that go on": """
import threading, time
def work():
    threading.main_thread().join()
    root.critical('last')
threading.Thread(target=work).start()
""",
    "an exit hook that is older": """
root.error('first')
""",
    "an excepthook": """
sys.excepthook = lambda *_: root.critical('last')
raise ZeroDivisionError
""",
}


@pytest.mark.parametrize("name", list(_ENDS))
def test_handler_hands_over_the_last_record_of_a_program_that_ends_by(name: str, serve: Serve) -> None:
    server = serve()
    older = "import atexit\natexit.register(lambda: root.critical('last'))\n" if "older" in name else ""
    python(older + _HEAD + _ENDS[name], server.path)
    assert titles(server)[-1] == "last"


_CHILDREN = """
import multiprocessing

def work(number, handler=None):
    log = logging.getLogger("child")
    log.propagate = False
    log.addHandler(handler or tocsin.Handler(socket=sys.argv[1], timeout=20))
    log.critical(f"last {number}")

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[2])
    handler = tocsin.Handler(socket=sys.argv[1], timeout=20)
    children = [context.Process(target=work, args=(number, handler if number % 2 else None)) for number in range(6)]
    for child in children:
        child.start()
    for child in children:
        child.join()
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_handler_made_in_or_sent_to_a_child_of_multiprocessing_hands_over(
    method: str, serve: Serve, folder: Path
) -> None:
    server = serve()
    program = folder / "program.py"
    program.write_text(f"import logging, sys, tocsin\n{_CHILDREN}")
    done = subprocess.run(
        [sys.executable, program, server.path, method], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert titles(server) == [f"last {number}" for number in range(6)]


def test_handler_that_is_closed_while_others_log_loses_nothing(serve: Serve) -> None:
    server = serve()
    handler = tocsin.Handler(socket=server.path, capacity=10_000)
    log = logging.getLogger("test_endings")
    log.propagate = False
    log.addHandler(handler)

    def close_often() -> None:
        for _ in range(300):
            handler.close()

    closing = threading.Thread(target=close_often)
    closing.start()
    for number in range(1000):
        log.error("%04d", number)
    closing.join()
    assert handler._queue.flush()
    log.removeHandler(handler)
    assert titles(server) == [f"{number:04d}" for number in range(1000)]


def test_background_thread_goes_on_when_work_came_before_its_end() -> None:
    work = [True]
    ends: list[bool] = []

    def run() -> None:
        ends.append(background.finish(lambda: not work))
        work.clear()
        ends.append(background.finish(lambda: not work))

    background = BackgroundThread("last_work", run)
    assert background.start()
    for thread in threading.enumerate():
        if thread.name == "last_work":
            thread.join()
    assert ends == [False, True]
    assert not background.is_alive()


# -- __del__, while the interpreter closes

_MORTAL = """
import sys
import tocsin

class Mortal:
    def __del__(self):
        {last}

mortal = Mortal()
"""
_LAST = {
    "send": "tocsin.send('last', body='body', price=1.5, timestamp='2024-01-01T00:00:00')",
    "a client": "tocsin.Client().send('last')",
    "many": "tocsin.send_many([{'title': 'last'}])",
    "a file": "tocsin.send('last', attach=sys.executable)",
}


@pytest.mark.parametrize("name", list(_LAST))
def test_send_from_del_at_interpreter_shutdown_is_on_disk(name: str, spool: Path, folder: Path) -> None:
    script = _MORTAL.format(last=_LAST[name])
    done = python(script, env={"TOCSIN_SOCKET": str(folder / "absent")})
    assert (done.returncode, done.stderr) == (0, "")
    assert spooled_titles(spool) == ["last"]


@pytest.mark.parametrize("answers", [True, False])
def test_send_from_del_at_interpreter_shutdown_reaches_a_daemon(answers: bool, serve: Serve, spool: Path) -> None:
    server = serve() if answers else serve(silent)
    seconds = PATIENCE if answers else 0.25
    script = f"{_MORTAL.format(last=_LAST['send'])}\ntocsin.client._process_wide.timeout = {seconds}"
    done = python(script, env={"TOCSIN_SOCKET": server.path})
    assert (done.returncode, done.stderr) == (0, "")
    assert (titles(server) if answers else spooled_titles(spool)) == ["last"]


def test_send_from_del_finds_what_the_configuration_says(spool: Path, folder: Path) -> None:
    own = folder / "own"
    own.mkdir(0o700)
    (folder / "alerts.toml").write_text(f'[daemon]\nsocket = "{folder}/absent"\nstate = "{own}"\n')
    script = _MORTAL.format(last=_LAST["send"])
    env = {"TOCSIN_CONFIG": str(folder / "alerts.toml")}
    code = f"import os\nos.environ.pop('TOCSIN_SPOOL', None); os.environ.pop('STATE_DIRECTORY', None)\n{script}"
    done = python(code, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert spooled_titles(own / "spool") == ["last"]


def test_send_from_del_of_another_modules_global_is_on_disk(spool: Path, folder: Path) -> None:
    (folder / "library.py").write_text(_MORTAL.format(last=_LAST["send"]))
    done = python("import library", env={"TOCSIN_SOCKET": str(folder / "absent"), "PYTHONPATH": str(folder)})
    assert (done.returncode, done.stderr) == (0, "")
    assert spooled_titles(spool) == ["last"]


_LOGGED = """
import logging, sys, tocsin
log = logging.getLogger("app")
log.addHandler(tocsin.Handler())

class Mortal:
    log = log
    def __del__(self):
        self.log.critical("last")

mortal = Mortal()
"""


def test_record_from_del_at_interpreter_shutdown_is_on_disk(spool: Path, folder: Path) -> None:
    done = python(_LOGGED, env={"TOCSIN_SOCKET": str(folder / "absent")})
    assert (done.returncode, done.stderr) == (0, "")
    assert spooled_titles(spool) == ["last"]


def test_import_loads_none_of_the_modules_that_only_the_end_needs() -> None:
    script = "import sys, tocsin; print([name for name in ('json', 'datetime', 'logging', 'tomllib') if name in sys.modules])"
    assert python(script).stdout == "[]\n"
