"""Which known word did a person probably mean? The most likely comes first. Only a mistake loads this module.

rank 0    the same letters: another case, other dashes
rank 1    another word for it: `--message` is `--body`
rank 2    its beginning, or more of it: `stat`, `--fields`
rank 3+   so many typing errors: a letter too many, missing, wrong, or swapped with its neighbour
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_FAR = 99
_LETTERS_PER_ERROR = 3  # a word of six letters may have two typing errors
_MOST = 2  # suggestions: more are a list, and `--help` has a better one
_SHORTEST_BEGINNING = 2


def likely(word: str, known: Iterable[str], meanings: Mapping[str, str] | None = None) -> list[str]:
    """The likely words among `known`, at most two, the most likely first. `meanings` maps other words to known ones."""
    wanted = _letters(word)
    meant = (meanings or {}).get(wanted)
    ranked = [(_rank(wanted, _letters(each), is_meant=each == meant), place, each) for place, each in enumerate(known)]
    near = sorted(each for each in ranked if each[0] < _FAR)
    best = near[0][0] if near else _FAR
    return [each for rank, _, each in near if rank == best][:_MOST]


def likely_or_all(word: str, known: Iterable[str]) -> str:
    """The end of an error's text: a question, or all choices."""
    names = list(known)
    close = likely(word, names)
    return f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(names) or 'none'}"


def _letters(word: str) -> str:
    return word.strip().lstrip("-").casefold().replace("_", "-")


def _rank(wanted: str, known: str, *, is_meant: bool) -> int:
    if wanted == known:
        return 0
    if is_meant:
        return 1
    if len(wanted) >= _SHORTEST_BEGINNING and (known.startswith(wanted) or _is_longer_form(wanted, known)):
        return 2
    errors = distance(wanted, known)
    return 2 + errors if errors <= _errors_allowed(wanted, known) else _FAR


def _is_longer_form(wanted: str, known: str) -> bool:
    """`fields` for `field`, `local-files` for `local-file`."""
    return len(known) > _SHORTEST_BEGINNING and wanted.startswith(known) and len(wanted) - len(known) <= 2


def _errors_allowed(wanted: str, known: str) -> int:
    """None where only one or two letters could agree; one in a short word."""
    shorter = min(len(wanted), len(known))
    return 0 if shorter < _SHORTEST_BEGINNING else max(1, (shorter + 1) // _LETTERS_PER_ERROR)


def distance(one: str, other: str) -> int:
    """How many letters must be added, removed, replaced, or swapped with their neighbour to make `other` of `one`."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for place, letter in enumerate(one, 1):
        rows = before, row
        before, row = row, [place]
        for at, its in enumerate(other, 1):
            cost = min(before[at] + 1, row[at - 1] + 1, before[at - 1] + (letter != its))
            if place > 1 and at > 1 and letter == other[at - 2] and its == one[place - 2]:
                cost = min(cost, rows[0][at - 2] + 1)
            row.append(cost)
    return row[-1]
