"""`tocsind service install` and `uninstall`: write or remove the units, and print the next commands."""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tocsind.errors import EXIT_CANNOT_WRITE, EXIT_INTERNAL, CannotWrite

from .files import below, installed, remove, sealed, write
from .program import is_nameable, out_of_reach, own_program
from .units import UnitFile, unit_files

_EXAMPLES = """\
examples:
  tocsind service install                  units, user and spool of a system service; prints the next commands
  tocsind service install --now            runs these commands, too
  tocsind service install --user           a service of your own, without root
  tocsind service install --dry-run        prints each file, writes nothing
  tocsind service uninstall                removes what install wrote, and nothing else
"""
_UNITS = ["tocsind.socket", "tocsind.service"]


def add_verb(verbs: Any) -> None:
    """Add `service` to the command line's verbs (the result of `argparse.add_subparsers`)."""
    text = "install as a systemd service, or remove it"
    parser: argparse.ArgumentParser = verbs.add_parser(
        "service",
        help=text,
        description=text,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(verb=service, complain=parser.error)
    parser.add_argument(
        "action", choices=("install", "uninstall"), help="write the units, or remove what install wrote"
    )
    parser.add_argument("--user", action="store_true", help="for your own service manager, without root")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--dry-run", action="store_true", help="print what would be done")
    mode.add_argument("--now", action="store_true", help="run the next commands, too")
    parser.add_argument("--exec", metavar="PATH", help="the program that the units start [this tocsind]")
    parser.add_argument("--root", metavar="DIR", type=Path, default=Path("/"), help="work on a system below DIR")
    parser.add_argument("--vendor", action="store_true", help="for packages: below /usr/lib instead of /etc")


def service(arguments: argparse.Namespace) -> int:
    """Install or uninstall."""
    if arguments.now and arguments.root != Path("/"):
        arguments.complain("--now is for this system, and --root for another")
    if arguments.action == "install":
        return install(arguments)
    if arguments.exec or arguments.vendor:
        arguments.complain("--exec and --vendor are for install; the package manager removes what a package installed")
    return uninstall(arguments)


def install(arguments: argparse.Namespace) -> int:
    """Write the units."""
    program = [arguments.exec] if arguments.exec else own_program()
    _check(arguments, program)
    units = unit_files(program, user=arguments.user, vendor=arguments.vendor)
    if arguments.dry_run:
        return _show(units, arguments.root, seal=not arguments.vendor)
    for path in write(units, arguments.root, seal=not arguments.vendor):
        print(f"wrote {path}")
    return _next(after_install(user=arguments.user), arguments)


def uninstall(arguments: argparse.Namespace) -> int:
    """Remove the units."""
    unchanged, foreign = installed(unit_files(own_program(), user=arguments.user), arguments.root)
    for path in foreign:
        print(f"tocsind: {path} was changed after install, and is left alone", file=sys.stderr)
    code = _remove(unchanged, arguments) if unchanged else _print_nothing_installed()
    return code or (EXIT_CANNOT_WRITE if foreign else 0)


def _remove(installed_files: Sequence[Path], arguments: argparse.Namespace) -> int:
    if arguments.dry_run:
        print(*(f"would remove {path}" for path in installed_files), sep="\n")
        return 0
    systemctl = _systemctl(user=arguments.user)
    if arguments.now and (code := _run([[*systemctl, "disable", "--now", *_UNITS]])):
        return code
    remove(installed_files)
    print(*(f"removed {path}" for path in installed_files), sep="\n")
    stopping = [] if arguments.now else [[*systemctl, "stop", *_UNITS]]
    return _next([*stopping, [*systemctl, "daemon-reload"]], arguments)


def _print_nothing_installed() -> int:
    print("nothing is installed")
    return 0


def _check(arguments: argparse.Namespace, program: Sequence[str]) -> None:
    if not is_nameable(program[0]):
        arguments.complain(
            f"{program[0]}: a unit needs the absolute path of its program, without quotes or backslashes"
        )
    elsewhere = arguments.root != Path("/") or arguments.vendor or arguments.dry_run
    reason = None if elsewhere or arguments.user else out_of_reach(program)
    if reason is not None:
        raise CannotWrite(
            f"the service, which has a user of its own, could not start {program[0]}: {reason}. "
            "Install tocsin where every user may run it (python3 -m venv /opt/tocsin), or use --user"
        )


def _show(units: Sequence[UnitFile], root: Path, *, seal: bool) -> int:
    for unit in units:
        print(f"--- {below(root, unit)}")
        print(sealed(unit.text) if seal else unit.text)
    return 0


def after_install(*, user: bool) -> list[list[str]]:
    """The commands to run after install."""
    systemctl = _systemctl(user=user)
    prepare = [] if user else [["systemd-sysusers", "tocsin.conf"], ["systemd-tmpfiles", "--create", "tocsin.conf"]]
    return [*prepare, [*systemctl, "daemon-reload"], [*systemctl, "enable", "--now", *_UNITS]]


def _systemctl(*, user: bool) -> list[str]:
    return ["systemctl", "--user"] if user else ["systemctl"]


def _next(commands: Sequence[Sequence[str]], arguments: argparse.Namespace) -> int:
    if arguments.now:
        return _run(commands)
    if arguments.root == Path("/") and not arguments.vendor:
        print("next:")
        for command in commands:
            print(f"  {shlex.join(command)}")
    return 0


def _run(commands: Sequence[Sequence[str]]) -> int:
    for command in commands:
        print(f"+ {shlex.join(command)}", flush=True)
        try:
            code = subprocess.run(command, check=False).returncode  # noqa: S603 - constant words
        except OSError as error:
            raise CannotWrite(f"{command[0]} cannot be run: {error.strerror}; is this a system with systemd?") from None
        if code:
            print(f"tocsind: `{shlex.join(command)}` ended with {code}", file=sys.stderr)
            return EXIT_INTERNAL
    return 0
