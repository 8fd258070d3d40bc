"""`tocsind init`: writes a starting configuration, for chosen services or as the built-in default.

On a terminal, without a service on the command line, it asks. An existing file is replaced with --force only.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tocsin import disk_errors
from tocsin.likely_words import likely_or_all
from tocsind.config import ConfigurationInvalid, parse, starter_text
from tocsind.errors import EXIT_CANNOT_WRITE, DaemonError

from .services import SERVICES, Chosen, configuration, variables

T = TypeVar("T")
_TRIES = 3  # answers to one question


class Unusable(DaemonError):  # noqa: N818 - names the condition, as its siblings in tocsind.errors do
    """The services cannot be written as they were described."""

    exit_code = 64


def init_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `init`."""
    parser.add_argument(
        "--output", default="alerts.toml", metavar="FILE", help="where to write, `-` for stdout [%(default)s]"
    )
    parser.add_argument("--force", action="store_true", help="replace the file if it exists")
    for kind, service in SERVICES.items():
        nargs: Any = 0 if service.asks is None else "?" if service.usual else None
        usual = f" [{service.usual}]" if service.usual else ""
        parser.add_argument(
            f"--{kind}",
            action=_Choose,
            nargs=nargs,
            metavar=service.metavar,
            dest="chosen",
            help=f"{service.text}{usual}; the first service gets the signals, the next ones stand in for it",
        )


class _Choose(argparse.Action):
    """Appends a service, in the order of the command line."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        kind = (option or "").removeprefix("--")
        before: list[Chosen] = namespace.chosen or []
        if any(each.kind == kind for each in before):
            parser.error(f"{option} is there twice; a second destination of a kind is added in the file")
        namespace.chosen = [*before, Chosen(kind, values or SERVICES[kind].usual)]


def init(arguments: argparse.Namespace) -> int:
    """Write the file; the exit code. Raises Unusable."""
    chosen: Sequence[Chosen] = arguments.chosen or ()
    if not chosen and arguments.output != "-" and sys.stdin.isatty() and sys.stderr.isatty():
        chosen = _asked()
    text = _checked(chosen) if chosen else starter_text()
    if arguments.output == "-":
        print(text, end="")
        return 0
    try:
        _write(arguments.output, text, force=arguments.force)
    except FileExistsError:
        print(f"tocsind: {arguments.output} exists; --force replaces it", file=sys.stderr)
        return EXIT_CANNOT_WRITE
    except OSError as error:
        reason = disk_errors.reason(error, str(Path(arguments.output).parent))
        print(f"tocsind: {arguments.output} cannot be written: {reason}", file=sys.stderr)
        return EXIT_CANNOT_WRITE
    for line in _next(arguments.output, chosen):
        print(line)
    return 0


def _write(name: str, text: str, *, force: bool) -> None:
    """Write a file that only its owner may read. Raises FileExistsError without `force`, and OSError."""
    unfinished = f"{name}.new" if force else name
    if force:
        Path(unfinished).unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.fchmod(descriptor, 0o600)  # whatever the umask is
    with os.fdopen(descriptor, "w", encoding="utf-8") as output:
        output.write(text)
    if force:
        Path(unfinished).replace(name)


def _next(output: str, chosen: Sequence[Chosen]) -> Iterator[str]:
    """What the person does now."""
    if not chosen:
        yield f"wrote {output}; next: tocsind check --config {output}"
        return
    yield f"wrote {output}: to {', then to '.join([*(each.kind for each in chosen), 'a file'])}"
    if len(chosen) == 1:
        yield "one service alone: when it fails, signals go to the file; a second one, of another company, would tell you"
    yield "next, with the secrets in the daemon's environment:"
    yield from (f"  export {name}=..." for name in variables(chosen))
    yield f"  tocsind check --online --config {output}"
    yield f"  tocsind run --config {output}"
    yield f"  tocsin test --to {chosen[0].kind} --send"


def _checked(chosen: Sequence[Chosen]) -> str:
    """The text, which `tocsind check` accepts. Raises Unusable."""
    try:
        text = configuration(chosen)
        parse(text, "alerts.toml")
    except ConfigurationInvalid as invalid:
        raise Unusable("\n".join(f"{problem.key}: {problem.message}" for problem in invalid.problems)) from None
    except ValueError as error:  # an open quote in a command
        raise Unusable(str(error)) from None
    return text


# --- on a terminal --------------------------------------------------------------------------------------------------------


def _asked() -> list[Chosen]:
    """The services that the person wants; none for the built-in default. Raises Unusable after several wrong answers."""
    width = max(map(len, SERVICES))
    _say("Which services shall signals go to? The first gets them, the next ones stand in for it.")
    for kind, service in SERVICES.items():
        _say(f"  {kind:<{width}}  {service.text}")
    kinds = _answer("names, with blanks between (empty: four channels of Discord and a file)", _kinds)
    return [Chosen(kind, _value(kind)) for kind in kinds]


def _kinds(line: str) -> list[str]:
    kinds = list(dict.fromkeys(line.replace(",", " ").lower().split()))
    for kind in kinds:
        if kind not in SERVICES:
            raise Unusable(f"{kind!r} is not one of them; {likely_or_all(kind, SERVICES)}")
    return kinds


def _value(kind: str) -> str:
    service = SERVICES[kind]

    def read(line: str) -> str:
        value = line or service.usual
        _checked([Chosen(kind, value)])
        return value

    usual = f" [{service.usual}]" if service.usual else ""
    return _answer(f"{kind}: {service.asks}{usual}", read) if service.asks else ""


def _answer(question: str, read: Callable[[str], T]) -> T:
    """What `read` makes of the answer; its Unusable is shown, and the question asked again."""
    for tries in range(1, _TRIES + 1):
        _say(question)
        print("> ", end="", file=sys.stderr, flush=True)
        try:
            return read(sys.stdin.readline().strip())
        except Unusable as wrong:
            if tries == _TRIES:
                raise
            _say(str(wrong))
    raise AssertionError("the last try returns or raises")


def _say(text: str) -> None:
    print(text, file=sys.stderr)
