"""The single binary's first words. It is `tocsin` or `tocsind`: by the name it is called by, else by its first word.

    tocsin send "BUY"          the client                    tocsind run          the daemon, by a link of that name
    tocsin tocsind run         the daemon, by first word     tocsin -m tocsind    as `python -m`: what `sys.executable -m` asks for

PyInstaller starts us through a bootloader, and what it does for us must not reach anybody else:

- It points LD_LIBRARY_PATH at the bundle, leaves notes in `_PYI_*` and takes VIRTUAL_ENV away. A command that we start
  (`tocsin run -- CMD`) shall find its own libraries, and another tocsin that we start its own bundle; so the environment is put back as
  it was. Only the demo starts nothing but ourselves, and may share its bundle.
- The bundle in a folder is one process. The single file is two: the bootloader unpacks to a temporary folder, starts us, waits, and
  removes the folder. It forwards each signal that it gets. But a terminal's Ctrl-C goes to a whole process group, and the daemon would be
  asked twice, which means "leave at once"; so the daemon has a group of its own. A bootloader that is killed cannot forward that; so the
  kernel is asked to. And what sweeps temporary folders by age passes by one that is locked. (What the service manager asks of its child
  and hears from its grandchild is tocsind.systemd's.)

A hand-off from a shell script pays for each import in here.
"""

from __future__ import annotations

import os
import sys

from tocsind.interrupts import guarded, quiet

PROGRAMS = ("tocsin", "tocsind")
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_SHARED = "_PYI_TOCSIN_SHARED"  # our own note: what the demo starts has the demo for its parent, and no bootloader


def main() -> int:
    """Become the program that is meant. Its exit code."""
    quiet()
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
        from tocsind.__main__ import main as daemon  # noqa: PLC0415 - a hand-off from a script loads no daemon

        return guarded(lambda: daemon(words))
    from tocsin.cli import main as client  # noqa: PLC0415 - nor the daemon a client

    return guarded(lambda: client(words))


def _meant(argv: list[str]) -> tuple[str, list[str]]:
    """The program, or the module behind `-m`, and what is left for it."""
    name, *words = argv
    if words[:1] == ["-m"] and words[1:]:
        return words[1], words[2:]
    if words and words[0] in PROGRAMS:
        return words[0], words[1:]
    if words[:1] == ["demo"]:
        return "tocsind", words  # which `tocsin demo` would become anyway
    return "tocsind" if os.path.basename(name).startswith("tocsind") else "tocsin", words


def _module(name: str, words: list[str]) -> int:
    """`python -m NAME`, for what is in here of ours."""
    if name.partition(".")[0] not in PROGRAMS:
        sys.stderr.write(f"tocsin: -m {name}: this is tocsin's binary, and no Python for other modules\n")
        return 64
    from runpy import run_module  # noqa: PLC0415 - only the demo, and who starts a daemon by `sys.executable`, come here

    sys.argv = [name, *words]
    run_module(name, run_name="__main__", alter_sys=True)
    return 0


def _unpacked() -> bool:
    """Whether this is the single file: its bundle does not lie beside it."""
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
    """As the kernel handed it to us; empty where /proc is not mounted."""
    try:
        with open("/proc/self/environ", "rb") as environment:
            return environment.read()
    except OSError:
        return b""


def _live_beside_a_bootloader(*, daemon: bool) -> None:
    import fcntl  # noqa: PLC0415 - only the single file needs it

    fcntl.flock(os.open(_bundle(), os.O_RDONLY), fcntl.LOCK_SH)  # held as long as we live
    if daemon:
        _share_its_fate(int(os.path.basename(_bundle())[4:12], 16))  # _MEI, its pid, and something random


def _share_its_fate(bootloader: int) -> None:
    """End as it is ended: one signal for each that it gets, and kill -9 for kill -9."""
    from ctypes import CDLL  # noqa: PLC0415 - the daemon loads it anyway, the client never
    from signal import SIGKILL  # noqa: PLC0415 - as above

    os.setpgid(0, 0)
    CDLL(None).prctl(_PR_SET_PDEATHSIG, SIGKILL)
    if os.getppid() != bootloader:  # it was killed before we had asked
        os.kill(os.getpid(), SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
