"""Two daemons on copies of one state folder, with a real engine and a fake Discord: neither sends what the other one may send, unmarked."""

from __future__ import annotations

import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.harness import DaemonProcess, FakeProcess, discord, route, until
from tests.shared.conftest import RedisServer
from tests.shared.fleet import LIMITS, LONG, freeze
from tests.shared.test_hosts import has_handed_over, lane, send, settled
from tests.shared.test_sight import states

from tocsind.shared.identity import known_name

COPIED = "folder-copied"


@pytest.fixture
def limited() -> Iterator[FakeProcess]:
    """A fake Discord with both limits."""
    with FakeProcess("--limits", "0.05") as running:
        yield running


@pytest.fixture
def original(tmp_path: Path, limited: FakeProcess, redis_server: RedisServer) -> Iterator[DaemonProcess]:
    """A daemon that sends to the channel."""
    rest = discord("d", limited.webhooks[0]["url"], **LIMITS) + route("d")
    with DaemonProcess(tmp_path / "original", f'[shared]\nurl = "{redis_server.url}"\n{rest}').start() as found:
        until(lambda: bool(lane(found)["here"]))
        yield found


@contextmanager
def copy_of(original: DaemonProcess) -> Iterator[DaemonProcess]:
    """A daemon on a copy of the state folder, which was made at one moment; it is not started. The original stands still."""
    freeze(original.process)
    folder = original.folder.parent / "copy"
    shutil.copytree(original.state, folder / "state")
    with DaemonProcess(folder, original.config.read_text()) as found:
        yield found


def name_of(host: DaemonProcess) -> str:
    return str(host.status()["shared"]["host"])


def has_new_name(host: DaemonProcess, other: DaemonProcess) -> bool:
    return bool(host.status()["shared"]["called_before"] == known_name(other.state))


def problems(host: DaemonProcess) -> list[str]:
    return [each for each in host.status()["problems"] if "was copied" in each]


def check(fake: FakeProcess, titles: list[str], *hosts: DaemonProcess) -> Counter[str]:
    """All have arrived, a copy of one that came before is marked, and no request was refused. How often each came."""
    until(lambda: set(titles) <= set(fake.titles()) and all(map(settled, hosts)), LONG)
    alerts = [alert for alert in fake.alerts() if alert.title in set(titles)]
    unmarked = Counter(alert.title for alert in alerts if not alert.doubt)
    assert [title for title, n in unmarked.items() if n > 1] == []
    assert fake.counts()["limited"] == {}
    return Counter(alert.title for alert in alerts)


def test_second_daemon_on_a_copied_folder_takes_a_new_name_and_marks_what_waited(
    limited: FakeProcess, original: DaemonProcess
) -> None:
    limited.hold()
    titles = send(original, "before", 60)
    limited.await_held()
    with copy_of(original) as copy:
        original.process.send_signal(signal.SIGCONT)
        old = name_of(original)
        copy.start()
        assert name_of(copy) in {old, known_name(copy.state)}
        later = send(copy, "copy", 20) + send(original, "original", 20)
        until(lambda: has_new_name(copy, original), LONG)
        limited.release()
        arrived = check(limited, titles + later, original, copy)
        assert all(arrived[title] == 1 for title in later), "what came after the copy is one host's alone"
        assert name_of(original) == old != name_of(copy) == known_name(copy.state)
        assert (problems(original), len(problems(copy))) == ([], 1)
        assert copy.wait_for(COPIED)["before"] == old
        assert COPIED not in original.log.read_text()
        until(lambda: f"The state folder of {old} was copied" in limited.titles(), LONG)
        until(lambda: states(copy) == ["present", "present"])


def test_name_is_kept_after_the_restart_of_the_copy(limited: FakeProcess, original: DaemonProcess) -> None:
    with copy_of(original) as copy:
        copy.start()
        original.process.send_signal(signal.SIGCONT)
        until(lambda: has_new_name(copy, original) or has_new_name(original, copy), LONG)
        renamed = copy if has_new_name(copy, original) else original
        name = name_of(renamed)
        renamed.kill()
        renamed.start()
        check(limited, send(copy, "copy", 20) + send(original, "original", 20), original, copy)
        assert (name_of(renamed), problems(renamed)) == (name, [])
        assert (copy.log.read_text() + original.log.read_text()).count(COPIED) == 1


def test_original_that_stood_still_keeps_its_name_when_it_has_done_more_than_its_copy(
    limited: FakeProcess, original: DaemonProcess
) -> None:
    old = name_of(original)
    with copy_of(original) as copy:
        original.process.send_signal(signal.SIGCONT)
        titles = send(original, "original", 20)
        check(limited, titles, original)
        until(lambda: has_handed_over(original))
        original.wait_for("sent", nth=20)
        assert original.stop() == 0  # the engine knows its last commits
        original.start()
        until(lambda: bool(lane(original)["here"]))
        freeze(original.process)
        copy.start()
        until(lambda: has_new_name(copy, original), LONG)
        titles += send(copy, "copy", 20)
        until(lambda: set(titles) <= set(limited.titles()), LONG)
        original.process.send_signal(signal.SIGCONT)
        titles += send(original, "later", 20)
        arrived = check(limited, titles, original, copy)
        assert set(arrived.values()) == {1}
        assert name_of(original) == old
        assert "a later state" in problems(copy)[0]


def test_original_that_stood_still_takes_a_new_name_when_its_copy_has_the_old_one(
    limited: FakeProcess, original: DaemonProcess
) -> None:
    limited.hold()
    titles = send(original, "before", 30)
    limited.await_held()
    with copy_of(original) as copy:
        copy.start()
        until(lambda: bool(lane(copy)["here"]), LONG)
        limited.release()
        titles += send(copy, "copy", 20)
        until(lambda: set(titles) <= set(limited.titles()), LONG)
        original.process.send_signal(signal.SIGCONT)
        titles += send(original, "later", 20)
        until(lambda: has_new_name(original, copy), LONG)
        check(limited, titles, original, copy)
        assert (len(problems(original)), problems(copy)) == (1, [])


def test_daemon_that_was_killed_is_the_same_host_again(limited: FakeProcess, original: DaemonProcess) -> None:
    name, titles = name_of(original), []
    for n in range(3):
        titles += send(original, f"run {n}", 20)
        original.kill()
        original.start()
        until(lambda: bool(lane(original)["here"]))
    check(limited, titles, original)
    assert (name_of(original), problems(original)) == (name, [])
    assert COPIED not in original.log.read_text()


def test_daemon_that_was_stopped_sends_at_once_after_its_next_start(
    limited: FakeProcess, original: DaemonProcess
) -> None:
    titles = send(original, "one", 20)
    check(limited, titles, original)
    assert original.stop() == 0
    original.start()
    until(lambda: bool(lane(original)["here"]))
    check(limited, titles + send(original, "two", 20), original)
    assert COPIED not in original.log.read_text()


def test_host_that_stood_still_is_the_same_host_again(
    limited: FakeProcess, original: DaemonProcess, redis_server: RedisServer
) -> None:
    name = name_of(original)
    freeze(original.process)
    until(lambda: not redis_server.command("KEYS", "*:lease"))
    original.process.send_signal(signal.SIGCONT)
    check(limited, send(original, "later", 20), original)
    assert (name_of(original), problems(original)) == (name, [])
