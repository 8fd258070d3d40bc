"""Secrets are a type. Printed, logged, or compared in an error, a Secret is a mask; only `reveal` returns the value.

A server, a library or a person may quote one all the same. So all text that leaves the daemon passes `redacted` or `redacted_struct`:

    known     the value of each Secret is remembered, in all its forms: the secret parts of a URL, percent-encoded, as JSON, as HTML,
              as Base64; and the beginning of a long one, in case the text was cut
    shapes    what looks like a token of a known service, or is in the place of a password, whether it is known or not

Text that the daemon did not write (a person's file, the text of a bug) also loses everything that looks like a URL (`masked`).
"""

from __future__ import annotations

import html
import json
import os
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Collection, Iterator
from typing import Any, TypeVar
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

import msgspec

T = TypeVar("T")

MASK = "****"
MIN_LENGTH = 4  # characters of a value that is remembered: a shorter one would be replaced inside many words
_WHOLE_WORD_BELOW = 8  # characters; a shorter value is replaced only as a whole word
_PREFIX_FROM = 20  # characters; of a longer value the beginning is replaced as well
_PREFIX_LENGTH = 10
_MAX_FORMS = 4096  # forms that are remembered
_LIKE_A_URL = re.compile(r"\S*(?:\w://|webhooks/[0-9]+/)\S*")
_REVEALING_SEGMENT = re.compile(r"(?=.*[0-9_A-Z-]).{8,}")  # of a path: no plain word, and no plain number
_NAMES_A_SECRET = re.compile(r"key|token|secret|auth|pass|sig|code", re.IGNORECASE)  # of a query
_PLAIN_WORD = re.compile(r"[A-Za-z][a-z]{,10}")  # `admin`: to replace it would make texts unreadable, and hides nothing
_SHAPES = re.compile(
    r"(?i:(?<=webhooks/)[0-9]+/[\w-]+|(?<=webhooks%2f)[0-9]+%2f[\w-]+"  # Discord's webhooks
    r"|(?<=hooks\.slack\.com/)\S+|(?<=hooks\.slack\.com%2f)\S+|\bxox[a-z]-[\w-]{8,}|\bxapp-[\w-]{8,}"  # Slack
    r"|(?:\b|(?<=bot))[0-9]{6,12}(?::|%3a)[\w-]{30,}"  # Telegram's bots
    r"|\btk_[a-z0-9]{16,}"  # ntfy
    r"|\b[aug](?=[a-z]*[0-9])[a-z0-9]{29}\b"  # Pushover's applications, users and groups
    r"|\b[mno][\w-]{23,}\.[\w-]{6,7}\.[\w-]{27,}"  # Discord's bots
    r"|(?<=bearer )(?=\S*[0-9=])[\w.~+/=-]{8,}|(?<=basic )(?=\S*[0-9=])[\w+/]{8,}=*"
    r"|(?<=://)[^\s/@]+(?=@)"
    r"|(?<=[?&]key=)[^\s&]+|(?<=[?&]token=)[^\s&]+|(?<=[?&]secret=)[^\s&]+|(?<=[?&]auth=)[^\s&]+|(?<=[?&]password=)[^\s&]+)"
)


class Secret:
    """A value that never shows itself. `reveal()` is the only access, so every use can be found by name."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value
        register(value)

    def reveal(self) -> str:
        """The value, for the one call that needs it."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a Secret is not written down")


_known: dict[str, re.Pattern[str]] = {}  # search text in lower case, and the pattern to replace


def register(value: str) -> None:
    """Redact this value, in all its forms, from now on. Does not block; safe from any thread."""
    for part in _secret_parts(value):
        for form in _forms(part):
            _add(form, _pattern(form))
        for form in _as_base64(part.encode()) if len(part) >= _WHOLE_WORD_BELOW else ():
            _add(form, re.compile(rf"[\w+/-]*{re.escape(form)}[\w+/-]*={{0,2}}", re.IGNORECASE))
        if len(part) >= _PREFIX_FROM:
            _add(part[:_PREFIX_LENGTH], re.compile(rf"{re.escape(part[:_PREFIX_LENGTH])}[\w.~%+/=-]*", re.IGNORECASE))


def _add(form: str, pattern: re.Pattern[str]) -> None:
    if len(_known) < _MAX_FORMS:
        _known.setdefault(form.lower(), pattern)


