"""The thread that hands over for coroutines: whatever becomes of the loop, the coroutine, or the process."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from tests.client.servers import Server, Visit, answering, stored
from tests.harness import PATIENCE

from tocsin import Client, Signal
from tocsin.compat import send_queue
from tocsin.compat.send_queue import SendQueue


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    server = Server(tmp_path / "s", answering(stored))
    with Client(server.path, timeout=PATIENCE) as ours:
        yield ours
    server.stop()


class SlowServer:
    """A server that answers nothing before it is let."""

    def __init__(self, path: Path) -> None:
        self.open = threading.Event()
        self.heard = threading.Event()
        self.titles: list[list[str]] = []
        self.server = Server(path, self._serve)

    def _serve(self, visit: Visit) -> None:
        while (request := visit.hear()) is not None:
            if request["op"] == "losses":
                visit.tell(stored(request))
                continue
            signals = request["signals"] if request["op"] == "send_many" else [request["signal"]]
            self.titles.append([each["title"] for each in signals])
            self.heard.set()
            self.open.wait(PATIENCE)
            visit.tell(stored(request))


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[SlowServer]:
    made = SlowServer(tmp_path / "g")
    yield made
    made.open.set()
    made.server.stop()


def test_submit_without_a_loop_sends_directly(client: Client) -> None:
    ours = SendQueue(client)
    coroutine = ours.submit(Signal("x"))
    with pytest.raises(StopIteration) as ended:
        coroutine.send(None)
    assert ended.value.value.state == "stored"
    assert not ours._thread.is_alive()


async def test_submit_works_in_trio_on_top_of_asyncio(client: Client) -> None:
    ours = SendQueue(client)

    async def main() -> str:
        return (await ours.submit(Signal("x"))).state

    async def host() -> Any:
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        outcomes: list[Any] = []

        def end(outcome: Any) -> None:
            outcomes.append(outcome)
            done.set()

        trio.lowlevel.start_guest_run(main, run_sync_soon_threadsafe=loop.call_soon_threadsafe, done_callback=end)
        await done.wait()
        return outcomes[0].unwrap()

    assert await trio.to_thread.run_sync(asyncio.run, host()) == "stored"


def test_send_queue_sends_queued_signals_together(slow: SlowServer) -> None:
    ours = SendQueue(Client(slow.server.path, timeout=PATIENCE))

    async def main() -> list[str]:
        first = asyncio.ensure_future(ours.submit(Signal("first")))
        await asyncio.to_thread(slow.heard.wait, PATIENCE)
        rest = [asyncio.ensure_future(ours.submit(Signal(f"{n}"))) for n in range(20)]
        await asyncio.sleep(0)
        slow.open.set()
        return [receipt.state for receipt in await asyncio.gather(first, *rest)]

    assert asyncio.run(main()) == ["stored"] * 21
    assert slow.titles == [["first"], [f"{n}" for n in range(20)]]


def test_send_queue_sends_the_signal_of_a_cancelled_coroutine(slow: SlowServer) -> None:
    ours = SendQueue(Client(slow.server.path, timeout=PATIENCE))

    async def main() -> None:
        task = asyncio.ensure_future(ours.submit(Signal("given")))
        await asyncio.to_thread(slow.heard.wait, PATIENCE)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    slow.open.set()  # and the bell rings in a loop that is closed
    assert ours.flush(PATIENCE)
    assert slow.titles == [["given"]]


def test_send_queue_drops_signals_beyond_its_capacity(slow: SlowServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(send_queue, "CAPACITY", 3)
    ours = SendQueue(Client(slow.server.path, timeout=PATIENCE))

    async def main() -> list[str]:
        first = asyncio.ensure_future(ours.submit(Signal("first")))
        await asyncio.to_thread(slow.heard.wait, PATIENCE)
        rest = [asyncio.ensure_future(ours.submit(Signal(f"{n}"))) for n in range(5)]
        await asyncio.sleep(0)
        slow.open.set()
        return [receipt.state for receipt in await asyncio.gather(first, *rest)]

    assert asyncio.run(main()) == ["stored"] * 4 + ["dropped"] * 2


def test_forked_child_has_a_send_queue_of_its_own(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(send_queue, "_queues", {})  # or later tests would send by this one's client

    async def send() -> str:
        return (await send_queue.send_queue(client).submit(Signal("x"))).state

    assert asyncio.run(send()) == "stored"
    parents = send_queue.send_queue(client)
    parents._thread._lock.acquire()  # as another thread may, at that very moment
    pid = os.fork()
    if pid == 0:
        os._exit(0 if asyncio.run(send()) == "stored" and send_queue.send_queue(client) is not parents else 1)
    parents._thread._lock.release()
    assert os.waitpid(pid, 0)[1] == 0


def test_send_queue_is_flushed_at_exit(slow: SlowServer) -> None:
    script = """
import asyncio, sys
from tocsin.compat import send_signal_async
from tocsin.compat.send import _client
_client.socket, _client.timeout = sys.argv[1], 20
async def main():
    task = asyncio.ensure_future(send_signal_async("given away"))
    await asyncio.sleep(0)
asyncio.run(main())
print("over", flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", script, slow.server.path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "over\n"
        slow.open.set()
        assert program.communicate(timeout=PATIENCE) == ("", "")
    assert slow.titles == [["given away"]]
