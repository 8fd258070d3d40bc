"""The configuration file: which one is used, and its bytes. Client and daemon share this module, so they use the same file.

    named       by --config or $TOCSIN_CONFIG: used in any case, because the caller chose it
    here        ./alerts.toml is used only where the file and its folder belong to the caller or to root and no other user may write to
                them: else the owner of any working folder could configure the command. Otherwise it is passed over (`passed_over`)
    system      /etc/tocsin/alerts.toml
    none        the built-in default

The checks are made on the descriptor that is read (`trust`). `complaint` says which other users could change a file that is used; a client
starts no daemon because of such a file.
"""

from __future__ import annotations

import errno
import os
import stat

from . import trust

HERE = "alerts.toml"
SYSTEM = "/etc/tocsin/alerts.toml"
LARGEST = 2**20  # bytes; thousands of destinations fit
_LOOK = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


class Found:
    """The configuration file: its `path` (None: there is none) and `content`, or the `error` that keeps it from being read."""

    __slots__ = ("complaint", "content", "error", "exposed", "passed_over", "path")

    def __init__(self, path: str | None, passed_over: str | None = None) -> None:
        self.path = path
        self.passed_over = passed_over  # why ./alerts.toml was not used
        self.content = b""
        self.error: OSError | ValueError | None = None
        self.exposed = False  # every user of this host may read it
        self.complaint: str | None = None  # which other users could change it

    @property
    def trouble(self) -> str | None:
        """Why it cannot be read; None when it was."""
        if self.error is None:
            return None
        return getattr(self.error, "strerror", None) or "no such name is possible"

    def text(self) -> str:
        """The content, without a byte order mark. Raises UnicodeDecodeError."""
        return self.content.decode("utf-8-sig")


def find(named: str | None = None, *, wait: bool = False) -> Found:
    """The configuration `named`, else the default one. With `wait` a named pipe is read to its end, too."""
    given = named or os.environ.get("TOCSIN_CONFIG")
    if given:
        return _read(Found(os.path.expanduser(given)), wait=wait)  # noqa: PTH111 - pathlib costs the client 3 ms at import
    here = _here()
    if here.path is not None:
        return here
    if _is_there(SYSTEM):
        return _read(Found(SYSTEM, here.passed_over), wait=False)
    return here


def _here() -> Found:
    """./alerts.toml, where it is used."""
    try:
        os.lstat(HERE)
    except FileNotFoundError:
        return Found(None)
    except OSError as error:
        return Found(None, f"./{HERE} is passed over: it cannot be looked at ({error.strerror})")
    try:
        return _judged_here()
    except FileNotFoundError:  # a dangling link, or it was deleted in the meantime
        return Found(None)
    except trust.Untrusted as error:
        advice = "if you trust it, name it with --config or $TOCSIN_CONFIG"
        return Found(None, f"./{HERE} is passed over: {error.strerror}; {advice}")
    except OSError as error:  # no other user may write to the folder, so the file is this user's or root's
        found = Found(HERE)
        found.error = error
        return found


def _judged_here() -> Found:
    folder = os.open(".", _LOOK)
    try:
        around = os.fstat(folder)
        trust.check_owner(around, "the folder", trust.owners())
        trust.check_unwritable(around, "the folder")
        file = trust.open_file(HERE, dir_fd=folder, orders=True)
    finally:
        os.close(folder)
    return _filled(Found(HERE), file)


def _is_there(path: str) -> bool:
    try:
        os.stat(path)  # noqa: PTH116 - os.path.exists answers False for what may not be looked at, and that must be told instead
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _read(found: Found, *, wait: bool) -> Found:
    """Read the file by its path."""
    assert found.path is not None
    try:
        flags = os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC | (0 if wait else os.O_NONBLOCK)
        return _filled(found, os.open(found.path, flags), wait=wait)
    except (OSError, ValueError) as error:
        found.error = error
    return found


def _filled(found: Found, file: int, *, wait: bool = False) -> Found:
    """Read and close the descriptor `file`. A client does not wait for the writer of a pipe, which counts as empty."""
    try:
        status = os.fstat(file)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        regular = stat.S_ISREG(status.st_mode)
        if regular:
            found.exposed = bool(status.st_mode & stat.S_IROTH)
            found.complaint = _complaint(status)
        found.content = _content(file) if wait or regular else b""
    finally:
        os.close(file)
    return found


def _content(file: int) -> bytes:
    content = b""
    while len(content) <= LARGEST and (chunk := os.read(file, LARGEST)):
        content += chunk
    return content


def _complaint(status: os.stat_result) -> str | None:
    try:
        trust.check_owner(status, "it", trust.owners())
        trust.check_unwritable(status, "it")
    except trust.Untrusted as error:
        return error.strerror
    return None