def register_environment() -> None:
    """Register the passwords of proxies, which libraries read from the environment."""
    for name, value in os.environ.items():
        if name.lower().endswith("_proxy") and "://" in value:
            register(value)


def redacted(text: str) -> str:
    """`text` without secrets: known ones, and what looks like one."""
    lowered = text.lower()
    for form in [form for form in _known.copy() if form in lowered]:
        text = _known[form].sub(MASK, text)
    return _SHAPES.sub(MASK, text)


def masked(text: str) -> str:
    """As `redacted`, and without anything that looks like a URL: for text that the daemon did not write."""
    return _LIKE_A_URL.sub(MASK, redacted(text))


def redacted_struct(value: T, skip: Collection[str] = ()) -> T:
    """A text, struct, tuple, list or dict with all its texts `redacted`, except for the fields and keys in `skip`."""
    return _cleaned(value, skip)  # type: ignore[no-any-return]  # it is of the type that came


def _cleaned(value: Any, skip: Collection[str]) -> Any:
    match value:
        case str():
            return redacted(value)
        case dict():
            return {key: each if key in skip else _cleaned(each, skip) for key, each in value.items()}
        case tuple() | list():
            return type(value)(_cleaned(each, skip) for each in value)
        case msgspec.Struct():
            return _cleaned_struct(value, skip)
    return value


def _cleaned_struct(struct: msgspec.Struct, skip: Collection[str]) -> msgspec.Struct:
    changed = {}
    for name in struct.__struct_fields__:
        found = getattr(struct, name)
        if name not in skip and found is not None and (better := _cleaned(found, skip)) != found:
            changed[name] = better
    return msgspec.structs.replace(struct, **changed) if changed else struct


def _secret_parts(value: str) -> Iterator[str]:
    """The secret parts of a value: of a URL the password, the revealing segments of its path, and the values of its query.

    A plain word in a URL is a secret only as a password, or under a name in the query that says so.
    """
    if "://" not in value:
        yield value
        return
    try:
        parts = urlsplit(value)
        query = [(name, found) for name, found in parse_qsl(parts.query) if len(found) > MIN_LENGTH]
        words = [parts.password or ""] + [found for name, found in query if _NAMES_A_SECRET.search(name)]
        if parts.scheme != "unix":  # where a socket is, is no secret: /run/redis/redis-server.sock
            words += [found for found in parts.path.split("/") if _REVEALING_SEGMENT.fullmatch(found)]
        others = ["" if parts.password else parts.username or "", *(found for _, found in query), parts.fragment]
        words += [found for found in others if not _PLAIN_WORD.fullmatch(found)]
    except ValueError:  # no URL after all
        words = [value]
    yield from (word for word in words if not word.isdecimal())


def _forms(value: str) -> Iterator[str]:
    """The forms in which a value may occur in a text."""
    plain = {value, value.strip(), unquote(value)}
    for form in plain | {change(word) for word in plain for change in _CHANGES}:
        if len(form) >= MIN_LENGTH:
            yield form


def _as_json(word: str) -> str:
    return json.dumps(word)[1:-1]


def _as_utf8_json(word: str) -> str:
    return json.dumps(word, ensure_ascii=False)[1:-1]


def _quoted(word: str) -> str:
    return quote(word, safe="")


def _as_repr(word: str) -> str:
    return repr(word)[1:-1]


_CHANGES = (
    *(quote, _quoted, quote_plus, html.escape, _as_repr, _as_json, _as_utf8_json),
    *(lambda word: _as_json(word).replace("/", "\\/"), lambda word: _as_utf8_json(word).replace("/", "\\/")),
)


def _as_base64(value: bytes) -> Iterator[str]:
    """The part that every Base64 text with the value in it contains, for each of the three positions at which the value may begin.

    Up to two bytes at each end of the value share a group of characters with their neighbours: these groups are not part of it.
    """
    for before in range(3):
        padded = bytes(before) + value
        whole = padded[: len(padded) // 3 * 3]
        for encode in (b64encode, urlsafe_b64encode):
            yield encode(whole)[4 if before else 0 :].decode()


def _pattern(form: str) -> re.Pattern[str]:
    literal = re.escape(form)
    if len(form) < _WHOLE_WORD_BELOW:
        literal = rf"(?<![A-Za-z0-9]){literal}(?![A-Za-z0-9])"
    return re.compile(literal, re.IGNORECASE)
