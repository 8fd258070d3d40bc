"""The configuration's file: which one counts, and its bytes. Client and daemon both read it here, so they cannot differ.

    named       by --config or $TOCSIN_CONFIG: an order of the caller's, whoever owns the file
    here        ./alerts.toml counts only where file and folder belong to the caller or to root and nobody else may write to them: else
                whoever owns the folder that a command happens to run in could give it orders. Otherwise it is passed over (`passed_over`)
    system      /etc/tocsin/alerts.toml
    none        the built-in default

What is judged is the descriptor that is read (`trust`). `complaint` says who else could change a file that is obeyed; nothing is launched
by such a file.
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
    """The file that counts: its `path` (None: there is none) and `content`, or the `error` that keeps it from being read."""

    __slots__ = ("complaint", "content", "error", "exposed", "passed_over", "path")

    def __init__(self, path: str | None, passed_over: str | None = None) -> None:
        self.path = path
        self.passed_over = passed_over  # why ./alerts.toml was not taken
        self.content = b""
        self.error: OSError | ValueError | None = None
        self.exposed = False  # every user of this host may read it
        self.complaint: str | None = None  # who else could change it

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
    """The configuration `named`, else the one that counts without a name. `wait` reads named pipes too, as long as that takes."""
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
    """./alerts.toml, where it counts."""
    try:
        os.lstat(HERE)
    except FileNotFoundError:
        return Found(None)
    except OSError as error:
        return Found(None, f"./{HERE} is passed over: it cannot be looked at ({error.strerror})")
    try:
        return _judged_here()
    except FileNotFoundError:  # a link that leads nowhere, or deleted meanwhile
        return Found(None)
    except trust.Untrusted as error:
        advice = "if you trust it, name it with --config or $TOCSIN_CONFIG"
        return Found(None, f"./{HERE} is passed over: {error.strerror}; {advice}")
    except OSError as error:  # it is root's or ours, for nobody else may write to the folder
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
    """The file by its name, with what there is to say about it."""
    assert found.path is not None
    try:
        flags = os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC | (0 if wait else os.O_NONBLOCK)
        return _filled(found, os.open(found.path, flags), wait=wait)
    except (OSError, ValueError) as error:
        found.error = error
    return found


def _filled(found: Found, file: int, *, wait: bool = False) -> Found:
    """What `file` is a descriptor of, which is closed here. A client does not wait for the writer of a pipe: that reads as empty."""
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
