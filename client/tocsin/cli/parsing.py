"""The command line: plain arguments are parsed here, all others by argparse (`thorough`), with the same result.

A script may run the command thousands of times a day, and argparse costs as much as the rest of the command.
"""

from __future__ import annotations

from tocsin.client import Client
from tocsin.durations import parse_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .thorough import Thorough

DEFAULT_TIMEOUT = 5.0  # seconds: on the command line a late answer is better than none
_PLAIN_ACTIONS = (None, "store_true", "append")


def _unchanged(words: list[str]) -> list[str]:
    return words


class Verb:
    """One verb of `tocsin`. With `passes_on`, arguments that it does not know are collected in `rest`."""

    def __init__(
        self,
        arguments: Callable[[Parser], None],
        run: Callable[[Found], int],
        examples: str,
        exits: str,
        *,
        prepare: Callable[[list[str]], list[str]] = _unchanged,
        passes_on: bool = False,
    ) -> None:
        self.arguments = arguments
        self.run = run
        self.examples = examples
        self.exits = exits
        self.prepare = prepare
        self.passes_on = passes_on


class Found:
    """The parsed arguments: an attribute for each."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

        def __setattr__(self, name: str, value: Any) -> None: ...


class Parser:
    """The arguments of one verb. `head` is printed above its help; `facts` are added to the JSON of its failures."""

    def __init__(self, prog: str, summary: str, examples: str, exits: str, *, usage: str | None = None) -> None:
        self.prog = prog
        self.usage = usage
        self.exits = exits
        self.head = "\n".join((f"{summary}.".replace("?.", "?"), "", "Examples:", *_indented(examples), ""))
        self.facts: dict[str, Any] = {}
        self.arguments: list[tuple[tuple[str, ...], dict[str, Any]]] = []

    def add_argument(self, *names: str, **settings: Any) -> None:
        """As argparse.ArgumentParser.add_argument."""
        self.arguments.append((names, settings))

    def read(self, words: list[str]) -> Found:
        """What `words` say. Raises Failure."""
        found: Found = read_plain(self.arguments, words) or self.thorough().read(words)
        return found

    def thorough(self) -> Thorough:
        """The same for argparse."""
        from .thorough import Thorough  # noqa: PLC0415 - as said above

        return Thorough(self, Found)


def read_plain(arguments: list[tuple[tuple[str, ...], dict[str, Any]]], words: list[str]) -> Found | None:
    """Parse words that are options exactly as the help writes them, with their values, and positional arguments; else None."""
    found, options, positional = Found(), {}, []
    for names, settings in arguments:
        action, nargs = settings.get("action"), settings.get("nargs")
        if action not in _PLAIN_ACTIONS or nargs not in {None, "?"}:
            return None
        name = next((name for name in names if name.startswith("--")), names[0]).lstrip("-").replace("-", "_")
        setattr(found, name, settings.get("default", False if action == "store_true" else None))
        if names[0].startswith("-"):
            options.update(dict.fromkeys(names, (name, settings)))
        else:
            positional.append((name, settings))
    try:
        return found if _fill(found, options, positional, words) else None
    except Exception:  # noqa: BLE001 - an invalid value: argparse reports it
        return None


def _fill(found: Found, options: dict[str, Any], positional: list[Any], words: list[str]) -> bool:
    """Whether each word could be assigned to an argument."""
    plain, left = [], iter(words)
    for word in left:
        if not word.startswith("-"):
            plain.append(word)
            continue
        option, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        name, settings = options[option]
        if settings.get("action") == "store_true":
            if equals:
                return False
            setattr(found, name, True)
            continue
        value = value if equals else next(left)
        if not equals and value.startswith("-") and value != "-":
            return False
        value = _value(settings, value)
        setattr(found, name, [*(getattr(found, name) or ()), value] if settings.get("action") else value)
    if not sum("nargs" not in settings for _, settings in positional) <= len(plain) <= len(positional):
        return False
    for (name, settings), word in zip(positional, plain, strict=False):
        setattr(found, name, _value(settings, word))
    return True


def _value(settings: dict[str, Any], word: str) -> Any:
    value = settings.get("type", str)(word)
    if value not in settings.get("choices", (value,)):
        raise ValueError(word)
    return value


def misread(text: str) -> Exception:
    """The exception of an argument's type for an invalid word."""
    from argparse import ArgumentTypeError  # noqa: PLC0415 - as above

    return ArgumentTypeError(text)


def common(parser: Parser) -> None:
    """Add the options that every verb has."""
    parser.add_argument(
        "--socket", metavar="PATH", help="the daemon's socket (default: $TOCSIN_SOCKET, else the usual path)"
    )
    parser.add_argument(
        "--timeout",
        metavar="DURATION",
        type=duration,
        default=DEFAULT_TIMEOUT,
        help="how long to wait for the daemon (default: 5s)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON to stdout, also on failure")


def client(found: Found, *, strict: bool = True) -> Client:
    """A client with the common options. `main` turns the exceptions of a strict one into exit codes."""
    return Client(found.socket, timeout=found.timeout, strict=strict)


def duration(text: str) -> float:
    """Seconds, as an argument's type."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise misread(str(error)) from None


def _indented(examples: str) -> list[str]:
    return [f"  {line}" for line in examples.strip().splitlines()]
