"""`tocsin backup`: a consistent copy of the journal while the daemon runs.

The daemon sends the copy and this process writes it, so the file belongs to the user who runs the command, and the daemon never opens a
path that a client names. The copy is written under another name in the same folder, synced, and then renamed.
"""

from __future__ import annotations

import os
from contextlib import suppress

from tocsin import trust

from .exit_codes import CANNOT_WRITE, Failure
from .output import print_json, print_line
from .parsing import Found, Parser, Verb, client, common

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tocsin.client import Client

_PATIENCE = 30.0  # seconds between two pieces: the daemon runs a checkpoint before the first


def _arguments(parser: Parser) -> None:
    parser.add_argument("file", metavar="FILE", help="the file to write; an existing file is not replaced")
    parser.add_argument("--force", action="store_true", help="replace an existing FILE")
    common(parser)


def _run(found: Found) -> int:
    path = os.path.abspath(found.file)  # noqa: PTH100 - pathlib is not loaded here
    if os.path.isdir(path) or (not found.force and os.path.lexists(path)):  # noqa: PTH112 - as above
        raise _exists(path)
    _refuse_state_folder(os.path.dirname(path))  # noqa: PTH120 - as above
    partial = f"{path}.partial-{os.getpid()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        descriptor = os.open(partial, flags, 0o600)
    except OSError as error:
        raise _cannot_write(path, error) from error
    try:
        try:
            os.fchmod(descriptor, 0o600)
            with client(found) as daemon:
                size = _receive(daemon, descriptor, max(found.timeout, _PATIENCE))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        _name(partial, path, force=found.force)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(partial)  # noqa: PTH108 - as above
        if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
            raise _cannot_write(path, error) from error
        raise
    _report(found, path, size)
    return 0


def _refuse_state_folder(folder: str) -> None:
    """With `--force` the copy could replace the journal of a running daemon."""
    if all(os.path.lexists(os.path.join(folder, name)) for name in ("journal.db", "lock")):  # noqa: PTH118 - as above
        raise Failure(
            CANNOT_WRITE, "state", f"{folder} is the state folder of a daemon; write the copy to another folder"
        )


def _receive(daemon: Client, descriptor: int, patience: float) -> int:
    """Write what the daemon sends; returns the number of bytes. Raises the client's exceptions."""
    at = size = 0
    for reply in daemon.stream("backup", idle=patience):
        size, data = reply.get("size", 0), _bytes(reply.get("data", b""))
        at += len(data)
        while data:
            data = data[os.write(descriptor, data) :]
    if at != size or not size:
        raise Failure(CANNOT_WRITE, "incomplete", f"the daemon sent only {at} of {size} bytes; no file was written")
    return at


def _bytes(data: bytes | str) -> bytes:
    """The bytes of a reply; in JSON they are base64."""
    if isinstance(data, bytes):
        return data
    from base64 import b64decode  # noqa: PLC0415 - a MessagePack reply needs none

    return b64decode(data)


def _name(partial: str, path: str, *, force: bool) -> None:
    if not force:  # reserve the name first: a file that was made in the meantime must not be replaced
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            raise _exists(path) from None
    os.replace(partial, path)  # noqa: PTH105 - as above
    trust.sync_folder(os.path.dirname(path))  # noqa: PTH120 - as above


def _cannot_write(path: str, error: OSError) -> Failure:
    """What is wrong, and the next command where there is one."""
    folder = os.path.dirname(path)  # noqa: PTH120 - as above
    if isinstance(error, FileNotFoundError) and not os.path.exists(folder):  # noqa: PTH110 - as above
        why = f"the folder {folder} does not exist; make it with `mkdir -p {folder}`"
    else:
        why = error.strerror or str(error)
    return Failure(CANNOT_WRITE, "cannot-write", f"cannot write {path}: {why}")


def _exists(path: str) -> Failure:
    if os.path.isdir(path):  # noqa: PTH112 - as above
        return Failure(
            CANNOT_WRITE, "exists", f"{path} is a folder; name a file in it: `tocsin backup {path}/tocsin.db`"
        )
    return Failure(CANNOT_WRITE, "exists", f"{path} exists and was not replaced; use `--force` to replace it")


def _report(found: Found, path: str, size: int) -> None:
    if found.json:
        print_json({"schema": 1, "ok": True, "file": path, "bytes": size})
    else:
        print_line(f"wrote {path}, {size} bytes")


VERBS = {
    "backup": Verb(
        _arguments,
        _run,
        """
tocsin backup /var/backups/tocsin.db
tocsin backup --force ~/tocsin.db
""",
        "0 success; 64 usage error; 69 daemon unreachable; 73 cannot write, or FILE exists; 75 temporary failure, try again later; "
        "76 protocol mismatch; 77 permission denied (only root and the daemon's user may).",
    ),
}
