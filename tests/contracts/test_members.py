"""The permissions of members of the socket's group, with real users: send, read, and drop or retry their own signals."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.harness import GROUP, STRANGER, DaemonProcess, as_stranger, file, public_folder, route

from tocsin import Client
from tocsin.cli import main
from tocsin.errors import RequestFailed, Unreachable

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
CLONE_NEWUSER = 0x10000000


@pytest.fixture(scope="module")
def daemon() -> Iterator[DaemonProcess]:
    """A daemon of root whose socket a group may use; a disabled destination makes one signal dead."""
    off = '[destinations.off]\nkind = "file"\npath = "off"\nenabled = false\n'
    with public_folder() as folder, DaemonProcess(folder, file() + off + route("local-file")) as process:
        process.start()
        os.chown(process.socket, 0, GROUP)
        yield process


def as_member(daemon: DaemonProcess, ask: Callable[[Client], Any]) -> Any:
    """The reply to a member, or the kind of its error."""

    def asked() -> Any:
        with Client(daemon.socket, timeout=20, strict=True) as client:
            try:
                return ask(client)
            except RequestFailed as error:
                return f"{error.kind}: {error}"

    return as_stranger(asked)


def test_member_sends_and_reads_status(daemon: DaemonProcess) -> None:
    roots = daemon.client.send("root's").id
    assert as_member(daemon, lambda client: client.send("a member's").state) == "stored"
    assert as_member(daemon, lambda client: client.status()["schema"]) == 1
    assert as_member(daemon, lambda client: client.why(roots)["uid"]) == 0
    assert isinstance(as_member(daemon, lambda client: client.request("queue")["deliveries"]), list)
    assert as_member(daemon, lambda client: len(list(client.stream("tail")))) > 0
    assert as_member(daemon, lambda client: client.request("test", signal={"title": "t"})["test"]["schema"]) == 1


def test_member_drops_and_retries_own_signals_only(daemon: DaemonProcess) -> None:
    roots = daemon.client.send("root's").id
    own = as_member(daemon, lambda client: client.send("a member's").id)
    for op in ("drop", "retry"):

        def about(id_: str, op: str = op) -> Any:
            return as_member(daemon, lambda client: client.request(op, id=id_))

        assert "deliveries" in about(own)
        reply = about(roots)
        assert reply == "not-permitted: only its sender (uid 0), root and the daemon's own user may do that"
        assert daemon.client.request(op, id=own)["ok"], "root may"
    unknown = as_member(daemon, lambda client: client.request("drop", id="0" * 26))
    assert unknown.startswith("not-found")


@pytest.mark.parametrize(
    "request_of",
    [{"op": "retry", "all": True}, {"op": "enable", "destination": "local-file"}, {"op": "backup"}, {"op": "reload"}],
    ids=lambda each: each["op"],
)
def test_member_may_not_use_operator_requests(daemon: DaemonProcess, request_of: dict[str, Any]) -> None:
    before = daemon.status()["counters"]["requests_not_permitted"]
    reply = as_member(daemon, lambda client: client.request(**request_of))
    assert reply == "not-permitted: only root and the daemon's own user may do that"
    assert daemon.status()["counters"]["requests_not_permitted"] == before + 1
    assert daemon.client.request(**request_of)["ok"]


def test_member_cannot_read_files_of_daemon(daemon: DaemonProcess) -> None:
    """The member may enter the state folder here, as for the service, whose spool is below it."""
    daemon.settled(daemon.client.send("root's").id)
    daemon.state.chmod(0o711)
    paths = [path for path in daemon.state.rglob("*") if daemon.spool not in (path, *path.parents)]
    assert {"journal.db", "lock", "alerts.jsonl"} <= {path.name for path in paths}

    def readable() -> list[str]:
        return [str(path) for path in (daemon.state, *paths) if os.access(path, os.R_OK) or os.access(path, os.W_OK)]

    assert as_stranger(readable) == []


def test_command_without_permission_exits_with_permission_code(daemon: DaemonProcess) -> None:
    roots = daemon.client.send("root's").id
    assert as_stranger(lambda: main(["drop", roots, "--socket", daemon.socket])) == 77


def test_signal_with_reserved_source_is_stored_with_its_sender(daemon: DaemonProcess) -> None:
    receipt = as_member(daemon, lambda client: list(_parts(client.send("look", source="tocsin"))))
    assert receipt[1:] == [
        "stored",
        f"source 'tocsin' is reserved to tocsin itself: it is 'tocsin (sent by uid {STRANGER})' now",
    ]
    assert daemon.client.why(receipt[0])["signal"]["source"] == f"tocsin (sent by uid {STRANGER})"
    assert daemon.status()["counters"]["sources_reserved"] > 0


def _parts(receipt: Any) -> tuple[str, str, str | None]:
    return receipt.id, receipt.state, receipt.reason


def test_user_outside_group_cannot_connect(daemon: DaemonProcess) -> None:
    os.chown(daemon.socket, 0, 0)
    try:

        def refused() -> str:
            with Client(daemon.socket, strict=True) as client:
                try:
                    return str(client.status())
                except Unreachable as error:
                    return str(error)

        assert "Permission denied" in as_stranger(refused)
    finally:
        os.chown(daemon.socket, 0, GROUP)


def test_program_in_user_namespace_sends_only_to_named_uid(daemon: DaemonProcess) -> None:
    """In a user namespace the kernel shows all other users as one: a stranger's listener would look like the daemon."""

    def sent() -> list[Any]:
        ctypes.CDLL(None).unshare(CLONE_NEWUSER)
        spool = Path(daemon.folder / "container")
        replies = [Client(daemon.socket, spool=spool).send("x").reason]
        os.environ["TOCSIN_DAEMON_UID"] = "65534"
        return [os.geteuid(), *replies, Client(daemon.socket, timeout=20, spool=spool).send("y").state]

    uid, before, after = as_stranger(sent)
    if uid != 65534:
        pytest.skip("no user namespaces here")
    assert "the listener belongs to" in before
    assert "uid 65534" in before
    assert after == "stored"
