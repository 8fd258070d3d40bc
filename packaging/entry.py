"""Entry point of the single binary. It runs `tocsin` or `tocsind`, by the name of its file or link, else by its first argument.

    tocsin send "BUY"          the client                    tocsind run          the daemon, by a link of that name
    tocsin tocsind run         the daemon, by first word     tocsin -m tocsind    as `python -m`, for `sys.executable -m`

PyInstaller's bootloader starts this program, and its settings must not reach other programs:

- It points LD_LIBRARY_PATH at the bundle, sets `_PYI_*` and removes VIRTUAL_ENV. A command of `tocsin run -- CMD` must find its own
  libraries, and another tocsin that this one starts must find its own bundle; so the program restores the environment. The demo starts only
  this binary, so its processes may share the bundle.
- The bundle in a folder is one process. The single file is two: the bootloader unpacks to a temporary folder, starts this program, waits,
  and removes the folder. It forwards each signal. A terminal's Ctrl-C goes to a whole process group, so the daemon would get two, and
  exit at once; so the daemon has its own process group. A bootloader that is killed cannot forward that, so the program asks the kernel
  for SIGKILL in this case. The program locks the folder, because cleaners of temporary folders skip locked ones. (tocsind.host.systemd does
  the notifications of a grandchild to the service manager.)

Each import here delays every `tocsin send` of a shell script.
"""

from __future__ import annotations

import os
import sys

from tocsind.host.interrupts import exit_quietly_on_interrupt, run_interruptible

PROGRAMS = ("tocsin", "tocsind")
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_SHARED = "_PYI_TOCSIN_SHARED"  # set by the demo for its processes, whose parent is the demo and no bootloader


def main() -> int:
    """Run the selected program. Returns its exit code."""
    exit_quietly_on_interrupt()
    program, words = _meant(sys.argv)
    beside = _unpacked() and _SHARED not in os.environ
    if words[:1] == ["demo"]:
        os.environ[_SHARED] = "1"
    else:
        _put_environment_back()
    if beside:
        _live_beside_a_bootloader(daemon=program.startswith("tocsind"))
    if "-m" in sys.argv[1:2]:
        return _module(program, words)
    if program == "tocsind":
        from tocsind.__main__ import main as daemon  # noqa: PLC0415 - `tocsin send` must not load the daemon

        return run_interruptible(lambda: daemon(words))
    from tocsin.cli import main as client  # noqa: PLC0415 - nor the daemon the client

    return run_interruptible(lambda: client(words))


def _meant(argv: list[str]) -> tuple[str, list[str]]:
    """The program, or the module after `-m`, and its arguments."""
    name, *words = argv
    if words[:1] == ["-m"] and words[1:]:
        return words[1], words[2:]
    if words and words[0] in PROGRAMS:
        return words[0], words[1:]
    if words[:1] == ["demo"]:
        return "tocsind", words  # `tocsin demo` would start it anyway
    return "tocsind" if os.path.basename(name).startswith("tocsind") else "tocsin", words


def _module(name: str, words: list[str]) -> int:
    """`python -m NAME`, for modules of tocsin. Returns the exit code."""
    if name.partition(".")[0] not in PROGRAMS:
        sys.stderr.write(f"tocsin: -m {name}: this is tocsin's binary, and no Python for other modules\n")
        return 64
    from runpy import run_module  # noqa: PLC0415 - only the demo and an automatic start of the daemon need it

    sys.argv = [name, *words]
    run_module(name, run_name="__main__", alter_sys=True)
    return 0


def _unpacked() -> bool:
    """Whether this is the single file, whose bundle is not beside it."""
    return os.path.dirname(_bundle()) != os.path.dirname(sys.executable)


def _bundle() -> str:
    return str(getattr(sys, "_MEIPASS", ""))


def _put_environment_back() -> None:
    for name in [name for name in os.environ if name.startswith("_PYI_")]:
        del os.environ[name]
    before = os.environ.pop("LD_LIBRARY_PATH_ORIG", None)
    if before is not None:
        os.environ["LD_LIBRARY_PATH"] = before
    else:
        os.environ.pop("LD_LIBRARY_PATH", None)
    for each in _first_environment().split(b"\0"):
        if each.startswith(b"VIRTUAL_ENV="):
            os.environb[b"VIRTUAL_ENV"] = each.partition(b"=")[2]


def _first_environment() -> bytes:
    """The environment from the kernel; empty if /proc is not mounted."""
    try:
        with open("/proc/self/environ", "rb") as environment:
            return environment.read()
    except OSError:
        return b""


def _live_beside_a_bootloader(*, daemon: bool) -> None:
    import fcntl  # noqa: PLC0415 - only the single file needs it

    fcntl.flock(os.open(_bundle(), os.O_RDONLY), fcntl.LOCK_SH)  # held until the process ends
    if daemon:
        _share_its_fate(int(os.path.basename(_bundle())[4:12], 16))  # _MEI, its pid, and something random


def _share_its_fate(bootloader: int) -> None:
    """End when the bootloader ends: get each of its signals once, and SIGKILL when it is killed."""
    from ctypes import CDLL  # noqa: PLC0415 - the daemon loads it anyway, the client never
    from signal import SIGKILL  # noqa: PLC0415 - as above

    os.setpgid(0, 0)
    CDLL(None).prctl(_PR_SET_PDEATHSIG, SIGKILL)
    if os.getppid() != bootloader:  # it was killed before the call
        os.kill(os.getpid(), SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
