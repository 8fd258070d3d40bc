"""One client in the company of threads, event loops, forks and odd interpreters."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading

import pytest
import trio
from tests.client.servers import Serve, Visit, answering, stored

from tocsin import Client

HEAVY = (
    "msgspec",
    "trio",
    "httpx",
    "typing",
    "json",
    "pathlib",
    "argparse",
    "asyncio",
    "logging",
    "sqlite3",
    "subprocess",
    "tocsind",
)
OF_FEW = ("socket", "enum", "threading", "tocsin.normalize", "tocsin.values", "tocsin.outbox")


def _python(script: str, *arguments: str) -> str:
    """What a fresh interpreter prints; its complaints fail the test."""
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_importing_tocsin_imports_nothing_heavy() -> None:
    script = "import sys; sys.path[:0] = [sys.argv[1]]; import tocsin; print(*sys.modules)"
    folder = str(__import__("tocsin").__path__[0]).removesuffix("/tocsin")
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script, folder], capture_output=True, text=True, timeout=30, check=True
    )
    assert not {*HEAVY, *OF_FEW} & set(done.stdout.split())


def test_hand_off_imports_no_heavy_module_but_json() -> None:
    script = "import sys, tocsin; before = set(sys.modules); tocsin.send('BUY'); print(*set(sys.modules) - before)"
    assert set(HEAVY) & set(_python(script).split()) <= {"json"}


def test_threads_share_a_client_and_each_gets_its_own_receipt(serve: Serve) -> None:
    server = serve()
    wrong: list[str] = []

    def send() -> None:
        for n in range(50):
            receipt = client.send(f"{threading.get_ident()} {n}")
            if receipt.state != "stored":
                wrong.append(receipt.reason or receipt.state)

    with Client(server.path, timeout=10) as client:
        threads = [threading.Thread(target=send) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert len(server.requests) == 400
    assert server.visits == 1


def test_send_works_inside_a_running_asyncio_loop(serve: Serve) -> None:
    with Client(serve().path) as client:

        async def main() -> str:
            return client.send("BUY").state

        assert asyncio.run(main()) == "stored"


async def test_send_works_inside_a_running_trio_loop(serve: Serve) -> None:
    with Client(serve().path) as client:
        await trio.lowlevel.checkpoint()
        assert client.send("BUY").state == "stored"


_FORK = """
import os, sys, tocsin
client = tocsin.Client(sys.argv[1], timeout=10)
assert client.send("parent").state == "stored"
{before}
child = os.fork()
if child == 0:
    ok = client.send("child").state == "stored" and client.send("child").state == "stored"
    os._exit(0 if ok else 1)
_, status = os.waitpid(child, 0)
{after}
assert status == 0, status
assert client.send("parent").state == "stored"
client.close()
"""


def test_forked_child_opens_its_own_connection(serve: Serve) -> None:
    server = serve()
    _python(_FORK.format(before="", after=""), server.path)
    assert [request["signal"]["title"] for request in server.requests] == ["parent", "child", "child", "parent"]
    assert server.visits == 2


def test_fork_during_another_threads_send_leaves_the_child_able_to_send(serve: Serve) -> None:
    lock = "client._session()._lock"
    _python(_FORK.format(before=f"{lock}.acquire()", after=f"{lock}.release()"), serve().path)


_IMPORTING = """
import os, sys, threading
sys.path[:0] = [sys.argv[1]]
import tocsin

class Slowly:
    def find_spec(self, name, path=None, target=None):
        if name == "_json" and threading.current_thread() is sender:
            begun.set()
            threading.Timer(0.1, go_on.set).start()  # by then the fork has begun
            go_on.wait(40)

begun, go_on = threading.Event(), threading.Event()
sys.meta_path.insert(0, Slowly())
client = tocsin.Client(sys.argv[2], timeout=20)
sender = threading.Thread(target=client.send, args=("thread",))
sender.start()
assert begun.wait(40)
child = os.fork()
if child == 0:
    os._exit(0 if client.send("child").state == "stored" else 1)
_, status = os.waitpid(child, 0)
sender.join()
client.close()
assert status == 0, status
"""


def test_fork_during_the_first_import_leaves_the_child_able_to_send(serve: Serve) -> None:
    server = serve()
    folder = str(__import__("tocsin").__path__[0]).removesuffix("/tocsin")
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-I", "-S", "-c", _IMPORTING, folder, server.path],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(request["signal"]["title"] for request in server.requests) == ["child", "thread"]


_HANDLER = """
import os, signal, sys, time, tocsin
client = tocsin.Client(sys.argv[1], timeout=20)
client.send("before")
told = []
signal.signal(signal.SIGUSR1, lambda *_: told.append(client.send("handler").state))
state = client.send("interrupted").state
print(state, *told, client.send("after").state)
"""


def test_signal_handler_may_send_through_the_client_that_it_interrupted(serve: Serve) -> None:
    parent: list[int] = []

    def interrupting(visit: Visit) -> None:
        while (request := visit.hear()) is not None:
            if request["signal"]["title"] == "interrupted":
                os.kill(parent[0], signal.SIGUSR1)
                served.wait(40)
            visit.tell(stored(request))
            if request["signal"]["title"] == "handler":
                served.set()

    served = threading.Event()
    path = serve(interrupting).path
    with subprocess.Popen([sys.executable, "-c", _HANDLER, path], stdout=subprocess.PIPE, text=True) as program:
        parent.append(program.pid)
        out, _ = program.communicate(timeout=30)
    assert (program.returncode, out) == (0, "stored stored stored\n")


def test_program_with_default_sigpipe_survives_a_daemon_that_closes(serve: Serve) -> None:
    def once(visit: Visit) -> None:
        request = visit.hear()
        assert request is not None
        visit.tell(stored(request))

    script = """
import signal, sys, tocsin
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
with tocsin.Client(sys.argv[1], timeout=20) as client:
    print(*(client.send("BUY").state for _ in range(3)))
"""
    assert _python(script, serve(once).path) == "stored stored stored"


@pytest.mark.parametrize("where", ["atexit.register(lambda: print(tocsin.send('BUY').state))", "kept = Last()"])
def test_hand_off_while_the_interpreter_closes_raises_nothing(serve: Serve, where: str) -> None:
    script = f"""
import atexit, os, sys, tocsin
os.environ["TOCSIN_SOCKET"] = sys.argv[1]
class Last:
    def __del__(self, send=tocsin.send, write=os.write):
        write(1, send("BUY").state.encode())
{where}
"""
    done = subprocess.run(
        [sys.executable, "-c", script, serve(answering(stored)).path],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0
    assert done.stdout.strip() in ("stored", "spooled", "dropped")
    if done.stdout.strip() == "dropped":
        assert done.stderr.startswith("alert 'BUY' was dropped: ")
    else:
        assert done.stderr == ""


def test_default_client_leaves_nothing_open(serve: Serve) -> None:
    patient = "tocsin.client._process_wide.timeout = 20"
    script = (
        f"import os, sys, tocsin; os.environ['TOCSIN_SOCKET'] = sys.argv[1]; {patient}; print(tocsin.send('BUY').state)"
    )
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", script, serve().path],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr) == ("stored", "")
