"""The outbox as the client writes it: private, bounded by owner, used again, one for each process; and receipts that are true."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.client.servers import Serve, answering, refusing, silent
from tests.harness import PATIENCE
from tests.outboxes import bodies, close_outboxes, delete_when_listed, files, held
from tests.trading.odd_values import anything

import tocsin
from tocsin import Client, Signal, outbox
from tocsin import spool as bounds
from tocsin.daemon_lock import DAEMON
from tocsin.outbox import Outbox, append, outbox_in
from tocsin.outbox_format import BLOCK, FIRST
from tocsin.signals import FIELD_NAMES
from tocsind.spool.folder import Folder

STRANGER, MEMBERS = 12345, 23456
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def confirm(spool: Path, sequence: int) -> None:
    """As a daemon does once it has committed so far."""
    os.pwrite(outbox_in(str(spool))._file, sequence.to_bytes(8, "little"), BLOCK)


@contextmanager
def daemon_there(spool: Path) -> Iterator[Folder]:
    folder = Folder(spool)
    folder.prepare()
    yield folder
    folder.close()


def body(size: int) -> bytes:
    return b'[{"title":"' + b"x" * size + b'"}]'


def blocks(spool: Path) -> int:
    [file] = files(spool)
    return file.stat().st_size // BLOCK


def test_signal_without_a_daemon_is_in_the_outbox_under_its_id(folder: Path, spool: Path) -> None:
    receipt = Client(folder / "s").send("BUY", body="line\nline", fields={"größe": 1}, timestamp=1700000000)
    assert (receipt.state, receipt.accepted, receipt.durable) == ("spooled", True, True)
    assert "nothing is there" in (receipt.reason or "")
    assert held(spool) == [
        {"title": "BUY", "body": "line\nline", "fields": {"größe": 1}, "timestamp": 1700000000.0, "id": receipt.id}
    ]


@settings(max_examples=50, deadline=None)
@given(
    anything,
    st.dictionaries(
        st.sampled_from(FIELD_NAMES).filter(lambda name: name not in {"title", "id"}) | st.text(), anything
    ),
)
def test_client_spools_a_signal_with_any_object_in_any_field(title: Any, values: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory(prefix="toc-") as place:
        client = Client(Path(place) / "s", spool=Path(place) / "spool")
        fields = {"n": 1, **values} if "fields" not in values else {**values, "body": "B"}
        receipt = client.send(title, **fields)
        assert receipt.state == "spooled"
        [signal] = held(Path(place) / "spool")
        assert (signal["id"], bool(signal["title"].strip())) == (receipt.id, True)
        assert all(note in (receipt.reason or "") for note in signal.get("input_notes", ()))
        close_outboxes()


def test_unanswered_signal_is_in_the_outbox_under_the_same_id(serve: Serve, spool: Path) -> None:
    server = serve(silent)
    with Client(server.path, timeout=0.05) as client:
        receipts = [client.send("BUY"), client.send("at once: the daemon does not answer")]
    assert [receipt.state for receipt in receipts] == ["spooled", "spooled"]
    assert [each["id"] for each in held(spool)] == [receipt.id for receipt in receipts]
    assert server.visits == 1


def test_client_without_a_daemon_follows_a_change_of_its_settings(
    folder: Path, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a program does that reads its `.env` after its first hand-off: only the folder that it names last has a daemon later."""
    client = Client(folder / "s")
    client.send("before")
    client._session().next_try = float("inf")  # no second attempt on the socket within this test
    other = folder / "other"
    monkeypatch.setenv("TOCSIN_SPOOL", str(other))
    assert [client.send(title).state for title in ("after", "more")] == ["spooled", "spooled"]
    assert [signal["title"] for signal in held(spool)] == ["before"]
    assert [signal["title"] for signal in held(other)] == ["after", "more"]


def test_client_without_a_daemon_finds_the_daemon_that_changed_settings_name(
    folder: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOCSIN_SOCKET", str(folder / "none"))
    with Client() as client:
        client.send("before")
        client._session().next_try = float("inf")
        monkeypatch.setenv("TOCSIN_SOCKET", serve().path)
        assert client.send("after").state == "stored"


def test_batch_is_one_record(folder: Path, spool: Path) -> None:
    receipts = Client(folder / "s").send_many([Signal(f"{n}") for n in range(20)])
    [file] = files(spool)
    assert [[each["id"] for each in record] for record in bodies(file)] == [[receipt.id for receipt in receipts]]


def test_clients_of_one_process_share_an_outbox_and_keep_their_order(folder: Path, spool: Path) -> None:
    for n in range(20):
        Client(folder / "s").send(f"{n}")
    assert len(files(spool)) == 1
    assert [each["title"] for each in held(spool)] == [f"{n}" for n in range(20)]


def test_folders_and_files_are_private_whatever_the_umask(folder: Path) -> None:
    before = os.umask(0)
    try:
        Client(folder / "s", spool=folder / "a" / "spool").send("BUY")
    finally:
        os.umask(before)
    assert [mode(folder / "a"), mode(folder / "a" / "spool")] == [0o700, 0o700]
    assert [mode(file) for file in files(folder / "a" / "spool")] == [0o600]


def test_client_without_a_spool_drops_and_strict_client_raises(folder: Path, spool: Path) -> None:
    assert Client(folder / "s", spool=False).send("BUY").state == "dropped"
    with pytest.raises(tocsin.Unreachable):
        Client(folder / "s", strict=True).send("BUY")
    assert not spool.exists()


@pytest.mark.parametrize("kind", ["full", "invalid-signal"])
def test_client_does_not_spool_a_signal_that_the_daemon_refused(serve: Serve, spool: Path, kind: str) -> None:
    with Client(serve(answering(refusing(kind))).path) as client:
        assert client.send("BUY").accepted is False
    assert not spool.exists()


def test_client_does_not_spool_when_the_socket_forbids_connecting(folder: Path, spool: Path, monkeypatch: Any) -> None:
    def forbidden(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tocsin.connection._try", forbidden)
    assert Client(folder / "s").send("BUY").state == "dropped"
    assert not spool.exists()


# --- whether a daemon is there ------------------------------------------------------------------------------------------


def test_receipt_says_stored_only_while_a_daemon_takes_the_spool(spool: Path) -> None:
    assert "no daemon takes the spool" in str(append(str(spool), body(1), 1.0, synced=True))
    with daemon_there(spool) as daemon:
        assert append(str(spool), body(1), 1.0, synced=True) is None
        daemon.publish_reason("the disk is at its reserve")
        assert append(str(spool), body(1), 1.0, synced=True) == "the disk is at its reserve"
        daemon.publish_reason(None)
        assert append(str(spool), body(1), 1.0, synced=True) is None
    assert "no daemon takes the spool" in str(append(str(spool), body(1), 1.0, synced=True))


def test_daemon_that_confirms_nothing_counts_as_absent_until_it_does(
    spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with daemon_there(spool):
        assert append(str(spool), body(1), 1.0, synced=True) is None
        monkeypatch.setattr(outbox, "STALLED", -1.0)
        assert "confirmed nothing" in str(append(str(spool), body(1), 1.0, synced=True))
        monkeypatch.undo()
        outbox_in(str(spool)).distrust()
        assert "confirmed nothing" in str(append(str(spool), body(1), 1.0, synced=True))
        confirm(spool, 3)
        assert append(str(spool), body(1), 1.0, synced=True) is None


@root_only
def test_daemon_file_of_a_stranger_is_not_believed(spool: Path) -> None:
    with daemon_there(spool):
        os.chown(spool / DAEMON, STRANGER, STRANGER)
        assert "no daemon takes the spool" in str(append(str(spool), body(1), 1.0, synced=True))


def test_append_with_a_condition_needs_a_daemon_that_meets_it(spool: Path) -> None:
    for only in ("taken", "there"):
        with pytest.raises(outbox.NotAppended):
            append(str(spool), body(1), 1.0, synced=True, only=only)
    with daemon_there(spool) as daemon:
        daemon.publish_reason("full")
        with pytest.raises(outbox.NotAppended):
            append(str(spool), body(1), 1.0, synced=True, only="taken")
        assert append(str(spool), body(1), 1.0, synced=True, only="there") == "full"
    assert len(held(spool)) == 1


# --- room ---------------------------------------------------------------------------------------------------------------


def test_confirmed_blocks_are_used_again(spool: Path) -> None:
    for n in range(1, 500):
        append(str(spool), body(n % 7 * 2000), 1.0, synced=False)
        confirm(spool, n - n % 3)
    assert blocks(spool) < 64


def test_file_grows_while_nothing_is_confirmed_and_keeps_everything_in_order(spool: Path) -> None:
    for n in range(300):
        append(str(spool), b'[{"title":"%d"}]' % n, 1.0, synced=False)
    assert blocks(spool) >= 300
    assert [each["title"] for each in held(spool)] == [f"{n}" for n in range(300)]


def test_full_spool_drops_signals_and_keeps_earlier_ones(
    folder: Path, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "MOST_BYTES", (FIRST + 3) * BLOCK)
    receipts = [Client(folder / "s").send(f"{n}", body="x" * 300) for n in range(5)]
    assert [receipt.state for receipt in receipts] == ["spooled"] * 3 + ["dropped"] * 2
    assert "no daemon" in (receipts[-1].reason or "")
    assert "the outbox is full" in (receipts[-1].reason or "")
    assert [each["title"] for each in held(spool)] == ["0", "1", "2"]


def test_spool_with_too_many_files_of_one_user_takes_no_other(folder: Path, spool: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(bounds, "MOST_FILES", 3)
    spool.mkdir(mode=0o700)
    for n in range(3):
        (spool / f"{n}").touch()
    assert "3 files of yours" in (Client(folder / "s").send("BUY").reason or "")


def test_spool_counts_neither_names_nor_sparse_sizes(folder: Path, spool: Path) -> None:
    spool.mkdir(mode=0o700)
    (spool / ".0-99999999999-x").touch()
    os.utime(spool / ".0-99999999999-x", (4e9, 4e9))
    with (spool / "sparse").open("wb") as sparse:
        sparse.truncate(2**40)
    assert Client(folder / "s").send("BUY").state == "spooled"


def test_file_that_vanishes_while_the_spool_is_counted_keeps_no_signal_out(
    folder: Path, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool.mkdir(mode=0o700)
    (spool / "taken.outbox").touch()
    delete_when_listed(spool / "taken.outbox", monkeypatch)
    assert Client(folder / "s").send("BUY").state == "spooled"
    assert not (spool / "taken.outbox").exists()


@root_only
def test_spool_does_not_count_files_of_others(folder: Path, spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MOST_FILES", 1)
    spool.mkdir()
    spool.chmod(0o3777)
    for n in range(3):
        (spool / f"{n}").touch()
        os.chown(spool / f"{n}", STRANGER, STRANGER)
    assert Client(folder / "s").send("BUY").state == "spooled"


def _a_file(place: Path) -> None:
    place.touch()


def _a_link(place: Path) -> None:
    (place.parent / "elsewhere").mkdir()
    place.symlink_to(place.parent / "elsewhere")


def _open_to_all(place: Path) -> None:
    place.mkdir()
    place.chmod(0o777)


@pytest.mark.parametrize("make", [_a_file, _a_link, _open_to_all])
def test_client_does_not_write_to_a_spool_that_the_daemon_would_not_read(
    folder: Path, make: Callable[[Path], None]
) -> None:
    make(folder / "spool")
    receipt = Client(folder / "s", spool=folder / "spool").send("BUY")
    assert receipt.state == "dropped"
    assert str(folder / "spool") in (receipt.reason or "")


# --- users --------------------------------------------------------------------------------------------------------------


def as_member(work: Callable[[], bool]) -> bool:
    """What `work` answers in a child of another user."""
    pid = os.fork()
    if pid == 0:
        done = False
        try:
            os.setgroups([MEMBERS])
            os.setgid(STRANGER)
            os.setuid(STRANGER)
            done = work()
        finally:
            os._exit(0 if done else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@root_only
def test_shared_spool_gives_members_files_to_the_daemons_group_alone(folder: Path) -> None:
    folder.chmod(0o755)
    spool = folder / "spool"
    spool.mkdir()
    os.chown(spool, STRANGER + 1, STRANGER + 2)
    spool.chmod(0o3777)
    assert as_member(lambda: Client(folder / "s", spool=spool).send("BUY").state == "spooled")
    [left] = files(spool)
    assert (left.stat().st_uid, left.stat().st_gid, mode(left)) == (STRANGER, STRANGER + 2, 0o660)


@root_only
def test_spool_whose_group_could_read_a_members_file_is_not_used(folder: Path) -> None:
    folder.chmod(0o755)
    spool = folder / "spool"
    spool.mkdir()
    os.chown(spool, STRANGER + 1, MEMBERS)
    spool.chmod(0o3770)
    assert as_member(lambda: "chgrp" in (Client(folder / "s", spool=spool).send("BUY").reason or ""))
    assert files(spool) == []


@root_only
def test_root_gives_a_new_spool_to_the_owner_of_the_state_folder(folder: Path) -> None:
    os.chown(folder, STRANGER, STRANGER)
    Client(folder / "s", spool=folder / "spool").send("BUY")
    assert [each.stat().st_uid for each in (folder / "spool", *files(folder / "spool"))] == [STRANGER] * 2


@root_only
def test_root_gives_its_outbox_to_the_folders_owner(folder: Path) -> None:
    (folder / "spool").mkdir(mode=0o700)
    os.chown(folder / "spool", STRANGER, STRANGER)
    Client(folder / "s", spool=folder / "spool").send("BUY")
    assert [file.stat().st_uid for file in files(folder / "spool")] == [STRANGER]


# --- what fails ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["pwrite", "fsync", "fdatasync", "rename"])
def test_failing_disk_gives_no_receipt(folder: Path, spool: Path, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    spool.mkdir(mode=0o700)
    monkeypatch.setattr(os, call, full)
    receipt = Client(folder / "s").send("BUY")
    monkeypatch.undo()
    assert receipt.state == "dropped"
    assert (receipt.reason or "").endswith("does not take it: No space left on device")
    assert [file for file in spool.iterdir() if file.name.startswith(".")] == []


def test_outbox_is_not_used_again_after_a_failed_sync(spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append(str(spool), b'[{"title":"safe"}]', 1.0, synced=True)
    first = outbox_in(str(spool))

    def broken(_: int) -> None:
        monkeypatch.undo()  # the next sync of the same file says yes, as Linux does
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", broken)
    append(str(spool), b'[{"title":"after"}]', 1.0, synced=True)
    assert outbox_in(str(spool)) is not first
    with pytest.raises(outbox.OutboxLost):
        first.append(b'[{"title":"never"}]', 1.0, synced=True)
    assert {each["title"] for each in held(spool)} >= {"safe", "after"}


@pytest.mark.parametrize("harm", [lambda file: file.unlink(), lambda file: os.truncate(file, FIRST * BLOCK + 1)])
def test_outbox_that_was_deleted_or_cut_is_replaced_with_what_can_still_be_read(
    spool: Path, harm: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "_CHECK_INTERVAL", 0.0)
    for n in range(3):
        append(str(spool), b'[{"title":"%d"}]' % n, 1.0, synced=True)
    [file] = files(spool)
    harm(file)
    was_deleted = not file.exists()
    append(str(spool), b'[{"title":"3"}]', 1.0, synced=True)
    [new] = [each for each in files(spool) if each != file]
    assert [signal["title"] for record in bodies(new) for signal in record] == (
        ["0", "1", "2", "3"] if was_deleted else ["3"]
    )


# --- who uses it at once ------------------------------------------------------------------------------------------------


def test_threads_append_whole_records_and_share_syncs(
    folder: Path, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, receipts, syncs = Client(folder / "s"), list[tocsin.Receipt](), list[int]()
    real = os.fdatasync

    def counted(file: int) -> None:
        syncs.append(file)
        real(file)
        time.sleep(0.001)  # as on a disk

    receipts.append(client.send("first"))
    monkeypatch.setattr(os, "fdatasync", counted)
    threads = [
        threading.Thread(target=lambda n=n: receipts.extend(client.send(f"{n} {m}") for m in range(20)))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {receipt.state for receipt in receipts} == {"spooled"}
    assert sorted(each["id"] for each in held(spool)) == sorted(receipt.id for receipt in receipts)
    assert len(syncs) < len(receipts)


def test_forked_child_has_an_outbox_of_its_own_and_the_parents_lock_is_the_parents(spool: Path) -> None:
    append(str(spool), b'[{"title":"parent"}]', 1.0, synced=True)
    mine = outbox_in(str(spool))
    told, tell = os.pipe()
    wait, go = os.pipe()
    pid = os.fork()
    if pid == 0:
        append(str(spool), b'[{"title":"child"}]', 1.0, synced=True)
        os.write(tell, b"1")
        os.read(wait, 1)
        os._exit(0)
    os.read(told, 1)
    assert sorted(each["title"] for each in held(spool)) == ["child", "parent"]
    assert len(files(spool)) == 2
    [parents] = [file for file in files(spool) if file.stat().st_ino == os.fstat(mine._file).st_ino]
    mine.close()
    outbox._outboxes.clear()
    with parents.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the child keeps no copy of it
    os.write(go, b"1")
    os.waitpid(pid, 0)
    for end in (told, tell, wait, go):
        os.close(end)


def test_fork_while_another_thread_appends_leaves_the_child_free(spool: Path) -> None:
    append(str(spool), b'[{"title":"before"}]', 1.0, synced=True)
    held_by, release = threading.Event(), threading.Event()

    def hold() -> None:
        with outbox_in(str(spool))._lock:
            held_by.set()
            release.wait(PATIENCE)

    thread = threading.Thread(target=hold)
    thread.start()
    held_by.wait(PATIENCE)
    pid = os.fork()
    if pid == 0:
        append(str(spool), b'[{"title":"child"}]', 10.0, synced=True)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    release.set()
    thread.join()
    assert sorted(each["title"] for each in held(spool)) == ["before", "child"]


def test_thread_that_cannot_wait_appends_to_another_file(spool: Path) -> None:
    append(str(spool), b'[{"title":"before"}]', 1.0, synced=True)
    stuck = outbox_in(str(spool))
    with stuck._lock:
        thread = threading.Thread(target=lambda: append(str(spool), b'[{"title":"late"}]', 0.01, synced=True))
        thread.start()
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert sorted(each["title"] for each in held(spool)) == ["before", "late"]
    assert len(files(spool)) == 2


def test_signal_handler_in_the_middle_of_an_append_does_not_deadlock(
    spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(str(spool), b'[{"title":"before"}]', 1.0, synced=True)
    write, handled = os.pwrite, list[str | None]()

    def interrupted(*given: Any) -> int:
        monkeypatch.undo()
        signal.raise_signal(signal.SIGUSR1)
        return write(*given)

    before = signal.signal(
        signal.SIGUSR1, lambda *_: handled.append(append(str(spool), b'[{"title":"handler"}]', 1.0, synced=True))
    )
    try:
        monkeypatch.setattr(os, "pwrite", interrupted)
        append(str(spool), b'[{"title":"interrupted"}]', 1.0, synced=True)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert len(handled) == 1
    assert sorted(each["title"] for each in held(spool)) == ["before", "handler", "interrupted"]


_LAST = """
import sys, tocsin
class Last:
    def __init__(self, send):
        self.send = send
    def __del__(self):
        self.send("from __del__")
last = Last(tocsin.Client(sys.argv[1], spool=sys.argv[2]).send)
sys.modules["kept"] = last
"""


def test_first_send_while_the_interpreter_closes_reaches_the_disk(folder: Path) -> None:
    words = [sys.executable, "-c", _LAST, str(folder / "s"), str(folder / "spool")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert [each["title"] for each in held(folder / "spool")] == ["from __del__"]


def test_outbox_of_an_old_lap_or_of_another_is_never_read_as_new(spool: Path) -> None:
    spool.mkdir(mode=0o700)
    first, second = Outbox(str(spool)), Outbox(str(spool))
    first.append(b'[{"title":"theirs"}]', 1.0, synced=True)
    record = os.pread(first._file, BLOCK, FIRST * BLOCK)
    os.pwrite(second._file, record, FIRST * BLOCK)
    first.close()
    second.close()
    assert [each["title"] for each in held(spool)] == ["theirs"]
